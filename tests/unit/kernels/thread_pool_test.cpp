#include "kernels/api/thread_pool.h"

#include <gtest/gtest.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace switchyard::kernels {
namespace {

double process_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

TEST(ThreadPool, RunCallsEveryMemberOnceAndWaitsForAll) {
  for (const uint32_t threads : {1U, 2U, 3U, 7U}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.size(), threads);
    std::vector<int> calls(threads, 0);
    for (int round = 1; round <= 2000; ++round) {
      pool.run([](void* context, uint32_t member) { ++(*static_cast<std::vector<int>*>(context))[member]; }, &calls);
      for (const int count : calls) ASSERT_EQ(count, round);
    }
  }
}

TEST(ThreadPool, SleepingMembersWakeForTheNextCall) {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  for (int round = 1; round <= 20; ++round) {
    // Longer than the spin, so that members are asleep: the time itself is what is tested.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.run([](void* context, uint32_t) { ++*static_cast<std::atomic<int>*>(context); }, &calls);
    ASSERT_EQ(calls.load(), 3 * round);
  }
}

TEST(ThreadPool, TheCallerWaitsForAMemberThatIsLate) {
  ThreadPool pool(2);
  std::atomic<bool> late_done{false};
  pool.run(
      [](void* context, uint32_t member) {
        if (member == 0) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        static_cast<std::atomic<bool>*>(context)->store(true);
      },
      &late_done);
  EXPECT_TRUE(late_done.load());
}

TEST(ThreadPool, ParallelForCoversEachItemOnceInPartsOfTheGrain) {
  for (const uint32_t threads : {1U, 2U, 3U}) {
    ThreadPool pool(threads);
    for (const size_t count : {0UL, 1UL, 5UL, 16UL, 17UL, 1000UL}) {
      for (const size_t grain : {1UL, 4UL, 16UL}) {
        std::vector<std::atomic<int>> seen(count);
        pool.parallel_for(count, grain, [&](size_t begin, size_t end) {
          for (size_t i = begin; i < end; ++i) ++seen[i];
        });
        for (const auto& item : seen) ASSERT_EQ(item.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, IdleMembersUseNoProcessorTime) {
  ThreadPool pool(4);
  pool.run([](void*, uint32_t) {}, nullptr);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // past the spin
  const double before = process_cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(process_cpu_seconds() - before, 0.003);
}

TEST(ThreadPool, ScratchIsAlignedKeptAndPerMember) {
  ThreadPool pool(2);
  void* first = pool.scratch(0, 1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0U);
  EXPECT_NE(pool.scratch(1, 1000), first);
  EXPECT_EQ(pool.scratch(0, 500), first);
  std::memset(pool.scratch(0, 1 << 20), 1, 1 << 20);
}

}  // namespace
}  // namespace switchyard::kernels
