// Goal: a group that ends comes back soon, one that keeps ending is left alone. Method: a clock of our own.
#include "launch/group_restarts.h"

#include <gtest/gtest.h>

namespace switchyard::launch {
namespace {

using namespace std::chrono_literals;
using Delay = std::optional<std::chrono::milliseconds>;
const GroupRestarts::Time kStart{1h};

TEST(GroupRestarts, AGroupIsDueOnceAfterItsDelay) {
  GroupRestarts restarts(2);
  EXPECT_FALSE(restarts.next().has_value());
  EXPECT_EQ(restarts.ended(1, kStart), Delay(1s));
  EXPECT_EQ(restarts.next(), kStart + 1s);
  EXPECT_FALSE(restarts.take_due(kStart + 999ms).has_value());
  EXPECT_EQ(restarts.take_due(kStart + 1s), 1U);
  EXPECT_FALSE(restarts.take_due(kStart + 1h).has_value());
  EXPECT_FALSE(restarts.next().has_value());
}

TEST(GroupRestarts, TheFifthEndWithinTenMinutesIsTheLast) {
  GroupRestarts restarts(1);
  auto now = kStart;
  for (const auto delay : {1s, 2s, 4s, 8s}) {
    EXPECT_EQ(restarts.ended(0, now), Delay(delay));
    EXPECT_EQ(restarts.take_due(now + delay), 0U);
    now += 140s;
  }
  EXPECT_EQ(restarts.ended(0, now), Delay());  // 560 s after the first
  EXPECT_FALSE(restarts.next().has_value());
  EXPECT_FALSE(restarts.any_runs());
}

TEST(GroupRestarts, DelaysGrowToThirtySecondsAndStartOverAfterTenQuietMinutes) {
  GroupRestarts restarts(1);
  auto now = kStart;
  for (const auto delay : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    EXPECT_EQ(restarts.ended(0, now), Delay(delay));
    EXPECT_EQ(restarts.take_due(now + delay), 0U);
    now += 3min;
  }
  now += 7min;
  EXPECT_EQ(restarts.ended(0, now), Delay(1s));
}

TEST(GroupRestarts, EachGroupIsCountedByItself) {
  GroupRestarts restarts(3);
  EXPECT_EQ(restarts.ended(0, kStart), Delay(1s));
  EXPECT_EQ(restarts.ended(2, kStart + 100ms), Delay(1s));
  EXPECT_TRUE(restarts.any_runs());
  EXPECT_EQ(restarts.ended(1, kStart + 200ms), Delay(1s));
  EXPECT_FALSE(restarts.any_runs());
  EXPECT_EQ(restarts.next(), kStart + 1s);
  EXPECT_EQ(restarts.take_due(kStart + 2s), 0U);
  EXPECT_TRUE(restarts.any_runs());
  EXPECT_EQ(restarts.take_due(kStart + 2s), 1U);
  EXPECT_EQ(restarts.take_due(kStart + 2s), 2U);
  EXPECT_FALSE(restarts.take_due(kStart + 2s).has_value());
}

}  // namespace
}  // namespace switchyard::launch
