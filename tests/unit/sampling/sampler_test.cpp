// The sampler against a slow one that sorts, in long double, written from the order of steps in the header.
#include "worker/sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <vector>

namespace switchyard::worker {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// What a request has seen, for the reference.
struct History {
  std::vector<int32_t> prompt;
  std::vector<int32_t> generated;
};

// The row after bias, mask and penalties: vLLM's formulas, in float as there.
std::vector<float> reference_adjusted(std::vector<float> row, const SamplingParams& params, const History& history) {
  for (float& x : row) x = std::isnan(x) ? -kInfinity : x;
  for (const auto& [id, bias] : params.logit_bias) row[static_cast<size_t>(id)] += bias;
  if (history.generated.size() < params.min_tokens) {
    for (const int32_t id : params.stop_token_ids) row[static_cast<size_t>(id)] = -kInfinity;
  }
  std::map<int32_t, int> output_counts;
  for (const int32_t id : history.generated) ++output_counts[id];
  for (size_t id = 0; id < row.size(); ++id) {
    const int32_t token = static_cast<int32_t>(id);
    const bool in_prompt = std::find(history.prompt.begin(), history.prompt.end(), token) != history.prompt.end();
    if (in_prompt || output_counts.contains(token)) {
      row[id] = row[id] > 0.0F ? row[id] / params.repetition_penalty : row[id] * params.repetition_penalty;
    }
    if (output_counts.contains(token)) {
      row[id] -= params.frequency_penalty * static_cast<float>(output_counts[token]);
      row[id] -= params.presence_penalty;
    }
  }
  return row;
}

// Probabilities of what can be drawn, 0 for the rest; nothing where a choice hangs on rounding.
std::optional<std::vector<long double>> reference_probabilities(const std::vector<float>& row,
                                                                const SamplingParams& params) {
  constexpr long double kNear = 1e-11L;
  const float max = *std::max_element(row.begin(), row.end());
  std::vector<long double> weights(row.size());
  for (size_t i = 0; i < row.size(); ++i) {
    weights[i] = std::exp((static_cast<long double>(row[i]) - max) / static_cast<long double>(params.temperature));
  }
  std::vector<size_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
  for (long double& w : weights) {
    if (std::abs(w - params.min_p) < kNear && w > 0 && params.min_p > 0.0F) return std::nullopt;
    if (w < params.min_p) w = 0;
  }
  if (params.top_k > 0) {
    for (size_t i = static_cast<size_t>(params.top_k); i < order.size(); ++i) weights[order[i]] = 0;
  }
  if (params.top_p < 1.0F) {
    const long double wanted = params.top_p * std::accumulate(weights.begin(), weights.end(), 0.0L);
    long double sum = 0;
    bool done = false;
    for (const size_t i : order) {
      if (done) weights[i] = 0;
      sum += weights[i];
      if (!done && weights[i] > 0 && std::abs(sum - wanted) < kNear) return std::nullopt;
      done = done || sum >= wanted;
    }
  }
  const long double total = std::accumulate(weights.begin(), weights.end(), 0.0L);
  for (long double& w : weights) w /= total;
  return weights;
}

// The token at which the running sum by ascending id passes u; nothing where it is too close to say.
std::optional<int32_t> reference_draw(const std::vector<long double>& probabilities, long double u) {
  long double sum = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    sum += probabilities[i];
    if (std::abs(sum - u) < 1e-11L) return std::nullopt;
    if (sum > u) return static_cast<int32_t>(i);
  }
  return std::nullopt;
}

SamplingState state_of(const SamplingParams& params, const History& history) {
  SamplingState state(params);
  state.add_prompt(history.prompt);
  for (const int32_t token : history.generated) state.add_generated(token);
  return state;
}

int32_t sample(const std::vector<float>& row, const SamplingParams& params, uint64_t position = 0,
               const History& history = {}) {
  std::vector<float> scratch;
  return state_of(params, history).sample(row, position, scratch);
}

std::vector<float> random_row(std::mt19937& random, size_t size, float deviation) {
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> row(size);
  for (float& x : row) x = normal(random);
  return row;
}

