// Same bits (invariant 1): a request's tokens and log-probabilities depend on its own sequence and the weights alone.
// The reference of every comparison is the request alone, on one rank, with its prompt in one piece; every comparison
// is of bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <random>

#include "common/checkpoint/checkpoint.h"
#include "common/structured/constraint.h"
#include "tests/support/reference.h"
#include "tests/support/virtual_group.h"

namespace switchyard::testing {
namespace {

using kernels::WeightForm;

const char* const kGolden[] = {"deepseek-v2-lite-tiny",
                               "deepseek-v2-tiny",
                               "deepseek-v3-tiny",
                               "deepseek-v3-fp8-tiny",
                               "qwen3-moe-tiny",
                               "qwen2-moe-tiny",
                               "mixtral-tiny",
                               "gpt-oss-tiny",
                               "gpt-oss-mxfp4-tiny",
                               "glm4-moe-tiny",
                               "llama3-tiny",
                               "qwen2-tiny",
                               "qwen3-tiny",
                               "r1-tiny"};

const char* const kOdd[] = {"gptoss-c", "llama-d", "qwen3moe-a", "v3-bias"};

struct Case {
  std::string directory;
  std::string model;
  WeightForm form;
  std::string kv_cache_dtype = "auto";
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.model; }

class SameBits : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    auto opened = checkpoint::Checkpoint::open(GetParam().directory + "/" + GetParam().model);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    checkpoint_ = std::make_unique<checkpoint::Checkpoint>(std::move(*opened));
  }

  GroupOptions options() const {
    GroupOptions o;
    o.form = GetParam().form;
    o.kv_cache_dtype = GetParam().kv_cache_dtype;
    o.max_model_len = 256;
    return o;
  }

  // Prompts of 1 to 90 tokens (longer than every window and several KV blocks), half sampled, half greedy, some scored.
  std::vector<TestRequest> requests(size_t count) const {
    std::mt19937 random(20261124);
    std::vector<TestRequest> all(count);
    for (size_t i = 0; i < count; ++i) {
      TestRequest& r = all[i];
      const size_t length = i == 0 ? 90 : 1 + random() % 90;
      for (size_t t = 0; t < length; ++t)
        r.prompt.push_back(static_cast<int32_t>(random() % checkpoint_->spec().vocab_size));
      r.max_tokens = static_cast<uint32_t>(6 + random() % 10);
      r.params.logprobs = true;
      r.params.prompt_logprobs = i % 3 == 0;
      r.params.temperature = i % 2 == 0 ? 0.0F : 0.9F;
      r.params.top_p = i % 4 == 1 ? 0.9F : 1.0F;
      r.params.presence_penalty = i % 5 == 2 ? 0.5F : 0.0F;
      r.params.seed = 1000 + i;
    }
    return all;
  }

  // Each request alone, one rank, prompt in one piece.
  std::vector<TestAnswer> alone(const std::vector<TestRequest>& all) const {
    std::vector<TestAnswer> answers;
    for (const auto& request : all) answers.push_back(run_group(*checkpoint_, options(), {request}).answers[0]);
    return answers;
  }

  static void expect_same(const std::vector<TestAnswer>& got, const std::vector<TestAnswer>& want,
                          const std::string& what) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].error, "") << what;
      EXPECT_EQ(got[i].tokens, want[i].tokens) << what << ", request " << i;
      EXPECT_EQ(got[i].logprobs, want[i].logprobs) << what << ", request " << i;
      EXPECT_EQ(got[i].prompt_logprobs, want[i].prompt_logprobs) << what << ", request " << i;
      EXPECT_EQ(got[i].embedding, want[i].embedding) << what << ", request " << i;
    }
  }

  std::unique_ptr<checkpoint::Checkpoint> checkpoint_;
};

TEST_P(SameBits, InABatchOf32AsAlone) {
  const auto all = requests(32);
  const auto want = alone(all);
  expect_same(run_group(*checkpoint_, options(), all).answers, want, "batch of 32");
}

TEST_P(SameBits, OnOneTwoThreeAndFourRanks) {
  const auto all = requests(7);
  const auto want = alone(all);
  for (uint32_t ranks = 1; ranks <= 4; ++ranks) {
    GroupOptions o = options();
    o.ranks = ranks;
    expect_same(run_group(*checkpoint_, o, all).answers, want, std::to_string(ranks) + " ranks");
  }
}

