// The generator against the vectors that its authors publish, and the uniform numbers made of it.
#include "worker/sampling/philox.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "worker/sampling/sampler.h"

namespace switchyard::worker {
namespace {

// Random123 1.14, tests/kat_vectors, the lines "philox4x32 10".
TEST(Philox, GivesThePublishedKnownAnswers) {
  using Four = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// 53 bits: all of the first word, then the 21 high bits of the second. From the all-zero vector above.
TEST(Uniform, TakesItsBitsFromTheFirstTwoWords) {
  const uint64_t mantissa = (uint64_t{0x6627e8d5} << 21) + (0xe169c58d >> 11);
  EXPECT_EQ(uniform(0, 0), static_cast<double>(mantissa) / 9007199254740992.0);
}

TEST(Uniform, EveryBitOfSeedAndPositionCounts) {
  std::set<double> seen{uniform(0, 0)};
  for (int bit = 0; bit < 64; ++bit) {
    EXPECT_TRUE(seen.insert(uniform(uint64_t{1} << bit, 0)).second) << "seed bit " << bit;
    EXPECT_TRUE(seen.insert(uniform(0, uint64_t{1} << bit)).second) << "position bit " << bit;
  }
}

TEST(Uniform, FillsTheUnitIntervalEvenly) {
  constexpr int kCells = 64;
  constexpr int kDraws = 64000;
  std::vector<int> cells(kCells);
  for (int position = 0; position < kDraws; ++position) {
    const double u = uniform(20240607, static_cast<uint64_t>(position));
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++cells[static_cast<size_t>(u * kCells)];
  }
  double chi_square = 0.0;
  for (const int n : cells) chi_square += (n - 1000.0) * (n - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 118.0);  // 63 degrees of freedom: exceeded by one generator in 30,000
}

}  // namespace
}  // namespace switchyard::worker