TEST(Sampler, DrawsWhatASortingReferenceDraws) {
  constexpr uint32_t kSeed = 1;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  const auto pick = [&](auto... choices) {
    const std::vector<double> all{static_cast<double>(choices)...};
    return all[random() % all.size()];
  };
  std::vector<float> scratch;  // shared by rows of every size, as the engine's is
  int compared = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const auto size = static_cast<size_t>(pick(1, 2, 3, 17, 255, 256, 257, 1000, 3000));
    std::vector<float> row = random_row(random, size, static_cast<float>(pick(0.01, 1, 5, 20)));
    if (random() % 4 == 0) {  // ties
      for (float& x : row) x = std::round(x);
    }
    if (random() % 4 == 0) row[random() % size] = kNan;
    if (random() % 4 == 0) row[random() % size] = -kInfinity;
    if (random() % 8 == 0) row[random() % size] = 1000.0F;
    if (random() % 8 == 0) row[random() % size] = -3.0e38F;

    SamplingParams params;
    params.seed = random();
    params.temperature = static_cast<float>(pick(0.1, 0.7, 1, 1, 2.5));
    params.top_p = static_cast<float>(pick(1, 1, 0.99, 0.9, 0.5, 0.05, 1e-6));
    params.top_k = static_cast<int32_t>(pick(0, 0, 1, 2, 20, 100, 100000));
    params.min_p = static_cast<float>(pick(0, 0, 0.001, 0.05, 0.5, 1));
    History history;
    if (random() % 2 == 0) {
      params.repetition_penalty = static_cast<float>(pick(1, 1.3, 0.8));
      params.frequency_penalty = static_cast<float>(pick(0, 0.5, -0.5, 2));
      params.presence_penalty = static_cast<float>(pick(0, 1.5, -1));
      for (int i = 0; i < 20; ++i) history.prompt.push_back(static_cast<int32_t>(random() % size));
      for (int i = 0; i < 20; ++i) history.generated.push_back(static_cast<int32_t>(random() % size));
    }
    if (random() % 3 == 0) {
      for (int i = 0; i < 3; ++i) {
        params.logit_bias.emplace_back(static_cast<int32_t>(random() % size), static_cast<float>(pick(-100, -1, 2, 7)));
      }
    }
    if (random() % 3 == 0) {
      params.min_tokens = static_cast<uint32_t>(pick(1, 20, 21));
      params.stop_token_ids = {static_cast<int32_t>(random() % size)};
    }

    const std::vector<float> adjusted = reference_adjusted(row, params, history);
    if (*std::max_element(adjusted.begin(), adjusted.end()) == -kInfinity) continue;
    const auto probabilities = reference_probabilities(adjusted, params);
    if (!probabilities) continue;
    const SamplingState state = state_of(params, history);
    for (uint64_t position = 0; position < 20; ++position) {
      const std::optional<int32_t> expected = reference_draw(*probabilities, uniform(params.seed, position));
      if (!expected) continue;
      ASSERT_EQ(state.sample(row, position, scratch), *expected)
          << "trial " << trial << ", " << size << " tokens, temperature " << params.temperature << ", top_p "
          << params.top_p << ", top_k " << params.top_k << ", min_p " << params.min_p << ", position " << position;
      ++compared;
    }
  }
  EXPECT_GT(compared, 40000);  // few draws hang on rounding
}

TEST(Sampler, GreedyTakesTheLargestAfterPenaltiesAndTheLowerIdOfEquals) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 500; ++trial) {
    std::vector<float> row = random_row(random, 300, 2.0F);
    for (float& x : row) x = std::round(x);
    SamplingParams params;
    params.temperature = 0.0F;
    params.frequency_penalty = trial % 2 == 0 ? 0.0F : 1.0F;
    params.repetition_penalty = trial % 3 == 0 ? 1.0F : 2.0F;
    History history;
    for (int i = 0; i < 50; ++i) history.generated.push_back(static_cast<int32_t>(random() % row.size()));
    for (int i = 0; i < 50; ++i) history.prompt.push_back(static_cast<int32_t>(random() % row.size()));
    const std::vector<float> adjusted = reference_adjusted(row, params, history);
    const auto expected = std::max_element(adjusted.begin(), adjusted.end()) - adjusted.begin();  // the first
    ASSERT_EQ(sample(row, params, 0, history), expected) << "trial " << trial;
  }
}

