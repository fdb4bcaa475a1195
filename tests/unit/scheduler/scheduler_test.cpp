// The scheduler's promises one at a time; traffic_test.cpp has them all at once under random load.
#include "worker/scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

namespace switchyard::worker {
namespace {

std::unique_ptr<Sequence> request(uint64_t id, uint32_t prompt, uint32_t max_tokens, int32_t priority = 0) {
  auto sequence = std::make_unique<Sequence>();
  sequence->id = id;
  sequence->priority = priority;
  sequence->prompt_count = prompt;
  sequence->max_tokens = max_tokens;
  sequence->tokens.assign(prompt, 1);
  return sequence;
}

// Commits and appends a token where one is drawn; ended sequences stay for the test to remove.
void finish_step(Scheduler& scheduler, const std::vector<ScheduledRows>& rows) {
  scheduler.commit(rows);
  for (const ScheduledRows& part : rows) {
    if (part.samples) part.sequence->tokens.push_back(2);
  }
}

Errc code_of(const Status& status) {
  EXPECT_FALSE(status.ok());
  return status.ok() ? Errc::kIo : status.error().code;
}

TEST(Scheduler, PrefillsInChunksOfTheBudgetAndThenDecodes) {
  KvCache kv({{0, 100}}, 4);
  Scheduler scheduler({8, 8, 100}, kv);
  EXPECT_FALSE(scheduler.has_work());
  ASSERT_TRUE(scheduler.add(request(1, 10, 3)).ok());
  EXPECT_TRUE(scheduler.has_work());
  EXPECT_EQ(scheduler.prefill_demand(), 10U);
  std::vector<uint32_t> counts;
  std::vector<bool> samples;
  for (int step = 0; step < 5; ++step) {
    const auto rows = scheduler.plan(4);
    ASSERT_EQ(rows.size(), 1U);
    counts.push_back(rows[0].count);
    samples.push_back(rows[0].samples);
    finish_step(scheduler, rows);
  }
  EXPECT_EQ(counts, (std::vector<uint32_t>{4, 4, 2, 1, 1}));
  EXPECT_EQ(samples, (std::vector<bool>{false, false, true, true, true}));
  EXPECT_EQ(scheduler.decode_count(), 1U);
}

TEST(Scheduler, DecodeRowsGoFirstAndNeedNoBudget) {
  KvCache kv({{0, 100}}, 4);
  Scheduler scheduler({8, 8, 100}, kv);
  ASSERT_TRUE(scheduler.add(request(1, 5, 20)).ok());
  ASSERT_TRUE(scheduler.add(request(2, 5, 20)).ok());
  finish_step(scheduler, scheduler.plan(10));
  ASSERT_TRUE(scheduler.add(request(3, 50, 20, -1)).ok());
  const auto rows = scheduler.plan(7);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].sequence->id, 1U);
  EXPECT_EQ(rows[1].sequence->id, 2U);
  EXPECT_EQ(rows[2].sequence->id, 3U);
  EXPECT_EQ(rows[2].count, 7U);
  finish_step(scheduler, rows);
  EXPECT_EQ(scheduler.plan(0).size(), 2U);
}

TEST(Scheduler, BetterPriorityIsAdmittedFirstThenEarlierArrival) {
  KvCache kv({{0, 100}}, 4);
  Scheduler scheduler({1, 8, 100}, kv);
  ASSERT_TRUE(scheduler.add(request(1, 4, 1, 5)).ok());
  ASSERT_TRUE(scheduler.add(request(2, 4, 1, 0)).ok());
  ASSERT_TRUE(scheduler.add(request(3, 4, 1, -2)).ok());
  ASSERT_TRUE(scheduler.add(request(4, 4, 1, 0)).ok());
  std::vector<uint64_t> order;
  while (scheduler.has_work()) {
    const auto rows = scheduler.plan(100);
    ASSERT_EQ(rows.size(), 1U);
    order.push_back(rows[0].sequence->id);
    finish_step(scheduler, rows);
    scheduler.remove(order.back());
  }
  EXPECT_EQ(order, (std::vector<uint64_t>{3, 2, 4, 1}));
}

