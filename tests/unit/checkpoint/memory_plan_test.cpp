#include "common/checkpoint/memory_plan.h"

#include <gtest/gtest.h>

namespace switchyard::checkpoint {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST(AutoKv, HasRoomForEightSequencesOfFullLength) { EXPECT_EQ(auto_kv_bytes(200 * kMiB, 64, 64 * kGiB), 1600 * kMiB); }
TEST(AutoKv, HasNoMoreThanTheSequencesThatCanRun) { EXPECT_EQ(auto_kv_bytes(kGiB, 2, 64 * kGiB), 2 * kGiB); }
TEST(AutoKv, IsAtLeast512MiB) { EXPECT_EQ(auto_kv_bytes(kMiB, 64, 64 * kGiB), 512 * kMiB); }
TEST(AutoKv, TakesAtMostAQuarterOfTheMemory) { EXPECT_EQ(auto_kv_bytes(kGiB, 64, 16 * kGiB), 4 * kGiB); }
TEST(AutoKv, TakesMoreForASequenceThatNeedsIt) { EXPECT_EQ(auto_kv_bytes(6 * kGiB, 64, 16 * kGiB), 6 * kGiB); }
TEST(AutoKv, NeverTakesMoreThanHalf) { EXPECT_EQ(auto_kv_bytes(100 * kGiB, 64, 16 * kGiB), 8 * kGiB); }

}  // namespace
}  // namespace switchyard::checkpoint
