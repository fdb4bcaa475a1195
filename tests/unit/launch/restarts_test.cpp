// Goal: a process that ends comes back soon, one that keeps ending is left alone. Method: a clock of our own.
#include "launch/restarts.h"

#include <gtest/gtest.h>

namespace switchyard::launch {
namespace {

using namespace std::chrono_literals;
using Delay = std::optional<std::chrono::milliseconds>;
const Restarts::Time kStart{1h};

TEST(Restarts, AProcessIsDueOnceAfterItsDelay) {
  Restarts restarts(2);
  EXPECT_FALSE(restarts.next().has_value());
  EXPECT_EQ(restarts.ended(1, kStart), Delay(100ms));
  EXPECT_EQ(restarts.next(), kStart + 100ms);
  EXPECT_FALSE(restarts.take_due(kStart + 99ms).has_value());
  EXPECT_EQ(restarts.take_due(kStart + 100ms), 1U);
  EXPECT_FALSE(restarts.take_due(kStart + 1h).has_value());
  EXPECT_FALSE(restarts.next().has_value());
}

TEST(Restarts, TheEighthEndWithinTenMinutesIsTheLast) {
  Restarts restarts(1);
  auto now = kStart;
  for (const auto delay : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms}) {
    EXPECT_EQ(restarts.ended(0, now), Delay(delay));
    EXPECT_EQ(restarts.take_due(now + delay), 0U);
    EXPECT_FALSE(restarts.given_up(0));
    now += 85s;
  }
  EXPECT_EQ(restarts.ended(0, now), Delay());  // 595 s after the first
  EXPECT_TRUE(restarts.given_up(0));
  EXPECT_FALSE(restarts.next().has_value());
}

TEST(Restarts, DelaysGrowToThirtySecondsAndStartOverAfterTenQuietMinutes) {
  Restarts restarts(1);
  auto now = kStart;
  for (const auto delay : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms, 25600ms, 30000ms, 30000ms}) {
    EXPECT_EQ(restarts.ended(0, now), Delay(delay));
    EXPECT_EQ(restarts.take_due(now + delay), 0U);
    now += 3min;
  }
  now += 7min;
  EXPECT_EQ(restarts.ended(0, now), Delay(100ms));
}

TEST(Restarts, OneThatWasToldToEndComesBackAtOnceHoweverOften) {
  Restarts restarts(1);
  EXPECT_EQ(restarts.ended(0, kStart), Delay(100ms));
  auto now = kStart + 1s;
  for (int i = 0; i < 20; ++i, now += 2s) {
    EXPECT_EQ(restarts.ended(0, now, true), Delay(100ms));
    EXPECT_EQ(restarts.due(0), now + 100ms);
    EXPECT_EQ(restarts.take_due(now + 100ms), 0U);
  }
  EXPECT_EQ(restarts.ends(0), 1U);
  EXPECT_EQ(restarts.ended(0, now), Delay(200ms));
}

TEST(Restarts, OneThatEndsAtOnceIsCountedHoweverItEnds) {
  Restarts restarts(1);
  auto now = kStart;
  EXPECT_EQ(restarts.ended(0, now, true), Delay(100ms));  // it had run until now
  for (size_t end = 1; end < Restarts::kEndsMax; ++end) {
    now = *restarts.due(0);
    EXPECT_EQ(restarts.take_due(now), 0U);
    EXPECT_TRUE(restarts.ended(0, now + 10ms, true));
  }
  now = *restarts.due(0);
  EXPECT_EQ(restarts.take_due(now), 0U);
  EXPECT_EQ(restarts.ended(0, now + 10ms, true), std::nullopt);
  EXPECT_TRUE(restarts.given_up(0));
}

TEST(Restarts, EachProcessIsCountedByItself) {
  Restarts restarts(3);
  EXPECT_EQ(restarts.ended(0, kStart), Delay(100ms));
  EXPECT_EQ(restarts.ended(2, kStart + 10ms), Delay(100ms));
  EXPECT_EQ(restarts.ended(1, kStart + 20ms), Delay(100ms));
  EXPECT_EQ(restarts.next(), kStart + 100ms);
  EXPECT_EQ(restarts.take_due(kStart + 1s), 0U);
  EXPECT_EQ(restarts.take_due(kStart + 1s), 1U);
  EXPECT_EQ(restarts.take_due(kStart + 1s), 2U);
  EXPECT_FALSE(restarts.take_due(kStart + 1s).has_value());
}

}  // namespace
}  // namespace switchyard::launch