TEST(Scheduler, AFullQueueIsOverloaded) {
  KvCache kv({{0, 100}}, 4);
  Scheduler scheduler({2, 3, 100}, kv);
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(scheduler.add(request(id, 4, 4)).ok());
  EXPECT_EQ(code_of(scheduler.add(request(4, 4, 4))), Errc::kOverloaded);
  scheduler.plan(100);  // two leave the queue
  EXPECT_TRUE(scheduler.add(request(4, 4, 4)).ok());
  EXPECT_EQ(scheduler.running_count(), 2U);
  EXPECT_EQ(scheduler.waiting_count(), 2U);
  EXPECT_NE(scheduler.find(4), nullptr);
}

TEST(Scheduler, WhatCanNeverFitIsTooLarge) {
  KvCache kv({{0, 5}}, 4);
  Scheduler scheduler({2, 3, 30}, kv);
  EXPECT_EQ(code_of(scheduler.add(request(1, 31, 0))), Errc::kTooLarge);   // over the context
  EXPECT_EQ(code_of(scheduler.add(request(2, 30, 1))), Errc::kTooLarge);   // no room for an answer
  EXPECT_EQ(code_of(scheduler.add(request(3, 15, 10))), Errc::kTooLarge);  // 25 positions, 20 in the cache
  EXPECT_TRUE(scheduler.add(request(4, 15, 5)).ok());
  EXPECT_TRUE(scheduler.add(request(5, 20, 0)).ok());
  EXPECT_EQ(scheduler.waiting_count(), 2U);
}

TEST(Scheduler, AnswersEndAtTheContextAndCountOnlyUpToItAgainstTheCache) {
  KvCache kv({{0, 5}}, 4);
  Scheduler scheduler({2, 3, 20}, kv);
  EXPECT_TRUE(scheduler.add(request(1, 10, 4000000000U)).ok());
}

TEST(Scheduler, AnEmptyPromptAnIdInUseAndAFinishedReplayAreInvalid) {
  KvCache kv({{0, 100}}, 4);
  Scheduler scheduler({2, 8, 100}, kv);
  EXPECT_EQ(code_of(scheduler.add(request(1, 0, 4))), Errc::kInvalid);
  ASSERT_TRUE(scheduler.add(request(1, 4, 4)).ok());
  EXPECT_EQ(code_of(scheduler.add(request(1, 4, 4))), Errc::kInvalid);
  auto replay = request(2, 4, 2);
  replay->tokens.insert(replay->tokens.end(), {7, 8});
  EXPECT_EQ(code_of(scheduler.add(std::move(replay))), Errc::kInvalid);
  scheduler.remove(1);
  EXPECT_TRUE(scheduler.add(request(1, 4, 4)).ok());
}

TEST(Scheduler, AReplayComputesPromptAndAnswerAndDrawsOnce) {
  KvCache kv({{0, 100}}, 4);
  Scheduler scheduler({2, 8, 100}, kv);
  auto replay = request(2, 4, 5);
  replay->tokens.insert(replay->tokens.end(), {7, 8, 9});
  ASSERT_TRUE(scheduler.add(std::move(replay)).ok());
  auto rows = scheduler.plan(5);
  EXPECT_FALSE(rows[0].samples);
  finish_step(scheduler, rows);
  rows = scheduler.plan(5);
  EXPECT_EQ(rows[0].count, 2U);
  EXPECT_TRUE(rows[0].samples);
}

TEST(Scheduler, AScoredPromptDrawsNothingAndThenIsNoWork) {
  KvCache kv({{0, 100}}, 4);
  Scheduler scheduler({2, 8, 100}, kv);
  ASSERT_TRUE(scheduler.add(request(1, 4, 0)).ok());
  const auto rows = scheduler.plan(100);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_FALSE(rows[0].samples);
  finish_step(scheduler, rows);
  EXPECT_FALSE(scheduler.has_work());
  EXPECT_TRUE(scheduler.plan(100).empty());
}

