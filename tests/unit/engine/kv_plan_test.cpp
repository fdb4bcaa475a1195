// Blocks for a rank's KV memory.
#include "worker/engine/kv_plan.h"

#include <gtest/gtest.h>

namespace switchyard::worker {
namespace {

// Two layers that see everything, one of a window of 64; 2 heads of 32 channels in bfloat16: 4096 bytes a block and
// layer.
const KvGrouping kGrouping{{0, 64}, {0, 1, 0}};
const kernels::KvLayout kLayout{kernels::KvType::kBfloat16, 2, 32, 32, false, 16};
const kernels::OpTable& ops() { return *kernels::find_backend("cpu-plain"); }

KvBudget budget(uint64_t mib) {
  KvBudget budget;
  budget.memory_mib = mib;
  budget.max_model_len = 1024;
  budget.max_num_seqs = 4;
  budget.max_chunk = 32;
  return budget;
}

uint64_t bytes(const std::vector<KvGroup>& groups) {
  return ops().kv_block_bytes(kLayout) * (2 * groups[0].block_count + groups[1].block_count);
}

TEST(KvPlan, GivesNoMoreThanRunningSequencesCanUse) {
  const auto groups = plan_kv(kGrouping, kLayout, ops(), budget(64));
  ASSERT_TRUE(groups.ok());
  EXPECT_EQ((*groups)[0].block_count, 4 * 64);
  EXPECT_EQ((*groups)[1].block_count, 4 * 8);  // of the window and a chunk, and one at each end
}

TEST(KvPlan, TakesAllWhereTheRestWouldLieIdle) {
  KvBudget all = budget(64);
  all.take_all = true;
  const auto groups = plan_kv(kGrouping, kLayout, ops(), all);
  ASSERT_TRUE(groups.ok());
  EXPECT_EQ((*groups)[1].block_count, 4 * 8);
  EXPECT_LE(bytes(*groups), uint64_t{64} << 20);
  EXPECT_GT(bytes(*groups), (uint64_t{64} << 20) - 2 * ops().kv_block_bytes(kLayout));
}

TEST(KvPlan, SharesWhatIsScarceAndKeepsOneWholeSequence) {
  const auto groups = plan_kv(kGrouping, kLayout, ops(), budget(1));
  ASSERT_TRUE(groups.ok());
  EXPECT_GE((*groups)[0].block_count, 64U);
  EXPECT_LE(bytes(*groups), uint64_t{1} << 20);
}

TEST(KvPlan, RefusesASequenceThatDoesNotFit) {
  KvBudget small = budget(1);
  small.max_model_len = 8192;
  const auto groups = plan_kv(kGrouping, kLayout, ops(), small);
  ASSERT_FALSE(groups.ok());
  EXPECT_NE(groups.error().message.find("a sequence of max_model_len 8192 needs"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::worker
