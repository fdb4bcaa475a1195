// Goal: every expert lives on exactly one rank, evenly, for every rank count. Method: all counts for expert counts even
// and odd.
#include "coordinator/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "common/checkpoint/model_spec.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::coordinator {
namespace {

constexpr uint32_t kLayers = 7;

uint32_t spread(const std::vector<uint32_t>& counts) {
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  return *most - *least;
}

class BalancedPlacement : public testing::TestWithParam<uint32_t> {};

TEST_P(BalancedPlacement, IsEvenToWithinOneInEachLayerAndOverAllLayersForEveryRankCount) {
  const uint32_t experts = GetParam();
  for (uint32_t ranks = 1; ranks <= experts; ++ranks) {
    const auto placement = place_experts("balanced", kLayers, experts, ranks);
    ASSERT_TRUE(placement.ok()) << placement.error().message;
    ASSERT_EQ(placement->rank_of_expert.size(), size_t{kLayers} * experts);
    std::vector<uint32_t> totals(ranks);
    for (uint32_t layer = 0; layer < kLayers; ++layer) {
      const auto counts = placement->counts(layer);
      ASSERT_EQ(std::accumulate(counts.begin(), counts.end(), 0U), experts);
      EXPECT_LE(spread(counts), 1U) << ranks << " ranks, layer " << layer;
      for (uint32_t rank = 0; rank < ranks; ++rank) totals[rank] += counts[rank];
    }
    EXPECT_LE(spread(totals), 1U) << ranks << " ranks over all layers";
  }
}

TEST_P(BalancedPlacement, GivesEachRankOneContiguousRun) {
  const uint32_t experts = GetParam();
  for (uint32_t ranks = 1; ranks <= experts; ++ranks) {
    const auto placement = place_experts("balanced", kLayers, experts, ranks);
    ASSERT_TRUE(placement.ok());
    for (uint32_t layer = 0; layer < kLayers; ++layer) {
      std::set<uint32_t> seen;
      for (uint32_t rank = 0; rank < ranks; ++rank) {
        const auto mine = placement->experts_of(layer, rank);
        ASSERT_FALSE(mine.empty());
        EXPECT_EQ(mine.back() - mine.front() + 1, mine.size());
        seen.insert(mine.begin(), mine.end());
      }
      EXPECT_EQ(seen.size(), experts);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(ExpertCounts, BalancedPlacement, testing::Values(8, 10, 12, 16, 64));

TEST(Placement, TenExpertsOnFourRanksMoveTheLongerRunsAround) {
  const auto placement = place_experts("balanced", 2, 10, 4);
  ASSERT_TRUE(placement.ok());
  EXPECT_EQ(placement->counts(0), (std::vector<uint32_t>{3, 3, 2, 2}));
  EXPECT_EQ(placement->counts(1), (std::vector<uint32_t>{2, 2, 3, 3}));
  EXPECT_EQ(placement->experts_of(1, 2), (std::vector<uint32_t>{4, 5, 6}));
}

TEST(Placement, RandomOnesDependOnTheSeedAlone) {
  const auto a = place_experts("random:7", 3, 16, 3), again = place_experts("random:7", 3, 16, 3);
  const auto b = place_experts("random:8", 3, 16, 3);
  ASSERT_TRUE(a.ok() && again.ok() && b.ok());
  EXPECT_EQ(*a, *again);
  EXPECT_NE(a->rank_of_expert, b->rank_of_expert);
  for (const auto rank : a->rank_of_expert) EXPECT_LT(rank, 3U);
  EXPECT_EQ(std::set<uint32_t>(a->rank_of_expert.begin(), a->rank_of_expert.end()).size(), 3U);
}

TEST(Placement, RandomOnesAreUnevenAndMayLeaveARankWithoutExperts) {
  bool uneven = false, empty = false;
  for (int seed = 0; seed < 50; ++seed) {
    const auto placement = place_experts("random:" + std::to_string(seed), 1, 8, 4);
    ASSERT_TRUE(placement.ok());
    const auto counts = placement->counts(0);
    uneven |= spread(counts) > 1;
    empty |= *std::min_element(counts.begin(), counts.end()) == 0;
  }
  EXPECT_TRUE(uneven);
  EXPECT_TRUE(empty);
}

TEST(Placement, MoreRanksThanExpertsAreRefusedWithBothNumbers) {
  const auto placement = place_experts("balanced", 2, 8, 9);
  ASSERT_FALSE(placement.ok());
  EXPECT_NE(placement.error().message.find("9 ranks"), std::string::npos);
  EXPECT_NE(placement.error().message.find("8 experts"), std::string::npos);
}

TEST(Placement, ADenseModelTakesAnyRankCount) {
  const auto placement = place_experts("balanced", 0, 0, 100);
  ASSERT_TRUE(placement.ok());
  EXPECT_EQ(placement->layer_count, 0U);
  EXPECT_EQ(placement->rank_count, 100U);
}

TEST(Placement, OnlyLayersWithExpertsCount) {
  checkpoint::ModelSpec spec;
  spec.expert_count = 8;
  spec.layers.resize(5);
  spec.layers[2].experts = spec.layers[4].experts = true;
  const auto placement = place_experts("balanced", spec, 2);
  ASSERT_TRUE(placement.ok());
  EXPECT_EQ(placement->layer_count, 2U);
}

TEST(Placement, UnknownPoliciesAndBadSeedsAreRefused) {
  for (const auto* policy : {"", "even", "random", "random:", "random:x", "random:1x", "random:-1"}) {
    EXPECT_FALSE(place_experts(policy, 1, 8, 2).ok()) << policy;
  }
}

TEST(Placement, SurvivesTheWire) {
  const auto placement = place_experts("random:3", 4, 12, 5);
  ASSERT_TRUE(placement.ok());
  wire::Placement message;
  to_wire(*placement, message);
  const auto back = from_wire(message, 5);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, *placement);

  message.set_rank_of_expert(13, 5);
  const auto bad_rank = from_wire(message, 5);
  ASSERT_FALSE(bad_rank.ok());
  EXPECT_NE(bad_rank.error().message.find("layer 1, expert 1 on rank 5"), std::string::npos);
  message.set_rank_of_expert(13, 0);
  message.set_layer_count(5);
  EXPECT_FALSE(from_wire(message, 5).ok());
}

TEST(WithoutMissing, OnlyTheExpertsOfThoseThatAreGoneMoveAndEvenly) {
  const auto whole = place_experts("balanced", 3, 10, 4).value();
  for (uint32_t mask = 1; mask < 16; ++mask) {
    std::vector<bool> present;
    for (uint32_t rank = 0; rank < 4; ++rank) present.push_back((mask >> rank & 1) != 0);
    const auto left = without_missing(whole, present);
    EXPECT_EQ(left == whole, mask == 15);
    for (uint32_t layer = 0; layer < 3; ++layer) {
      uint32_t least = UINT32_MAX, most = 0;
      for (uint32_t rank = 0; rank < 4; ++rank) {
        const uint32_t count = left.counts(layer)[rank];
        if (!present[rank]) {
          EXPECT_EQ(count, 0U);
          continue;
        }
        least = std::min(least, count);
        most = std::max(most, count);
      }
      EXPECT_LE(most - least, 1U);
      for (uint32_t expert = 0; expert < 10; ++expert) {
        const uint32_t home = whole.rank_of(layer, expert);
        EXPECT_TRUE(!present[home] || left.rank_of(layer, expert) == home);
      }
    }
  }
}

}  // namespace
}  // namespace switchyard::coordinator
