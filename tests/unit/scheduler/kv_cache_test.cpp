// Block bookkeeping: who holds what, what windows give back, and what never fits.
#include "worker/scheduler/kv_cache.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace switchyard::worker {
namespace {

size_t held(const KvTables& tables, size_t group) {
  size_t count = 0;
  for (const int32_t block : tables.tables[group]) count += block >= 0 ? 1 : 0;
  return count;
}

TEST(KvCache, GrowTakesTheBlocksThatCoverThePositions) {
  KvCache kv({{0, 10}}, 4);
  KvTables tables = kv.make_tables();
  EXPECT_TRUE(kv.grow(tables, 0, 1));
  EXPECT_EQ(tables.tables[0].size(), 1U);
  EXPECT_TRUE(kv.grow(tables, 1, 4));
  EXPECT_EQ(tables.tables[0].size(), 1U);
  EXPECT_TRUE(kv.grow(tables, 4, 13));
  EXPECT_EQ(tables.tables[0].size(), 4U);
  EXPECT_EQ(kv.blocks_used(), 4U);
  EXPECT_EQ(kv.blocks_free(0), 6U);
  EXPECT_DOUBLE_EQ(kv.usage(), 0.4);
  const std::set<int32_t> distinct(tables.tables[0].begin(), tables.tables[0].end());
  EXPECT_EQ(distinct.size(), 4U);
  EXPECT_GE(*distinct.begin(), 0);
  EXPECT_LT(*distinct.rbegin(), 10);
  kv.release(tables);
  EXPECT_EQ(kv.blocks_used(), 0U);
}

TEST(KvCache, GrowIsAllOrNothingOverGroups) {
  KvCache kv({{0, 10}, {0, 2}}, 4);
  KvTables tables = kv.make_tables();
  EXPECT_FALSE(kv.grow(tables, 0, 12));
  EXPECT_EQ(kv.blocks_used(), 0U);
  EXPECT_TRUE(tables.tables[0].empty());
  EXPECT_EQ(kv.largest_end(tables, 0, 12), 8U);
  EXPECT_TRUE(kv.grow(tables, 0, 8));
  EXPECT_EQ(kv.blocks_used(), 4U);
  EXPECT_EQ(kv.largest_end(tables, 8, 9), 8U);
}

// The window of 5 shows position p the positions p - 4 to p; blocks of 4.
TEST(KvCache, AWindowGivesBackWhatNoLaterPositionSees) {
  KvCache kv({{5, 10}, {0, 10}}, 4);
  KvTables tables = kv.make_tables();
  ASSERT_TRUE(kv.grow(tables, 0, 20));
  kv.slide(tables, 7);  // position 7 sees 3
  EXPECT_EQ(held(tables, 0), 5U);
  kv.slide(tables, 8);  // position 8 sees 4: block 0 is gone
  EXPECT_EQ(held(tables, 0), 4U);
  EXPECT_EQ(tables.tables[0][0], -1);
  EXPECT_GE(tables.tables[0][1], 0);
  kv.slide(tables, 20);  // position 20 sees 16
  EXPECT_EQ(held(tables, 0), 1U);
  kv.slide(tables, 20);
  EXPECT_EQ(held(tables, 0), 1U);
  EXPECT_EQ(held(tables, 1), 5U);
  kv.release(tables);
  EXPECT_EQ(kv.blocks_used(), 0U);
}

TEST(KvCache, WhatCouldFitDoesOneTokenAtATimeAndNotWithABlockLess) {
  for (const uint32_t window : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 8U, 9U, 13U}) {
    for (uint32_t length = 1; length <= 40; ++length) {
      for (uint32_t blocks = 1; blocks <= 11; ++blocks) {
        KvCache kv({{window, blocks}}, 4);
        KvTables tables = kv.make_tables();
        bool fits = true;
        for (uint32_t computed = 0; fits && computed < length; ++computed) {
          fits = kv.grow(tables, computed, computed + 1);
          kv.slide(tables, computed + 1);
        }
        // Never promised without being true.
        if (kv.could_fit(length)) {
          ASSERT_TRUE(fits) << "window " << window << ", length " << length << ", blocks " << blocks;
        }
        // True where it is long enough for the window to meet every alignment.
        if (fits && (window == 0 || length >= window + 4)) {
          ASSERT_TRUE(kv.could_fit(length)) << "window " << window << ", length " << length << ", blocks " << blocks;
        }
      }
    }
  }
}

TEST(KvCache, NeededBlocksAreThoseNotYetHeld) {
  KvCache kv({{0, 20}, {5, 20}}, 4);
  KvTables tables = kv.make_tables();
  std::vector<uint64_t> needed(2);
  kv.add_needed(tables, 17, needed);
  EXPECT_EQ(needed, (std::vector<uint64_t>{5, 2}));  // five positions in a row touch two blocks
  ASSERT_TRUE(kv.grow(tables, 0, 8));
  kv.slide(tables, 8);
  needed.assign(2, 1);
  kv.add_needed(tables, 17, needed);
  EXPECT_EQ(needed, (std::vector<uint64_t>{1 + 3, 1 + 1}));
}

TEST(KvCache, RoomCountsTheSpareBlocks) {
  KvCache kv({{0, 5}}, 4);
  EXPECT_TRUE(kv.has_room(16, 1));
  EXPECT_FALSE(kv.has_room(17, 1));
  EXPECT_TRUE(kv.has_room(20, 0));
}

