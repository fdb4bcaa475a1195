// Every row reaches the ranks that host its experts, in the stated order, and every answer comes home: over virtual
// ranks, for any placement.
#include "worker/exchange/exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <tuple>

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
void run_rank(Exchange& exchange, const LayerPlacement& placement, const Rows& mine, uint32_t top_k) {
  const uint32_t rank = exchange.rank();
  for (int round = 0; round < 3; ++round) {  // buffers are reused
    const auto received = exchange.dispatch(placement, mine.values.data(), mine.count, mine.experts.data());
    ASSERT_TRUE(received.ok()) << received.error().message;
    const auto* rows = static_cast<const float*>(received->rows);
    const auto& hosted = placement.experts[rank];
    ASSERT_EQ(received->slot_offsets.size(), hosted.size() + 1);
    float* answers = received->answers;
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
    const auto home = exchange.combine();
    ASSERT_TRUE(home.ok()) << home.error().message;
    for (int note = 0; note < 3; ++note) {  // what a step agrees on, also several times in a row
      const uint64_t said = 1000 * rank + 10 * static_cast<uint64_t>(round) + static_cast<uint64_t>(note);
      std::vector<uint64_t> heard(exchange.size());
      ASSERT_TRUE(exchange.all_gather(&said, sizeof said, heard.data()).ok());
      for (uint32_t r = 0; r < exchange.size(); ++r) EXPECT_EQ(heard[r], said - 1000 * rank + 1000 * r);
    }
    for (uint32_t r = 0; r < mine.count; ++r) {
      for (uint32_t j = 0; j < top_k; ++j) {
        const float* answer = (*home)[r * top_k + j];
        EXPECT_EQ(answer[0], static_cast<float>(rank));
        EXPECT_EQ(answer[1], static_cast<float>(r));
        EXPECT_EQ(answer[2], static_cast<float>(mine.experts[r * top_k + j]));
      }
    }
  }
}

// Ranks, and whether they send messages.
class ExchangeOverRanks : public ::testing::TestWithParam<std::tuple<uint32_t, bool>> {};

TEST_P(ExchangeOverRanks, EveryTokenReachesItsExpertAndComesHome) {
  const auto [ranks, messages] = GetParam();
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
      threads.emplace_back([&, r, messages = messages] {
        kernels::ThreadPool pool(1 + r % 2);
        const ExchangeShape shape{40, experts, top_k, kWidth * sizeof(float), kWidth};
        auto made = messages ? make_message_exchange(std::move(transports[r]), shape)
                             : make_exchange(std::move(transports[r]), shape, pool, 20000);
        ASSERT_TRUE(made.ok()) << made.error().message;
        EXPECT_STREQ((*made)->name(), messages || ranks == 1 ? "local" : "shared memory");
        run_rank(**made, placement, rows[r], top_k);
      });
    }
    for (auto& thread : threads) thread.join();
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ExchangeOverRanks,
                         ::testing::Combine(::testing::Values(1U, 2U, 3U, 4U, 7U), ::testing::Bool()));

// Two ranks that share memory, of which one does not come to the layer.
TEST(SharedExchange, NamesTheRankThatIsLate) {
  auto transports = make_local_transports(2, 20000);
  const ExchangeShape shape{4, 2, 1, kWidth * sizeof(float), kWidth};
  const auto placement = LayerPlacement::from_ranks(std::vector<uint32_t>{0, 1}, 2);
  std::unique_ptr<Exchange> other;
  std::thread thread([&] {
    kernels::ThreadPool pool(1);
    other = make_exchange(std::move(transports[1]), shape, pool, 50).value();
  });
  kernels::ThreadPool pool(1);
  const auto mine = make_exchange(std::move(transports[0]), shape, pool, 50).value();
  thread.join();
  const auto received = mine->dispatch(placement, nullptr, 0, nullptr);
  ASSERT_FALSE(received.ok());
  EXPECT_EQ(received.error().code, Errc::kTimeout);
  EXPECT_EQ(received.error().message, "dispatch: rank 1 did not answer in time");
}

// Ranks that tell others about themselves what is not so: here, that they run on another machine.
class Elsewhere final : public Transport {
 public:
  explicit Elsewhere(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {}
  const char* name() const override { return "elsewhere"; }
  uint32_t rank() const override { return inner_->rank(); }
  uint32_t size() const override { return inner_->size(); }
  Status all_gather(const void* send, size_t bytes, void* recv) override {
    std::vector<char> said(static_cast<const char*>(send), static_cast<const char*>(send) + bytes);
    if (rank() == 1 && bytes > 64) said[0] = '?';  // of the machine's name, which is longer than what else they say
    return inner_->all_gather(said.data(), bytes, recv);
  }
  Status all_to_all(const void* send, const uint32_t* send_offsets, void* recv, const uint32_t* recv_offsets,
                    size_t item_bytes) override {
    return inner_->all_to_all(send, send_offsets, recv, recv_offsets, item_bytes);
  }

 private:
  std::unique_ptr<Transport> inner_;
};

TEST(SharedExchange, RanksOfTwoMachinesSendMessages) {
  auto transports = make_local_transports(2, 20000);
  const auto placement = LayerPlacement::from_ranks(std::vector<uint32_t>{0, 1, 0}, 2);
  std::vector<std::thread> threads;
  for (uint32_t r = 0; r < 2; ++r) {
    threads.emplace_back([&, r] {
      kernels::ThreadPool pool(1);
      auto made = make_exchange(std::make_unique<Elsewhere>(std::move(transports[r])),
                                {40, 3, 2, kWidth * sizeof(float), kWidth}, pool, 20000);
      ASSERT_TRUE(made.ok()) << made.error().message;
      EXPECT_STREQ((*made)->name(), "elsewhere");
      std::minstd_rand random(r + 1);
      run_rank(**made, placement, make_rows(r, 20, 3, 2, random), 2);
    });
  }
  for (auto& thread : threads) thread.join();
}

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