TEST(Sampler, DrawsInTheProportionsOfTheSoftmax) {
  std::mt19937 random(3);
  const std::vector<float> row = random_row(random, 40, 1.0F);
  SamplingParams params;
  params.temperature = 0.8F;
  const auto chi_square = [&](const SamplingParams& with) {
    constexpr int kDraws = 100000;
    const auto probabilities = reference_probabilities(row, with).value();
    std::vector<int> counts(row.size());
    std::vector<float> scratch;
    const SamplingState state(with);
    for (int i = 0; i < kDraws; ++i)
      ++counts[static_cast<size_t>(state.sample(row, static_cast<uint64_t>(i), scratch))];
    double sum = 0.0;
    for (size_t i = 0; i < counts.size(); ++i) {
      const double expected = static_cast<double>(probabilities[i]) * kDraws;
      if (expected == 0.0) {
        EXPECT_EQ(counts[i], 0) << i;
      } else {
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
      }
    }
    return sum;
  };
  // 39 degrees of freedom at most: exceeded by one generator in 10,000.
  constexpr double kBound = 80.0;
  for (const uint64_t seed : {1ULL, 42ULL, 0xdeadbeefcafeULL}) {
    params.seed = seed;
    EXPECT_LT(chi_square(params), kBound) << "seed " << seed;
    SamplingParams cut = params;
    cut.top_k = 20;
    cut.top_p = 0.9F;
    EXPECT_LT(chi_square(cut), kBound) << "seed " << seed << " with top_k and top_p";
  }
}

TEST(Sampler, SeedsDrawInTheProportionsOfTheSoftmaxToo) {
  const std::vector<float> row{0.0F, 1.0F, 2.0F};
  int counts[3] = {};
  for (uint64_t seed = 0; seed < 30000; ++seed) {
    SamplingParams params;
    params.seed = seed;
    ++counts[sample(row, params, 5)];
  }
  double chi_square = 0.0;
  for (int i = 0; i < 3; ++i) {
    const double expected = 30000.0 * std::exp(i) / (1.0 + std::exp(1.0) + std::exp(2.0));
    chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  EXPECT_LT(chi_square, 18.4);  // 2 degrees of freedom, one in 10,000
}

TEST(Sampler, TheDrawDependsOnSeedPositionAndRowOnly) {
  std::mt19937 random(4);
  const std::vector<float> row = random_row(random, 5000, 1.0F);
  const std::vector<float> other = random_row(random, 9000, 30.0F);
  SamplingParams params;
  params.seed = 77;
  params.top_p = 0.95F;
  std::vector<int32_t> first;
  for (uint64_t position = 0; position < 50; ++position) first.push_back(sample(row, params, position));
  EXPECT_GT(std::set<int32_t>(first.begin(), first.end()).size(), 40U);

  // Backwards, with another row's leftovers in the scratch, on a state that has drawn and seen tokens.
  SamplingState used(params);
  std::vector<float> scratch;
  for (int i = 0; i < 100; ++i) used.add_generated(i);
  for (uint64_t position = 50; position-- > 0;) {
    used.sample(other, position, scratch);
    EXPECT_EQ(used.sample(row, position, scratch), first[position]) << position;
  }
}

TEST(Sampler, NanCountsAsMinusInfinity) {
  SamplingParams greedy;
  greedy.temperature = 0.0F;
  EXPECT_EQ(sample({kNan, 1.0F, kNan, 2.0F, kNan}, greedy), 3);
  SamplingParams params;
  params.top_k = 3;
  params.top_p = 0.99F;
  for (uint64_t position = 0; position < 200; ++position) {
    const int32_t token = sample({kNan, 1.0F, kNan, 1.0F, -kInfinity}, params, position);
    EXPECT_TRUE(token == 1 || token == 3) << token;
  }
}

TEST(Sampler, ARowOfMinusInfinityGivesTheLowestAllowedId) {
  for (const float temperature : {0.0F, 1.0F}) {
    for (const float nothing : {kNan, -kInfinity}) {
      SamplingParams params;
      params.temperature = temperature;
      params.top_p = 0.5F;
      params.top_k = 2;
      const std::vector<float> row(600, nothing);
      EXPECT_EQ(sample(row, params), 0);
      params.min_tokens = 1;
      params.stop_token_ids = {1, 0};
      EXPECT_EQ(sample(row, params), 2);
    }
  }
}

TEST(Sampler, InfiniteLogitsShareTheDraws) {
  SamplingParams params;
  int counts[4] = {};
  for (uint64_t position = 0; position < 1000; ++position) {
    ++counts[sample({5.0F, kInfinity, 1.0F, kInfinity}, params, position)];
  }
  EXPECT_EQ(counts[0] + counts[2], 0);
  EXPECT_NEAR(counts[1], 500, 80);
}

TEST(Sampler, TopPOfZeroAndTopKOfOneAreGreedy) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> row = random_row(random, 1 + random() % 400, trial % 2 == 0 ? 3.0F : 0.0F);
    for (float& x : row) x = std::round(x);
    row[0] = -kInfinity;
    SamplingParams greedy;
    greedy.temperature = 0.0F;
    SamplingParams top_p;
    top_p.top_p = 0.0F;
    SamplingParams top_k;
    top_k.top_k = 1;
    ASSERT_EQ(sample(row, top_p, static_cast<uint64_t>(trial)), sample(row, greedy));
    ASSERT_EQ(sample(row, top_k, static_cast<uint64_t>(trial)), sample(row, greedy));
  }
}