TEST_P(SameBits, WithPromptsInChunks) {
  const auto all = requests(5);
  const auto want = alone(all);
  for (const uint32_t chunk : {7U, 16U, 64U}) {
    GroupOptions o = options();
    o.max_num_batched_tokens = chunk;
    expect_same(run_group(*checkpoint_, o, all).answers, want, "chunks of " + std::to_string(chunk));
  }
}

TEST_P(SameBits, WhereverExpertsLive) {
  if (checkpoint_->spec().expert_count == 0) return;  // nothing to place
  const auto all = requests(4);
  const auto want = alone(all);
  for (const uint64_t seed : {11U, 12U, 13U}) {
    GroupOptions o = options();
    o.ranks = 3;
    o.placement_seed = seed;
    expect_same(run_group(*checkpoint_, o, all).answers, want, "placement seed " + std::to_string(seed));
  }
}

TEST_P(SameBits, WithSeveralThreads) {
  const auto all = requests(6);
  const auto want = alone(all);
  GroupOptions o = options();
  o.threads = 3;
  expect_same(run_group(*checkpoint_, o, all).answers, want, "3 threads");
}

TEST_P(SameBits, AfterPreemptionAndRecomputation) {
  // Short prompts that all get in, and long answers that outgrow the cache together.
  auto all = requests(8);
  for (auto& request : all) {
    request.prompt.resize(std::min<size_t>(request.prompt.size(), 20));
    request.max_tokens = 70;
  }
  const auto want = alone(all);
  GroupOptions o = options();
  o.kv_blocks = 16;  // 256 positions for eight sequences of up to 90
  const GroupRun run = run_group(*checkpoint_, o, all);
  const bool every_layer_slides = std::all_of(checkpoint_->spec().layers.begin(), checkpoint_->spec().layers.end(),
                                              [](const auto& l) { return l.window != 0; });
  if (!every_layer_slides) {
    EXPECT_GT(run.preemptions, 0U) << "nothing was preempted: the test did not test";
  }
  expect_same(run.answers, want, "preempted");
  EXPECT_EQ(run.blocks_used[0], 0U);
}

// Two at a time, so that later requests find what earlier ones computed, or compute it side by side with them.
TEST_P(SameBits, WithBeginningsFromTheCache) {
  auto all = requests(9);
  for (size_t i = 0; i < all.size(); ++i) {
    std::vector<int32_t> prompt(all[0].prompt.begin(), all[0].prompt.begin() + 30 + static_cast<long>(i) * 7);
    prompt.insert(prompt.end(), all[i].prompt.begin(), all[i].prompt.begin() + (i % 2 == 0 ? 0 : 1));
    all[i].prompt = prompt;
  }
  all[8] = all[2];
  const auto want = alone(all);
  const bool slides = std::any_of(checkpoint_->spec().layers.begin(), checkpoint_->spec().layers.end(),
                                  [](const auto& l) { return l.window != 0; });
  for (const uint32_t blocks : {0U, 24U}) {  // 24: what nobody holds is taken for others again
    GroupOptions o = options();
    o.max_num_seqs = 2;
    o.kv_blocks = blocks;
    const GroupRun run = run_group(*checkpoint_, o, all);
    expect_same(run.answers, want, std::to_string(blocks) + " blocks");
    if (!slides) {
      EXPECT_GT(run.prefix_hits, 100U) << "nothing was found: the test did not test";
    }
    EXPECT_EQ(run.blocks_used[0], 0U);
    o.share_prefixes = false;
    EXPECT_EQ(run_group(*checkpoint_, o, all).prefix_hits, 0U);
  }
}

TEST_P(SameBits, AsAReplayOfTokensGeneratedBefore) {
  const auto all = requests(4);
  const auto want = alone(all);
  auto replays = all;
  std::vector<TestAnswer> rest(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const size_t kept = want[i].tokens.size() / 2;
    replays[i].params.prompt_logprobs = false;
    replays[i].generated.assign(want[i].tokens.begin(), want[i].tokens.begin() + static_cast<std::ptrdiff_t>(kept));
    rest[i].tokens.assign(want[i].tokens.begin() + static_cast<std::ptrdiff_t>(kept), want[i].tokens.end());
    rest[i].logprobs.assign(want[i].logprobs.begin() + static_cast<std::ptrdiff_t>(kept), want[i].logprobs.end());
  }
  expect_same(run_group(*checkpoint_, options(), replays).answers, rest, "replay");
}

