// Goal: the loader of the golden references gives every model test what it compares with, complete and consistent.
#include "tests/support/reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "common/checkpoint/checkpoint.h"

namespace switchyard::testing {
namespace {

const std::string kGolden = SWITCHYARD_TEST_DATA "/golden";

TEST(Reference, EveryGoldenCheckpointHasCasesGreedyRunsAndRouterChoicesThatFitItsConfig) {
  for (const std::string& name : golden_names(kGolden)) {
    const Reference reference = load_reference(kGolden, name);
    const auto spec = checkpoint::Checkpoint::read_spec(reference.directory);
    ASSERT_TRUE(spec) << spec.error().message;
    ASSERT_EQ(reference.cases.size(), 4U) << name;
    EXPECT_EQ(reference.cases.at("short").input_ids.size(), 9U);
    EXPECT_EQ(reference.cases.at("mid").rows, 70U);
    EXPECT_EQ(reference.cases.at("long").logits_first_position, 268U);
    EXPECT_EQ(reference.vocab, spec->vocab_size);
    double largest = 0;
    for (const auto& [key, c] : reference.cases) {
      ASSERT_EQ(c.logits.size(), size_t{c.rows} * reference.vocab) << name << " " << key;
      for (float logit : c.logits) largest = std::max(largest, std::fabs(static_cast<double>(logit)));
    }
    EXPECT_NEAR(largest, reference.logit_abs_max, 1e-3) << name;
    EXPECT_NEAR(reference.tolerance.float32_max_abs_diff, 2e-4 * largest, 1e-5) << name;
    EXPECT_GT(reference.tolerance.bfloat16_mid_argmax_agreement, 0.5);
    ASSERT_EQ(reference.greedy.size(), 4U);
    EXPECT_EQ(reference.greedy[3].prompt.size(), 130U);
    for (const ReferenceGreedy& greedy : reference.greedy) {
      EXPECT_EQ(greedy.tokens.size(), 32U);
      EXPECT_GT(*std::min_element(greedy.margins.begin(), greedy.margins.end()), 0.01F);
    }
    size_t expert_layers = 0;
    for (const auto& layer : spec->layers) expert_layers += layer.experts;
    ASSERT_EQ(reference.routers.size(), expert_layers) << name;
    for (const ReferenceRouter& router : reference.routers) {
      EXPECT_TRUE(spec->layers.at(router.layer).experts);
      EXPECT_EQ(router.top_k, spec->router.top_k);
      EXPECT_EQ(router.rows, 70U);
      EXPECT_TRUE(std::all_of(router.experts.begin(), router.experts.end(),
                              [&](int32_t e) { return e >= 0 && static_cast<uint32_t>(e) < spec->expert_count; }));
    }
    EXPECT_NE(reference.text_prompt.find("<|assistant|>"), std::string::npos);
  }
}

TEST(Reference, LayerOutputsAreThereForThreeCheckpoints) {
  std::set<std::string> with_layers;
  for (const std::string& name : golden_names(kGolden)) {
    const Reference reference = load_reference(kGolden, name);
    if (reference.layers.empty()) continue;
    with_layers.insert(name);
    EXPECT_EQ(reference.layers.at("layers.1.attention").rows, 9U);
    EXPECT_EQ(reference.layers.at("final_norm").values.size(), 9U * 64);
  }
  EXPECT_EQ(with_layers, (std::set<std::string>{"deepseek-v3-tiny", "gpt-oss-tiny", "qwen3-moe-tiny"}));
}

TEST(Reference, MissingDataIsAnError) {
  EXPECT_THROW(load_reference(kGolden, "nothing-tiny"), std::runtime_error);
  EXPECT_THROW(golden_names(kGolden + "/nowhere"), std::exception);
}

}  // namespace
}  // namespace switchyard::testing
