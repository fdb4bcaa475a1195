#include "coordinator/expert_load.h"

#include <gtest/gtest.h>

namespace switchyard::coordinator {
namespace {

using namespace std::chrono_literals;

// One layer, four experts: 0 and 1 on rank 0, 2 and 3 on rank 1.
const ExpertPlacement kPlacement{.layer_count = 1, .expert_count = 4, .rank_count = 2, .rank_of_expert = {0, 0, 1, 1}};

TEST(ExpertLoad, IsMeanOverMostOfTheTokensThatReachEachRank) {
  ExpertLoad load(kPlacement);
  EXPECT_EQ(load.balancedness(), std::vector<double>{1.0});
  const ExpertLoad::Time now{1h};
  // Rank 0's experts get 10 + 20 + 30 = 60 tokens, rank 1's get 40: mean 50, most 60.
  EXPECT_TRUE(load.update(0, std::vector<uint64_t>{10, 20, 5, 5}, now));
  EXPECT_TRUE(load.update(1, std::vector<uint64_t>{0, 30, 30, 0}, now));
  EXPECT_DOUBLE_EQ(load.balancedness()[0], 50.0 / 60.0);
}

TEST(ExpertLoad, LooksAtTheLastIntervalsOnly) {
  ExpertLoad load(kPlacement);
  ExpertLoad::Time now{1h};
  std::vector<uint64_t> tokens = {1000, 0, 0, 0};
  load.update(0, tokens, now);
  EXPECT_DOUBLE_EQ(load.balancedness()[0], 0.5);
  for (int i = 0; i < 3; ++i) load.update(0, tokens, now += ExpertLoad::kInterval);
  EXPECT_DOUBLE_EQ(load.balancedness()[0], 1.0);  // nothing lately
  tokens[2] += 30;
  tokens[0] += 10;
  load.update(0, tokens, now);
  EXPECT_DOUBLE_EQ(load.balancedness()[0], 20.0 / 30.0);
}

TEST(ExpertLoad, IgnoresCountsOfAnotherShape) {
  ExpertLoad load(kPlacement);
  EXPECT_FALSE(load.update(0, std::vector<uint64_t>{1, 2, 3}, ExpertLoad::Time{1h}));
}

}  // namespace
}  // namespace switchyard::coordinator
