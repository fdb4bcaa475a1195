// Goal: ranks find each other over TCP and move bytes whole, whoever else knocks; who is gone or late is named. Method:
// ranks as threads on loopback, plain and over TLS. Those who knock without being members: tcp_strangers_test.cpp.
#include "worker/exchange/tcp_transport.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/certificates.h"
#include "tests/unit/exchange/tcp_ranks.h"

namespace switchyard::worker {
namespace {

void expect_bytes_arrive_whole(const TcpTrust& trust) {
  for (const uint32_t count : {1U, 2U, 3U, 5U}) {
    TcpRanks ranks(count, trust);
    auto transports = ranks.connect();
    std::vector<std::thread> threads;
    for (uint32_t r = 0; r < count; ++r) {
      threads.emplace_back([&, r] {
        Transport& transport = *transports[r];
        EXPECT_EQ(transport.rank(), r);
        EXPECT_EQ(transport.size(), count);
        for (uint32_t round = 0; round < 50; ++round) {
          const uint32_t mine = r * 1000 + round;
          std::vector<uint32_t> all(count);
          ASSERT_TRUE(transport.all_gather(&mine, sizeof mine, all.data()).ok());
          for (uint32_t s = 0; s < count; ++s) EXPECT_EQ(all[s], s * 1000 + round);
        }
        // Rank r sends (r + 1) * (d + 1) * 1000 items to rank d: megabytes, more than sockets buffer; none to itself if
        // odd.
        const auto items = [&](uint32_t from, uint32_t to) {
          return from == to && from % 2 == 1 ? 0 : (from + 1) * (to + 1) * 1000;
        };
        std::vector<uint32_t> out{0}, in{0};
        for (uint32_t o = 0; o < count; ++o) {
          out.push_back(out.back() + items(r, o));
          in.push_back(in.back() + items(o, r));
        }
        constexpr size_t kItem = 100;
        std::vector<uint8_t> sent(out.back() * kItem), got(in.back() * kItem);
        for (uint32_t d = 0; d < count; ++d)
          for (size_t i = out[d] * kItem; i < out[d + 1] * kItem; ++i)
            sent[i] = static_cast<uint8_t>(r * 31 + d * 7 + (i - out[d] * kItem) % 251);
        ASSERT_TRUE(transport.all_to_all(sent.data(), out.data(), got.data(), in.data(), kItem).ok());
        for (uint32_t s = 0; s < count; ++s)
          for (size_t i = in[s] * kItem; i < in[s + 1] * kItem; ++i)
            ASSERT_EQ(got[i], static_cast<uint8_t>(s * 31 + r * 7 + (i - in[s] * kItem) % 251));
      });
    }
    for (auto& thread : threads) thread.join();
  }
}

TEST(TcpTransport, BytesArriveWholeFromEveryRank) { expect_bytes_arrive_whole({"secret"}); }

TEST(TcpTransport, BytesArriveWholeOverTls) {
  Authority authority("the cluster");
  expect_bytes_arrive_whole({"secret", tls_of(authority)});
}

TEST(TcpTransport, ARankOfAnotherEpochIsNotLetIn) {
  TcpRanks ranks(2);
  Result<std::unique_ptr<Transport>> old = Error{Errc::kIo, ""};
  std::thread thread([&] { old = make_tcp_transport(ranks.listeners[1], ranks.members, 1, {"secret"}, 300, {1}); });
  EXPECT_FALSE(make_tcp_transport(ranks.listeners[0], ranks.members, 0, {"secret"}, 300, {2}).ok());
  thread.join();
  EXPECT_FALSE(old.ok());
  // Nor one of an epoch that only has the same number.
  std::thread namesake([&] {
    old = make_tcp_transport(ranks.listeners[1], ranks.members, 1, {"secret"}, 300, {2, nullptr, 1});
  });
  EXPECT_FALSE(make_tcp_transport(ranks.listeners[0], ranks.members, 0, {"secret"}, 300, {2, nullptr, 2}).ok());
  namesake.join();
  EXPECT_FALSE(old.ok());
  // In one epoch they meet, through the same listeners.
  for (const auto& transport : ranks.connect(TcpRanks::kLong, {3})) EXPECT_TRUE(transport != nullptr);
}

TEST(TcpTransport, ARankThatDiesIsNamedAtOnce) {
  TcpRanks ranks(3);
  auto transports = ranks.connect();
  transports[1].reset();
  const uint32_t mine = 0;
  std::vector<uint32_t> all(3);
  const Status lost = transports[0]->all_gather(&mine, sizeof mine, all.data());
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, Errc::kPeerLost);
  EXPECT_EQ(lost.error().message, "step agreement: rank 1 is gone");
}

TEST(TcpTransport, ARankThatIsLateIsNamed) {
  TcpRanks ranks(2);
  const auto transports = ranks.connect(200);
  const uint32_t mine = 0;
  std::vector<uint32_t> all(2);
  const Status late = transports[0]->all_gather(&mine, sizeof mine, all.data());
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, Errc::kTimeout);
  EXPECT_EQ(late.error().message, "step agreement: rank 1 did not answer in time");
}

TEST(TcpTransport, AnEpochsEndEndsEveryWait) {
  std::atomic<uint64_t> latest{4};
  const Epoch epoch{4, &latest};
  TcpRanks ranks(2);
  const auto transports = ranks.connect(TcpRanks::kLong, epoch);
  Status waiting;
  Result<std::unique_ptr<Transport>> connecting = Error{Errc::kIo, ""};
  std::thread one([&] {
    const uint32_t mine = 0;
    std::vector<uint32_t> all(2);
    waiting = transports[0]->all_gather(&mine, sizeof mine, all.data());
  });
  std::thread other([&] {
    connecting = make_tcp_transport(ranks.listeners[1], ranks.members, 1, {"secret"}, TcpRanks::kLong, epoch);
  });
  latest = 5;
  one.join();
  other.join();
  ASSERT_FALSE(waiting.ok());
  EXPECT_EQ(waiting.error().code, Errc::kUnavailable);
  EXPECT_EQ(waiting.error().message, "epoch 4 is over");
  ASSERT_FALSE(connecting.ok());
  EXPECT_EQ(connecting.error().code, Errc::kUnavailable);
}

TEST(TcpTransport, AListenersAddressIsCheckedAtOnce) {
  const auto first = TcpListener::open("127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  const auto second = TcpListener::open("127.0.0.1", first->port());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message,
            "cannot listen on 127.0.0.1:" + std::to_string(first->port()) + ": Address already in use");
  EXPECT_FALSE(TcpListener::open("no.such.host.invalid", 0).ok());
}

}  // namespace
}  // namespace switchyard::worker
