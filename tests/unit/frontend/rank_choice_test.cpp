// Goal: prompts go where their beginning is cached, unless load, silence or a full cache says otherwise.
#include "frontend/routing/rank_choice.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "frontend/routing/prefix_index.h"

namespace switchyard::frontend {
namespace {

std::vector<int32_t> tokens(size_t count, int32_t first = 0) {
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) ids[i] = first + static_cast<int32_t>(i);
  return ids;
}

std::map<uint32_t, uint32_t> matches(const PrefixIndex& index, const std::vector<int32_t>& prompt) {
  std::map<uint32_t, uint32_t> all;
  for (const auto& match : index.matches(PrefixIndex::blocks_of(prompt))) all[match.rank] = match.tokens;
  return all;
}

using Matches = std::map<uint32_t, uint32_t>;

TEST(PrefixIndex, KnowsHowFarEachRankHasABeginning) {
  PrefixIndex index;
  EXPECT_EQ(matches(index, tokens(500)), Matches());
  index.add(PrefixIndex::blocks_of(tokens(200)), 0);
  index.add(PrefixIndex::blocks_of(tokens(500)), 1);
  EXPECT_EQ(matches(index, tokens(500)), (Matches{{0, 192}, {1, 448}}));
  EXPECT_EQ(matches(index, tokens(130)), (Matches{{0, 128}, {1, 128}}));
  EXPECT_EQ(matches(index, tokens(63)), Matches()) << "less than a block";
  EXPECT_EQ(matches(index, tokens(500, 1)), Matches()) << "another beginning";
  auto forked = tokens(500);
  forked[100] = -1;
  EXPECT_EQ(matches(index, forked), (Matches{{0, 64}, {1, 64}}));
  index.forget(1);
  EXPECT_EQ(matches(index, tokens(500)), (Matches{{0, 192}}));
}

TEST(PrefixIndex, TheSameBlockBehindAnotherBeginningIsAnother) {
  PrefixIndex index;
  auto a = tokens(128);
  auto b = tokens(128);
  b[0] = 99;
  index.add(PrefixIndex::blocks_of(a), 3);
  EXPECT_EQ(matches(index, b), Matches());
}

TEST(PrefixIndex, IsBoundedAndLosesEndsBeforeBeginnings) {
  PrefixIndex index(10);
  index.add(PrefixIndex::blocks_of(tokens(64 * 8)), 0);
  index.add(PrefixIndex::blocks_of(tokens(64 * 5, 1000)), 1);
  EXPECT_EQ(index.size(), 10U);
  EXPECT_EQ(matches(index, tokens(64 * 8)), (Matches{{0, 64 * 5}}));
  EXPECT_EQ(matches(index, tokens(64 * 5, 1000)), (Matches{{1, 64 * 5}}));
  for (uint32_t rank = 0; rank < 9; ++rank) index.add(PrefixIndex::blocks_of(tokens(64)), rank);
  EXPECT_EQ(matches(index, tokens(64)), (Matches{{5, 64}, {6, 64}, {7, 64}, {8, 64}})) << "the latest four";
  index.add(PrefixIndex::blocks_of(tokens(64 * 4096, 7)), 2);
  EXPECT_LE(index.size(), 10U);
}

TEST(PrefixIndex, ARankThatIsForgottenLeavesNothingBehind) {
  PrefixIndex index;
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    index.add(PrefixIndex::blocks_of(tokens(64 * (1 + random() % 8), static_cast<int32_t>(random() % 20))),
              static_cast<uint32_t>(random() % 3));
  }
  for (uint32_t rank = 0; rank < 3; ++rank) index.forget(rank);
  EXPECT_EQ(index.size(), 0U);
}

TEST(RankChoice, TheLeastLoadedWithoutABeginning) {
  EXPECT_EQ(choose_rank({}, 100), std::nullopt);
  EXPECT_EQ(choose_rank({{.rank = 0, .running = 3}, {.rank = 1, .running = 2}}, 100), 1U);
  EXPECT_EQ(choose_rank({{.rank = 0, .running = 2}, {.rank = 1, .running = 2}}, 100), 0U) << "a tie";
  const RankCandidate one_waits{.rank = 0, .running = 2, .waiting = 1};
  EXPECT_EQ(choose_rank({one_waits, {.rank = 1, .running = 9}}, 100), 1U);
  EXPECT_EQ(choose_rank({one_waits, {.rank = 1, .running = 11}}, 100), 0U) << "one that waits is eight that run";
}

TEST(RankChoice, WhereTheBeginningIsUntilTheLoadCostsMore) {
  const auto with = [](uint32_t running) {
    return choose_rank({{.rank = 0, .running = 1}, {.rank = 1, .running = running, .cached_tokens = 640}}, 1000);
  };
  EXPECT_EQ(with(1), 1U);
  EXPECT_EQ(with(20), 1U);
  EXPECT_EQ(with(22), 0U) << "640 tokens are 20 running sequences";
}

TEST(RankChoice, SilentAndFullRanksOnlyWhenAllAre) {
  const RankCandidate silent{.rank = 0, .running = 1, .silent_seconds = 1.0, .cached_tokens = 900};
  const RankCandidate full{.rank = 1, .running = 1, .waiting = 1, .kv_usage = 0.99};
  const RankCandidate busy{.rank = 2, .running = 60};
  EXPECT_EQ(choose_rank({silent, full, busy}, 1000), 2U);
  EXPECT_EQ(choose_rank({silent, full}, 1000), 0U);
}

TEST(ChooseRank, ARankOfABrokenGroupIsTakenOnlyWhenThereIsNoOther) {
  RankCandidate broken;
  broken.rank = 0;
  broken.in_broken_group = true;
  broken.cached_tokens = 1000;
  RankCandidate full;
  full.rank = 1;
  full.running = 64;
  full.waiting = 9;
  full.kv_usage = 1.0;
  EXPECT_EQ(choose_rank({broken, full}, 1000), 1U);
  EXPECT_EQ(choose_rank({broken}, 1000), 0U);
}

}  // namespace
}  // namespace switchyard::frontend