// An outlier squeezes all others into one bin of a first histogram: the case that would sort the whole vocabulary.
TEST(Sampler, TopKAndTopPAreExactWhereValuesCrowd) {
  std::mt19937 random(6);
  std::vector<float> row(50000);
  for (float& x : row) x = 1e-5F * static_cast<float>(random() % 100000);
  row[123] = 8.0F;
  row[4567] = -40.0F;
  for (const int32_t top_k : {1, 2, 50, 300, 20000}) {
    for (const float top_p : {1.0F, 0.9F, 0.3F}) {
      SamplingParams params;
      params.top_k = top_k;
      params.top_p = top_p;
      const auto probabilities = reference_probabilities(row, params);
      ASSERT_TRUE(probabilities);
      std::vector<float> scratch;
      for (uint64_t position = 0; position < 50; ++position) {
        const auto expected = reference_draw(*probabilities, uniform(0, position));
        if (!expected) continue;
        ASSERT_EQ(SamplingState(params).sample(row, position, scratch), *expected)
            << "top_k " << top_k << ", top_p " << top_p;
      }
    }
  }
}

TEST(Sampler, MinTokensHoldsBackStopsUntilThen) {
  SamplingParams params;
  params.temperature = 0.0F;
  params.min_tokens = 2;
  params.stop_token_ids = {1};
  const std::vector<float> row{0.0F, 9.0F, 1.0F};
  EXPECT_EQ(sample(row, params), 2);
  EXPECT_EQ(sample(row, params, 0, {{}, {0}}), 2);
  EXPECT_EQ(sample(row, params, 0, {{}, {0, 0}}), 1);
  params.temperature = 1.0F;
  for (uint64_t position = 0; position < 200; ++position) EXPECT_NE(sample(row, params, position), 1);
}

TEST(Sampler, IdsOutsideTheVocabularyAreIgnored) {
  SamplingParams params;
  params.temperature = 0.0F;
  params.repetition_penalty = 1.5F;
  params.frequency_penalty = 1.0F;
  params.logit_bias = {{-1, 100.0F}, {3, 100.0F}, {1 << 30, 100.0F}};
  params.min_tokens = 5;
  params.stop_token_ids = {-7, 3, 1 << 30};
  EXPECT_EQ(sample({0.0F, 1.0F, 0.5F}, params, 0, {{-2, 99}, {-2, 99}}), 1);
}

