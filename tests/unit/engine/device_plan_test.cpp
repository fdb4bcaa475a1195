// A GPU's memory: what is left to KV, and refusals with their figures.
#include "worker/engine/device_plan.h"

#include <gtest/gtest.h>

namespace switchyard::worker {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST(DevicePlan, GivesWhatIsLeftToKv) {
  const auto plan = plan_device({40 * kGiB, 2 * kGiB, kGiB, 0}, 80 * kGiB, 79 * kGiB, 0.9);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->kv, 30 * kGiB);
  EXPECT_EQ(plan->text,
            "weights 40960 MiB, workspace 2048 MiB, KV 30720 MiB: 0.9 of the GPU's 81920 MiB are 73728 MiB");
}

TEST(DevicePlan, TakesTheConfiguredKv) {
  const auto plan = plan_device({40 * kGiB, 2 * kGiB, kGiB, 4 * kGiB}, 80 * kGiB, 79 * kGiB, 0.9);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->kv, 4 * kGiB);
}

TEST(DevicePlan, RefusesAModelThatDoesNotFit) {
  const auto plan = plan_device({71 * kGiB, kGiB, kGiB, 0}, 80 * kGiB, 79 * kGiB, 0.9);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(
      plan.error().message,
      "weights 72704 MiB, workspace 1024 MiB and 1024 MiB of KV for one sequence of max_model_len do not fit: 0.9 "
      "of the GPU's 81920 MiB are 73728 MiB");
}

TEST(DevicePlan, RefusesAConfiguredKvThatDoesNotFit) {
  const auto plan = plan_device({40 * kGiB, kGiB, kMiB, 40 * kGiB}, 80 * kGiB, 79 * kGiB, 0.9);
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.error().message.find("kv_cache_memory_mib 40960 MiB do not fit"), std::string::npos);
}

TEST(DevicePlan, RefusesAGpuThatOthersHold) {
  const auto plan = plan_device({kGiB, kGiB, kMiB, 0}, 80 * kGiB, 10 * kGiB, 0.9);
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.error().message.find("10240 MiB are free"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::worker