// Embeddings among others' generation: chunked, preempted, on several ranks, behind a prompt that the cache holds.
TEST_P(SameBits, OfEmbeddings) {
  auto all = requests(9);
  for (size_t i = 0; i < all.size(); ++i) {
    if (i % 3 == 2) continue;
    all[i].pooling = i % 3 == 0 ? worker::Pooling::kMean : worker::Pooling::kLast;
    all[i].max_tokens = 0;
    all[i].params.prompt_logprobs = false;
    if (i > 3) all[i].prompt.insert(all[i].prompt.begin(), all[0].prompt.begin(), all[0].prompt.begin() + 40);
  }
  const auto want = alone(all);
  for (size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(want[i].embedding.size(), i % 3 == 2 ? 0U : checkpoint_->spec().hidden);
  for (const uint32_t ranks : {1U, 3U}) {
    for (const uint32_t chunk : {13U, 512U}) {
      GroupOptions o = options();
      o.ranks = ranks;
      o.max_num_batched_tokens = chunk;
      o.max_num_seqs = 4;
      o.kv_blocks = 24;
      expect_same(run_group(*checkpoint_, o, all).answers, want,
                  std::to_string(ranks) + " ranks, chunks of " + std::to_string(chunk));
    }
  }
}

// Every third request must keep to a grammar; the others have the bits that they have without such neighbours, and
// those themselves have the bits that they have alone, also as replays.
TEST_P(SameBits, BesideRequestsUnderAGrammar) {
  const uint32_t size = checkpoint_->spec().vocab_size;
  std::vector<std::string> tokens(size);
  for (uint32_t id = 0; id < size; ++id) tokens[id] = std::to_string(id) + ",";
  const std::vector<std::string_view> views(tokens.begin(), tokens.end());
  auto automaton = structured::compile({.kind = structured::Constraint::Kind::kRegex, .text = "([0-9]*[13579],){6,}"});
  ASSERT_TRUE(automaton.ok());
  const auto masks =
      std::make_shared<structured::Masks>(std::move(*automaton), std::make_shared<const structured::Vocabulary>(views));
  const auto plain = requests(9);
  const auto want_plain = alone(plain);
  auto all = plain;
  for (size_t i = 0; i < all.size(); i += 3) {
    all[i].masks = masks;
    all[i].params.temperature = i == 3 ? 0.0F : 1.5F;
  }
  const auto want = alone(all);
  const auto got = run_group(*checkpoint_, options(), all).answers;
  expect_same(got, want, "beside others");
  bool differs = false;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i].masks) {
      expect_same({got[i]}, {want_plain[i]}, "without neighbours under a grammar");
      continue;
    }
    differs |= got[i].tokens != want_plain[i].tokens;
    for (const int32_t token : got[i].tokens) EXPECT_EQ(token % 2, 1) << "request " << i;
    auto replay = all[i];
    replay.params.prompt_logprobs = false;
    const auto kept = static_cast<std::ptrdiff_t>(got[i].tokens.size() / 2);
    replay.generated.assign(got[i].tokens.begin(), got[i].tokens.begin() + kept);
    TestAnswer rest;
    rest.tokens.assign(got[i].tokens.begin() + kept, got[i].tokens.end());
    rest.logprobs.assign(got[i].logprobs.begin() + kept, got[i].logprobs.end());
    expect_same(run_group(*checkpoint_, options(), {replay}).answers, {rest}, "replay under a grammar");
  }
  EXPECT_TRUE(differs) << "the grammar changed nothing: the test did not test";
}

// SWITCHYARD_GOLDEN in the environment: all checkpoints of another directory instead
// (tests/tools/make_odd_checkpoints.py).
std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const std::string& directory, const std::string& model) {
    for (const auto form : {WeightForm::kFloat32, WeightForm::kBfloat16, WeightForm::kInt8, WeightForm::kInt4}) {
      all.push_back({directory, model, form});
    }
    all.push_back({directory, model, WeightForm::kInt8, "int8"});
  };
  if (const char* other = std::getenv("SWITCHYARD_GOLDEN")) {
    for (const std::string& model : golden_names(other)) add(other, model);
    return all;
  }
  for (const char* model : kGolden) add(SWITCHYARD_TEST_DATA "/golden", model);
  for (const char* model : kOdd) add(SWITCHYARD_TEST_DATA "/odd", model);
  return all;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model;
  std::replace(name.begin(), name.end(), '-', '_');
  name += std::string("_") + kernels::kWeightFormNames[static_cast<size_t>(info.param.form)];
  return info.param.kv_cache_dtype == "auto" ? name : name + "_kv_" + info.param.kv_cache_dtype;
}

INSTANTIATE_TEST_SUITE_P(Golden, SameBits, ::testing::ValuesIn(cases()), case_name);

}  // namespace
}  // namespace switchyard::testing
