// Passes over a row, against the plainest loops and the library's exponential in long double.
#include "worker/sampling/row_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace switchyard::worker {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_row(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 5.0F);
  std::vector<float> row(size);
  for (float& x : row) x = normal(random);
  return row;
}

TEST(RowMath, TheExponentialIsRightToTheLastBits) {
  for (int step = 0; step <= 55400; ++step) {
    const float x = -static_cast<float>(step) * 0.001F;
    double weight = 0.0;
    exp_block({&x, 1}, 0.0, 1.0, &weight);
    const long double expected = std::exp(static_cast<long double>(x));
    ASSERT_LT(std::abs((weight - expected) / expected), 1e-15L) << x;
  }
}

TEST(RowMath, TheExponentialOfTheLargestIsOneAndOfTheUnlikelyZero) {
  const std::vector<float> row{3.5F, -kInfinity, kNan, 3.5F - 55.5F, 3.5F - 55.4F};
  std::vector<double> weights(row.size());
  exp_block(row, 3.5, 1.0, weights.data());
  EXPECT_EQ(weights[0], 1.0);
  EXPECT_EQ(weights[1], 0.0);
  EXPECT_EQ(weights[2], 0.0);
  EXPECT_EQ(weights[3], 0.0);
  EXPECT_GT(weights[4], 0.0);
}

TEST(RowMath, AWeightIsTheSameWhereverItStandsInABlock) {
  const std::vector<float> row = random_row(kRowBlock, 7);
  const double max = row_max(row);
  std::vector<double> together(row.size());
  exp_block(row, max, 0.7, together.data());
  for (size_t i = 0; i < row.size(); ++i) {
    double alone = 0.0;
    exp_block({&row[i], 1}, max, 0.7, &alone);
    ASSERT_EQ(alone, together[i]) << i;
  }
}

// The order of the header: eight running sums within a block of 256, blocks in ascending order.
TEST(RowMath, TheSumIsInTheOrderThatTheHeaderStates) {
  for (const size_t size : {1UL, 7UL, 8UL, 9UL, 255UL, 256UL, 257UL, 1000UL, 102400UL}) {
    const std::vector<float> row = random_row(size, 11);
    const double max = row_max(row);
    double expected = 0.0;
    for (size_t begin = 0; begin < size; begin += 256) {
      double lanes[8] = {};
      for (size_t i = begin; i < std::min(size, begin + 256); ++i) {
        double weight = 0.0;
        exp_block({&row[i], 1}, max, 1.0, &weight);
        lanes[i % 8] += weight;
      }
      double block = 0.0;
      for (const double lane : lanes) block += lane;
      expected += block;
    }
    EXPECT_EQ(exp_sum(row, max, 1.0), expected) << size;
  }
}

TEST(RowMath, MaximumMinimumAndCountAgreeWithPlainLoops) {
  for (const size_t size : {1UL, 31UL, 32UL, 33UL, 1023UL, 1024UL, 1025UL, 5000UL}) {
    std::vector<float> row = random_row(size, static_cast<uint32_t>(size));
    for (size_t i = 3; i < size; i += 10) row[i] = kNan;
    for (size_t i = 5; i < size; i += 10) row[i] = -kInfinity;
    float max = -kInfinity;
    float min = kInfinity;
    size_t above = 0;
    size_t best = 0;
    for (size_t i = 0; i < size; ++i) {
      if (row[i] > max) max = row[best = i];
      if (row[i] > -kInfinity && row[i] < min) min = row[i];
      if (row[i] > 1.0F) ++above;
    }
    EXPECT_EQ(row_max(row), max) << size;
    EXPECT_EQ(row_min_finite(row), min) << size;
    EXPECT_EQ(count_above(row, 1.0F), above) << size;
    EXPECT_EQ(row_argmax(row), best) << size;
  }
}

TEST(RowMath, TheArgmaxOfEqualEntriesIsTheLowest) {
  for (const size_t first : {0UL, 1UL, 31UL, 32UL, 1023UL, 1024UL, 4000UL}) {
    std::vector<float> row(5000, -1.0F);
    row[first] = row[4500] = row[4999] = 2.0F;
    EXPECT_EQ(row_argmax(row), first);
  }
  EXPECT_EQ(row_argmax(std::vector<float>(3000, kNan)), 0U);
  EXPECT_EQ(row_argmax(std::vector<float>(3000, -kInfinity)), 0U);
  EXPECT_EQ(row_argmax(std::vector<float>{-kInfinity, kNan, -3e38F}), 2U);
  EXPECT_EQ(row_argmax(std::vector<float>{1.0F, kInfinity, kInfinity}), 1U);
  EXPECT_EQ(row_argmax(std::vector<float>{-0.0F, 0.0F}), 0U);
}

}  // namespace
}  // namespace switchyard::worker