TEST(TokenLogprob, AgreesWithASoftmaxInLongDouble) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<float> row = random_row(random, 1 + random() % 2000, trial % 2 == 0 ? 1.0F : 10.0F);
    if (trial % 3 == 0) {
      for (float& x : row) x = std::round(x);
    }
    if (trial % 5 == 0 && row.size() > 1) row[0] = kNan;
    const float max = *std::max_element(row.begin(), row.end(), [](float a, float b) {
      return (std::isnan(a) ? -kInfinity : a) < (std::isnan(b) ? -kInfinity : b);
    });
    long double sum = 0;
    for (const float x : row) sum += std::isnan(x) ? 0.0L : std::exp(static_cast<long double>(x) - max);
    std::vector<size_t> order;
    for (size_t i = 0; i < row.size(); ++i) {
      if (!std::isnan(row[i])) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });

    const size_t token = order[random() % order.size()];
    const uint32_t top = static_cast<uint32_t>(random() % 21);
    const TokenLogprob result = token_logprob(row, static_cast<int32_t>(token), top);
    const auto expected = [&](size_t id) { return static_cast<double>(row[id] - max - std::log(sum)); };
    EXPECT_EQ(result.token_id, static_cast<int32_t>(token));
    EXPECT_NEAR(result.logprob, expected(token), 1e-7 * (1.0 + std::abs(expected(token))));
    const auto rank = 1 + std::count_if(order.begin(), order.end(), [&](size_t i) { return row[i] > row[token]; });
    EXPECT_EQ(result.rank, rank);
    ASSERT_EQ(result.top.size(), std::min<size_t>(top, row.size()));
    for (size_t i = 0; i < std::min(result.top.size(), order.size()); ++i) {
      EXPECT_EQ(result.top[i].first, static_cast<int32_t>(order[i])) << "trial " << trial << ", entry " << i;
      EXPECT_NEAR(result.top[i].second, expected(order[i]), 1e-7 * (1.0 + std::abs(expected(order[i]))));
    }
  }
}

TEST(TokenLogprob, OddRowsGiveNumbersAndNoNan) {
  EXPECT_EQ(token_logprob(std::vector<float>{4.0F}, 0, 0).logprob, 0.0F);
  EXPECT_EQ(token_logprob(std::vector<float>{1.0F, kNan}, 1, 2).logprob, -kInfinity);
  EXPECT_EQ(token_logprob(std::vector<float>{1.0F, kNan}, 1, 2).rank, 2U);
  EXPECT_EQ(token_logprob(std::vector<float>(4, -kInfinity), 2, 2).logprob, -kInfinity);
  EXPECT_EQ(token_logprob(std::vector<float>{1.0F, 2.0F}, 7, 0).logprob, -kInfinity);
  const TokenLogprob shared = token_logprob(std::vector<float>{kInfinity, 3.0F, kInfinity}, 2, 3);
  EXPECT_NEAR(shared.logprob, std::log(0.5), 1e-7);
  EXPECT_EQ(shared.rank, 1U);
  EXPECT_EQ(shared.top[0].first, 0);
  EXPECT_EQ(shared.top[2].second, -kInfinity);
}

// A mask is as if the other logits were -inf, in every combination of parameters.
TEST(Sampler, AMaskLeavesTheOtherTokensOut) {
  std::mt19937 engine(11);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> scratch;
  for (int round = 0; round < 400; ++round) {
    const size_t size = 1 + engine() % 100;
    std::vector<float> row(size);
    for (float& x : row) x = engine() % 20 == 0 ? kNan : normal(engine);
    std::vector<uint32_t> mask((size + 31) / 32);
    for (uint32_t& word : mask) word = static_cast<uint32_t>(engine());
    mask[0] |= 1;
    std::vector<float> masked = row;
    for (size_t i = 0; i < size; ++i)
      if ((mask[i / 32] >> (i % 32) & 1U) == 0) masked[i] = -kInfinity;
    SamplingParams params;
    params.temperature = round % 3 == 0 ? 0.0F : 1.5F;
    params.top_k = round % 5 == 0 ? 4 : 0;
    params.top_p = round % 4 == 0 ? 0.8F : 1.0F;
    params.presence_penalty = round % 7 == 0 ? 1.0F : 0.0F;
    params.seed = static_cast<uint64_t>(round);
    SamplingState state(params);
    state.add_generated(0);
    const int32_t token = state.sample(row, 5, scratch, mask);
    EXPECT_EQ(mask[static_cast<size_t>(token) / 32] >> (token % 32) & 1U, 1U) << round;
    if (*std::max_element(masked.begin(), masked.end()) > -kInfinity) {
      EXPECT_EQ(token, state.sample(masked, 5, scratch)) << round;
    }
  }
}

TEST(Sampler, WhereNothingIsLikelyTheLowestAllowedTokenIsDrawn) {
  const std::vector<float> row(40, -kInfinity);
  const std::vector<uint32_t> mask = {0, 0b1100};
  SamplingParams params;
  params.stop_token_ids = {34};
  std::vector<float> scratch;
  EXPECT_EQ(SamplingState(params).sample(row, 0, scratch, mask), 34);
  params.min_tokens = 1;
  EXPECT_EQ(SamplingState(params).sample(row, 0, scratch, mask), 35);
}

}  // namespace
}  // namespace switchyard::worker