std::vector<int32_t> counted(int32_t first, size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i) tokens[i] = first + static_cast<int32_t>(i);
  return tokens;
}

// Tables of a sequence whose tokens are all computed and published.
KvTables computed(KvCache& kv, const std::vector<int32_t>& tokens) {
  KvTables tables = kv.make_tables();
  const auto count = static_cast<uint32_t>(tokens.size());
  const uint32_t reused = kv.reuse(tables, tokens, count - 1);
  EXPECT_TRUE(kv.grow(tables, reused, count));
  kv.publish(tables, tokens, count);
  return tables;
}

TEST(KvCache, EqualBeginningsShareWholeBlocks) {
  KvCache kv({{0, 20}}, 4, true);
  const auto tokens = counted(0, 14);
  KvTables first = computed(kv, tokens);
  EXPECT_EQ(kv.blocks_used(), 4U);

  KvTables second = kv.make_tables();
  EXPECT_EQ(kv.shared_blocks(tokens, 13), 3U);
  EXPECT_EQ(kv.reuse(second, tokens, 13), 12U);
  EXPECT_EQ(kv.blocks_used(), 4U);
  EXPECT_EQ(second.tables[0], std::vector<int32_t>(first.tables[0].begin(), first.tables[0].begin() + 3));
  // Up to the limit, and up to the first token that differs.
  KvTables third = kv.make_tables();
  EXPECT_EQ(kv.reuse(third, tokens, 11), 8U);
  auto other = tokens;
  other[5] = 99;
  KvTables fourth = kv.make_tables();
  EXPECT_EQ(kv.reuse(fourth, other, 13), 4U);
  // The same tokens behind another beginning are another prefix.
  auto behind = tokens;
  behind[0] = 99;
  KvTables fifth = kv.make_tables();
  EXPECT_EQ(kv.reuse(fifth, behind, 13), 0U);
  for (KvTables* tables : {&first, &second, &third, &fourth, &fifth}) kv.release(*tables);
  EXPECT_EQ(kv.blocks_used(), 0U);
  EXPECT_EQ(kv.blocks_free(0), 20U);
}

TEST(KvCache, APublishedPrefixOutlivesItsSequenceUntilItsPlaceIsNeeded) {
  KvCache kv({{0, 5}}, 4, true);
  const auto tokens = counted(0, 12);
  KvTables first = computed(kv, tokens);
  kv.release(first);
  EXPECT_EQ(kv.blocks_free(0), 5U);
  EXPECT_EQ(kv.shared_blocks(tokens, 12), 0U) << "nobody holds them";
  KvTables again = kv.make_tables();
  EXPECT_EQ(kv.reuse(again, tokens, 12), 12U);
  kv.release(again);
  // Three of five blocks are wanted: one comes from the prefix, its end first.
  KvTables other = kv.make_tables();
  ASSERT_TRUE(kv.grow(other, 0, 12));
  KvTables rest = kv.make_tables();
  EXPECT_EQ(kv.reuse(rest, tokens, 12), 8U);
  EXPECT_FALSE(kv.grow(rest, 8, 9));
  kv.release(other);
  EXPECT_TRUE(kv.grow(rest, 8, 20));
  kv.release(rest);
}

TEST(KvCache, TwoThatComputedTheSameKeepOneCopy) {
  KvCache kv({{0, 20}}, 4, true);
  const auto tokens = counted(0, 9);
  KvTables a = kv.make_tables();
  KvTables b = kv.make_tables();
  ASSERT_TRUE(kv.grow(a, 0, 9) && kv.grow(b, 0, 9));
  EXPECT_EQ(kv.blocks_used(), 6U);
  kv.publish(a, tokens, 9);
  kv.publish(b, tokens, 6);
  EXPECT_EQ(kv.blocks_used(), 5U);
  kv.publish(b, tokens, 9);
  EXPECT_EQ(kv.blocks_used(), 4U);
  EXPECT_EQ(a.tables[0][0], b.tables[0][0]);
  EXPECT_EQ(a.tables[0][1], b.tables[0][1]);
  EXPECT_NE(a.tables[0][2], b.tables[0][2]);
  kv.release(a);
  KvTables c = kv.make_tables();
  EXPECT_EQ(kv.shared_blocks(tokens, 8), 2U);
  EXPECT_EQ(kv.reuse(c, tokens, 8), 8U);
  kv.release(b);
  kv.release(c);
  EXPECT_EQ(kv.blocks_used(), 0U);
}

TEST(KvCache, WindowsAndTheOptionTurnSharingOff) {
  for (const bool on : {true, false}) {
    KvCache kv(on ? std::vector<KvGroup>{{0, 20}, {8, 20}} : std::vector<KvGroup>{{0, 20}}, 4, on);
    EXPECT_FALSE(kv.shares_prefixes());
    const auto tokens = counted(0, 12);
    KvTables tables = computed(kv, tokens);
    KvTables other = kv.make_tables();
    EXPECT_EQ(kv.reuse(other, tokens, 12), 0U);
    kv.release(tables);
  }
}

TEST(KvCacheDeathTest, ABlockGivenBackTwiceAborts) {
  KvCache kv({{0, 5}}, 4);
  KvTables tables = kv.make_tables();
  ASSERT_TRUE(kv.grow(tables, 0, 4));
  KvTables copy = tables;
  kv.release(tables);
  EXPECT_DEATH(kv.release(copy), "check failed");
}

}  // namespace
}  // namespace switchyard::worker
