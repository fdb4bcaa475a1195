// Every row reaches the ranks that host its experts, in the stated order, and every answer comes home: over virtual
// ranks, for any placement.
#include "worker/exchange/exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

namespace switchyard::worker {
namespace {

constexpr uint32_t kWidth = 3;  // floats of a row and of an answer

// What a rank sends: rows whose first value names them, and their experts.
struct Rows {
  std::vector<float> values;     // (count, kWidth): rank, row, 0
  std::vector<int32_t> experts;  // (count, top_k)
  uint32_t count = 0;
};

Rows make_rows(uint32_t rank, uint32_t count, uint32_t experts, uint32_t top_k, std::minstd_rand& random) {
  Rows rows;
  rows.count = count;
  for (uint32_t r = 0; r < count; ++r) {
    rows.values.insert(rows.values.end(), {static_cast<float>(rank), static_cast<float>(r), 0.0F});
    std::vector<int32_t> ids(experts);
    for (uint32_t e = 0; e < experts; ++e) ids[e] = static_cast<int32_t>(e);
    std::shuffle(ids.begin(), ids.end(), random);
    rows.experts.insert(rows.experts.end(), ids.begin(), ids.begin() + top_k);
  }
  return rows;
}

// One rank's part of a dispatch and combine, checked on the way. The expert's answer to a row is (rank, row, expert).
void run_rank(Transport* raw, std::unique_ptr<Transport> transport, const LayerPlacement& placement, const Rows& mine,
              uint32_t top_k) {
  const uint32_t rank = raw->rank();
  const auto exchange = make_host_exchange(std::move(transport));
  for (int round = 0; round < 3; ++round) {  // buffers are reused
    const auto received = exchange->dispatch(placement, mine.values.data(), kWidth * sizeof(float), mine.count,
                                             mine.experts.data(), top_k);
    ASSERT_TRUE(received.ok()) << received.error().message;
    const auto* rows = static_cast<const float*>(received->rows);
    const auto& hosted = placement.experts[rank];
    ASSERT_EQ(received->slot_offsets.size(), hosted.size() + 1);
    std::vector<float> answers(size_t{received->row_count} * kWidth);
    for (size_t slot = 0; slot < hosted.size(); ++slot) {
      for (uint32_t i = received->slot_offsets[slot]; i < received->slot_offsets[slot + 1]; ++i) {
        if (i > received->slot_offsets[slot]) {
          const auto before = std::pair(rows[(i - 1) * kWidth], rows[(i - 1) * kWidth + 1]);
          EXPECT_LT(before, std::pair(rows[i * kWidth], rows[i * kWidth + 1]))
              << "a slot's rows are ordered by (source rank, row)";
        }
        answers[i * kWidth] = rows[i * kWidth];
        answers[i * kWidth + 1] = rows[i * kWidth + 1];
        answers[i * kWidth + 2] = static_cast<float>(hosted[slot]);
      }
    }
    ASSERT_TRUE(exchange->combine(answers.data(), kWidth).ok());
    for (uint32_t r = 0; r < mine.count; ++r) {
      for (uint32_t j = 0; j < top_k; ++j) {
        const float* answer = exchange->home_answers() + size_t{exchange->home_index()[r * top_k + j]} * kWidth;
        EXPECT_EQ(answer[0], static_cast<float>(rank));
        EXPECT_EQ(answer[1], static_cast<float>(r));
        EXPECT_EQ(answer[2], static_cast<float>(mine.experts[r * top_k + j]));
      }
    }
  }
}

class ExchangeOverRanks : public ::testing::TestWithParam<uint32_t> {};

TEST_P(ExchangeOverRanks, EveryTokenReachesItsExpertAndComesHome) {
  const uint32_t ranks = GetParam();
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::minstd_rand random(seed);
    const uint32_t experts = 1 + static_cast<uint32_t>(random()) % 16;
    const uint32_t top_k = 1 + static_cast<uint32_t>(random()) % experts;
    std::vector<uint32_t> rank_of(experts);
    for (auto& r : rank_of) r = static_cast<uint32_t>(random()) % ranks;  // some ranks may host nothing
    const auto placement = LayerPlacement::from_ranks(rank_of, ranks);
    std::vector<Rows> rows;
    for (uint32_t r = 0; r < ranks; ++r)
      rows.push_back(
          make_rows(r, random() % 3 == 0 ? 0 : static_cast<uint32_t>(random()) % 40, experts, top_k, random));

    std::vector<std::unique_ptr<Transport>> transports;
    if (ranks == 1) {
      transports.push_back(make_single_transport());
    } else {
      transports = make_local_transports(ranks, 20000);
    }
    std::vector<std::thread> threads;
    for (uint32_t r = 0; r < ranks; ++r) {
      Transport* raw = transports[r].get();
      threads.emplace_back([&, r, raw] { run_rank(raw, std::move(transports[r]), placement, rows[r], top_k); });
    }
    for (auto& thread : threads) thread.join();
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ExchangeOverRanks, ::testing::Values(1U, 2U, 3U, 4U, 7U));

TEST(LocalTransport, NamesTheRankThatIsLate) {
  auto transports = make_local_transports(3, 50);
  const auto meet = [&](uint32_t r) {
    uint32_t mine = r;
    std::vector<uint32_t> all(3);
    return transports[r]->all_gather(&mine, sizeof mine, all.data());
  };
  Status first;
  std::thread other([&] { first = meet(0); });
  const Status second = meet(2);
  other.join();
  ASSERT_FALSE(first.ok());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message, "late: rank 1");
}

TEST(LayerPlacement, ListsEachRanksExpertsInOrder) {
  const std::vector<uint32_t> rank_of = {1, 0, 1, 1, 0};
  const auto placement = LayerPlacement::from_ranks(rank_of, 3);
  EXPECT_EQ(placement.experts[0], (std::vector<uint32_t>{1, 4}));
  EXPECT_EQ(placement.experts[1], (std::vector<uint32_t>{0, 2, 3}));
  EXPECT_TRUE(placement.experts[2].empty());
  EXPECT_EQ(placement.slot_of_expert, (std::vector<uint32_t>{0, 0, 1, 2, 1}));
}

}  // namespace
}  // namespace switchyard::worker
