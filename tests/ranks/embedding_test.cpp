// Embeddings are what another implementation's final hidden states give: transformers' rows after the last norm
// (tests/data/golden, case "short"), the last of them or their mean.
#include <gtest/gtest.h>

#include <cmath>

#include "common/checkpoint/checkpoint.h"
#include "tests/support/reference.h"
#include "tests/support/virtual_group.h"

namespace switchyard::testing {
namespace {

class Embedding : public ::testing::TestWithParam<const char*> {};

TEST_P(Embedding, IsTheLastHiddenStateOrTheMeanOfAll) {
  const Reference reference = load_reference(SWITCHYARD_TEST_DATA "/golden", GetParam());
  const ReferenceTensor& states = reference.layers.at("final_norm");
  const auto checkpoint = checkpoint::Checkpoint::open(reference.directory);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;

  std::vector<TestRequest> requests(2);
  for (auto& request : requests) request.prompt = reference.cases.at("short").input_ids;
  requests[0].pooling = worker::Pooling::kLast;
  requests[1].pooling = worker::Pooling::kMean;
  ASSERT_EQ(requests[0].prompt.size(), states.rows);
  std::vector<double> mean(states.columns);
  for (size_t i = 0; i < states.values.size(); ++i) mean[i % states.columns] += double{states.values[i]} / states.rows;

  const GroupRun run = run_group(*checkpoint, GroupOptions(), requests);
  ASSERT_EQ(run.answers[0].embedding.size(), states.columns);
  ASSERT_EQ(run.answers[1].embedding.size(), states.columns);
  for (uint32_t d = 0; d < states.columns; ++d) {
    const double last = double{states.values[size_t{states.rows - 1} * states.columns + d]};
    EXPECT_NEAR(run.answers[0].embedding[d], last, 1e-3 * std::max(1.0, std::abs(last)));
    EXPECT_NEAR(run.answers[1].embedding[d], mean[d], 1e-3 * std::max(1.0, std::abs(mean[d])));
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Embedding, ::testing::Values("deepseek-v3-tiny", "gpt-oss-tiny", "qwen3-moe-tiny"));

}  // namespace
}  // namespace switchyard::testing
