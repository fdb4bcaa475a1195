// Routers against a reference that sorts whole lists in double, and hand-made cases for ties, groups and broken logits.
#include <algorithm>

#include "tests/unit/kernels/support.h"

namespace switchyard::kernels {
namespace {

class Router : public Table {
 protected:
  struct Choice {
    std::vector<int32_t> ids;
    std::vector<float> weights;
  };
  Choice route(const RouterSpec& spec, const std::vector<float>& logits, const std::vector<float>& bias = {},
               uint32_t threads = 1) const {
    ThreadPool pool(threads);
    const auto rows = static_cast<uint32_t>(logits.size() / spec.expert_count);
    Choice c{std::vector<int32_t>(rows * spec.top_k, -1), std::vector<float>(rows * spec.top_k, -1.0F)};
    ops().route(pool, spec, logits.data(), bias.empty() ? nullptr : bias.data(), rows, c.ids.data(), c.weights.data());
    return c;
  }
};
INSTANTIATE_TEST_SUITE_P(Tables, Router, testing::ValuesIn(all_tables()), table_name);

struct Scored {
  double value;
  int32_t id;
};
void sort_scored(std::vector<Scored>& list) {
  std::sort(list.begin(), list.end(),
            [](const Scored& a, const Scored& b) { return a.value != b.value ? a.value > b.value : a.id < b.id; });
}

// ids and weights of one row, in double.
std::vector<Scored> reference(const RouterSpec& spec, const float* logits, const float* bias) {
  const uint32_t n = spec.expert_count;
  std::vector<double> score(n);
  double sum = 0.0;
  for (uint32_t e = 0; e < n; ++e) {
    const double x = logits[e];
    score[e] = spec.score == RouterScore::kSigmoid   ? 1.0 / (1.0 + std::exp(-x))
               : spec.score == RouterScore::kSoftmax ? std::exp(x)
                                                     : x;
    sum += score[e];
  }
  if (spec.score == RouterScore::kSoftmax) {
    for (double& s : score) s /= sum;
  }
  std::vector<double> choice = score;
  for (uint32_t e = 0; bias != nullptr && e < n; ++e) choice[e] += double{bias[e]};
  const uint32_t size = n / spec.group_count;
  std::vector<Scored> groups;
  for (uint32_t g = 0; g < spec.group_count; ++g) {
    std::vector<Scored> members;
    for (uint32_t e = g * size; e < (g + 1) * size; ++e) members.push_back({choice[e], static_cast<int32_t>(e)});
    sort_scored(members);
    groups.push_back({spec.group_score == GroupScore::kBest ? members[0].value : members[0].value + members[1].value,
                      static_cast<int32_t>(g)});
  }
  sort_scored(groups);
  std::vector<Scored> chosen;
  for (uint32_t g = 0; g < (spec.group_count > 1 ? spec.group_top_k : 1); ++g) {
    for (uint32_t e = 0; e < size; ++e) {
      const auto id = static_cast<int32_t>(static_cast<uint32_t>(groups[g].id) * size + e);
      chosen.push_back({choice[static_cast<size_t>(id)], id});
    }
  }
  sort_scored(chosen);
  chosen.resize(spec.top_k);
  for (Scored& c : chosen) c.value = score[static_cast<size_t>(c.id)];
  sort_scored(chosen);
  double total = spec.score == RouterScore::kSigmoid ? 1e-20 : 0.0;
  for (Scored& c : chosen) {
    if (spec.score == RouterScore::kSoftmaxOfTopK) c.value = std::exp(c.value);
    total += c.value;
  }
  for (Scored& c : chosen) {
    if (spec.normalize || spec.score == RouterScore::kSoftmaxOfTopK) c.value /= total;
    c.value *= double{spec.scaling};
  }
  return chosen;
}

TEST_P(Router, MatchesTheDefinitionForEveryKindAndAnyBatch) {
  const RouterSpec specs[] = {
      {RouterScore::kSoftmax, 64, 6, false, 1.0F, 1, 1, GroupScore::kBest},
      {RouterScore::kSoftmax, 10, 3, true, 1.0F, 1, 1, GroupScore::kBest},
      {RouterScore::kSoftmax, 60, 6, false, 16.0F, 6, 3, GroupScore::kBest},
      {RouterScore::kSigmoid, 256, 8, true, 2.5F, 8, 4, GroupScore::kSumOfBestTwo},
      {RouterScore::kSigmoid, 12, 3, true, 1.0F, 3, 2, GroupScore::kSumOfBestTwo},
      {RouterScore::kSigmoid, 12, 12, false, 1.0F, 1, 1, GroupScore::kBest},
      {RouterScore::kSoftmaxOfTopK, 32, 4, false, 1.0F, 1, 1, GroupScore::kBest},
      {RouterScore::kSoftmaxOfTopK, 7, 1, true, 1.0F, 1, 1, GroupScore::kBest},
  };
  for (const RouterSpec& spec : specs) {
    for (const bool biased : {false, true}) {
      const uint32_t rows = 49;
      const std::vector<float> logits = random_values(size_t{rows} * spec.expert_count, spec.expert_count, 4.0F);
      const std::vector<float> bias = biased ? random_values(spec.expert_count, 77, 0.5F) : std::vector<float>();
      const Choice one = route(spec, logits, bias);
      for (uint32_t r = 0; r < rows; ++r) {
        const std::vector<Scored> expected =
            reference(spec, logits.data() + r * spec.expert_count, biased ? bias.data() : nullptr);
        for (uint32_t j = 0; j < spec.top_k; ++j) {
          ASSERT_EQ(one.ids[r * spec.top_k + j], expected[j].id) << "row " << r << " choice " << j;
          ASSERT_NEAR(one.weights[r * spec.top_k + j], expected[j].value, 2e-6 * expected[j].value);
        }
        const Choice alone = route(
            spec,
            std::vector<float>(logits.begin() + r * spec.expert_count, logits.begin() + (r + 1) * spec.expert_count),
            bias);
        ASSERT_TRUE(same_bits(alone.weights.data(), one.weights.data() + r * spec.top_k, spec.top_k));
      }
      for (const uint32_t threads : {2U, 3U}) {
        const Choice many = route(spec, logits, bias, threads);
        ASSERT_EQ(many.ids, one.ids);
        ASSERT_TRUE(same_bits(many.weights.data(), one.weights.data(), one.weights.size()));
      }
    }
  }
}

TEST_P(Router, TiesGoToTheLowerId) {
  const std::vector<float> logits = {1.0F, 2.0F, 2.0F, 1.0F, 2.0F, 1.0F};
  for (const RouterScore score : {RouterScore::kSoftmax, RouterScore::kSigmoid, RouterScore::kSoftmaxOfTopK}) {
    EXPECT_EQ(route({score, 6, 4, true, 1.0F, 1, 1, GroupScore::kBest}, logits).ids,
              (std::vector<int32_t>{1, 2, 4, 0}));
  }
  // Equal groups: the lower group, then the lower expert.
  const std::vector<float> equal(8, 0.5F);
  EXPECT_EQ(route({RouterScore::kSigmoid, 8, 2, true, 1.0F, 4, 2, GroupScore::kSumOfBestTwo}, equal).ids,
            (std::vector<int32_t>{0, 1}));
}

TEST_P(Router, ExpertsOfOtherGroupsAreOutEvenWhenAllBiasedScoresAreNegative) {
  const RouterSpec spec{RouterScore::kSigmoid, 4, 2, true, 1.0F, 2, 1, GroupScore::kSumOfBestTwo};
  const std::vector<float> logits = {0.0F, -1.0F, 3.0F, 2.0F};
  const std::vector<float> bias = {-2.0F, -2.0F, -9.0F, -9.0F};
  EXPECT_EQ(route(spec, logits, bias).ids, (std::vector<int32_t>{0, 1}));
}

TEST_P(Router, BrokenLogitsStillChooseDistinctExpertsThatExist) {
  std::vector<float> logits(8 * 5, NAN);
  for (size_t i = 8; i < 16; ++i) logits[i] = INFINITY;
  for (size_t i = 16; i < 24; ++i) logits[i] = -INFINITY;
  for (size_t i = 24; i < 32; i += 2) logits[i] = 1.0F;
  for (size_t i = 32; i < 40; ++i) logits[i] = i == 35 ? NAN : 3e38F;
  for (const RouterScore score : {RouterScore::kSoftmax, RouterScore::kSigmoid, RouterScore::kSoftmaxOfTopK}) {
    for (const uint32_t groups : {1U, 4U}) {
      const Choice c = route({score, 8, 3, true, 1.0F, groups, 2, GroupScore::kSumOfBestTwo}, logits);
      for (size_t r = 0; r < 5; ++r) {
        std::vector<int32_t> ids(c.ids.begin() + static_cast<long>(3 * r),
                                 c.ids.begin() + static_cast<long>(3 * r + 3));
        std::sort(ids.begin(), ids.end());
        EXPECT_TRUE(ids[0] >= 0 && ids[0] < ids[1] && ids[1] < ids[2] && ids[2] < 8);
        for (size_t j = 3 * r; j < 3 * r + 3; ++j) EXPECT_TRUE(std::isfinite(c.weights[j]));
      }
    }
  }
}

}  // namespace
}  // namespace switchyard::kernels