TEST(Scheduler, CancellationFreesItsBlocksAtOnce) {
  KvCache kv({{0, 100}, {8, 100}}, 4);
  Scheduler scheduler({2, 8, 100}, kv);
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(scheduler.add(request(id, 20, 10)).ok());
  finish_step(scheduler, scheduler.plan(30));
  EXPECT_GT(kv.blocks_used(), 0U);
  EXPECT_EQ(scheduler.remove(3)->id, 3U);  // waiting
  EXPECT_EQ(scheduler.remove(2)->id, 2U);  // half computed
  EXPECT_EQ(kv.blocks_used(), 5U + 2U);    // of request 1: 20 positions, and 13 to 19 that position 20 sees
  EXPECT_EQ(scheduler.remove(1)->id, 1U);
  EXPECT_EQ(kv.blocks_used(), 0U);
  EXPECT_EQ(scheduler.remove(1), nullptr);
  EXPECT_EQ(scheduler.find(2), nullptr);
  EXPECT_FALSE(scheduler.has_work());
}

// Two that fit alone and not together: the later one gives way, keeps its tokens, and comes back when there is room.
TEST(Scheduler, TheLatestOfTheWorstPriorityIsPreemptedAndStartsAgainFromNothing) {
  KvCache kv({{0, 10}}, 4);
  Scheduler scheduler({4, 8, 100}, kv);
  ASSERT_TRUE(scheduler.add(request(1, 4, 30, 1)).ok());
  ASSERT_TRUE(scheduler.add(request(2, 4, 30, 0)).ok());
  Sequence* worse = scheduler.find(1);
  size_t longest = 0;
  while (scheduler.preemption_count() == 0) {
    longest = worse->tokens.size();
    finish_step(scheduler, scheduler.plan(100));
    ASSERT_LE(worse->tokens.size(), 40U);
  }
  EXPECT_EQ(worse->preemptions, 1U);
  EXPECT_EQ(worse->computed, 0U);
  EXPECT_EQ(worse->tokens.size(), longest);
  EXPECT_EQ(scheduler.running_count(), 1U);
  Sequence* better = scheduler.find(2);
  EXPECT_EQ(better->preemptions, 0U);
  while (better->generated_count() < 30) finish_step(scheduler, scheduler.plan(100));
  scheduler.remove(2);
  const auto rows = scheduler.plan(100);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].sequence, worse);
  EXPECT_EQ(rows[0].first_position, 0U);
  EXPECT_EQ(rows[0].count, worse->tokens.size());
  EXPECT_TRUE(rows[0].samples);
}

TEST(Scheduler, AdmissionLeavesRoomForThoseWhoWereAdmittedBefore) {
  KvCache kv({{0, 20}}, 4);
  Scheduler scheduler({8, 8, 100}, kv);
  for (uint64_t id = 1; id <= 4; ++id) ASSERT_TRUE(scheduler.add(request(id, 32, 4)).ok());  // 8 blocks, 1 to grow
  for (int step = 0; step < 20; ++step) finish_step(scheduler, scheduler.plan(4));
  EXPECT_EQ(scheduler.running_count(), 2U);
  EXPECT_EQ(scheduler.preemption_count(), 0U);
}

TEST(Scheduler, APlanOf64RunningSequencesTakesMicroseconds) {
  KvCache kv({{0, 100000}, {128, 100000}}, 16);
  Scheduler scheduler({64, 512, 100000}, kv);
  for (uint64_t id = 0; id < 300; ++id) ASSERT_TRUE(scheduler.add(request(id, 2000, 10000)).ok());
  while (scheduler.decode_count() < 64) finish_step(scheduler, scheduler.plan(100000));
  std::vector<double> micros;
  for (int step = 0; step < 500; ++step) {
    const auto start = std::chrono::steady_clock::now();
    const uint32_t demand = scheduler.prefill_demand();
    const auto rows = scheduler.plan(512);
    scheduler.commit(rows);
    micros.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    ASSERT_EQ(rows.size(), 64U);
    ASSERT_EQ(demand, 0U);
    for (const ScheduledRows& part : rows) part.sequence->tokens.push_back(2);
  }
  std::nth_element(micros.begin(), micros.begin() + 250, micros.end());
  std::printf("plan and commit of 64 sequences: %.1f us\n", micros[250]);
  EXPECT_LT(micros[250], 1000.0);  // some 10 without sanitizers
}

}  // namespace
}  // namespace switchyard::worker
