// Goal: ranks find each other over TCP and move bytes whole, whoever else knocks; who is gone or late is named. Method:
// ranks as threads on loopback, and plain sockets as strangers.
#include "worker/exchange/tcp_transport.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <numeric>
#include <thread>

namespace switchyard::worker {
namespace {

constexpr uint32_t kLong = 60000;

// Listeners of ranks on loopback, and their connecting.
struct Ranks {
  explicit Ranks(uint32_t count) {
    for (uint32_t r = 0; r < count; ++r) {
      listeners.push_back(TcpListener::open("127.0.0.1", 0).value());
      members.push_back({"127.0.0.1", listeners.back().port()});
    }
  }

  // The same secret, epoch and deadline for all.
  std::vector<std::unique_ptr<Transport>> connect(uint32_t deadline_ms = kLong, Epoch epoch = {}) {
    std::vector<std::unique_ptr<Transport>> transports(members.size());
    std::vector<std::thread> threads;
    for (uint32_t r = 0; r < members.size(); ++r) {
      threads.emplace_back([&, r] {
        auto made = make_tcp_transport(listeners[r], members, r, "secret", deadline_ms, epoch);
        EXPECT_TRUE(made.ok()) << made.error().message;
        if (made.ok()) transports[r] = std::move(*made);
      });
    }
    for (auto& thread : threads) thread.join();
    return transports;
  }

  std::vector<TcpListener> listeners;
  std::vector<TcpMember> members;
};

int knock(uint16_t port, const std::string& bytes) {
  const int file = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(file, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  if (bytes.empty()) return file;
  EXPECT_EQ(send(file, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  return file;
}

TEST(TcpTransport, BytesArriveWholeFromEveryRank) {
  for (const uint32_t count : {1U, 2U, 3U, 5U}) {
    Ranks ranks(count);
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

TEST(TcpTransport, StrangersAreNoHindrance) {
  Ranks ranks(3);
  std::vector<int> files;
  for (const auto& member : ranks.members) {
    for (int i = 0; i < 100; ++i) files.push_back(knock(member.port, ""));  // more than it keeps
    files.push_back(knock(member.port, "GET / HTTP/1.1\r\n\r\n"));
    files.push_back(knock(member.port, std::string(56, 'x')));
    files.push_back(knock(member.port, std::string(4096, '\xff')));
  }
  const auto transports = ranks.connect();
  for (const auto& transport : transports) EXPECT_TRUE(transport != nullptr);
  for (const int file : files) close(file);
}

TEST(TcpTransport, AnotherSecretIsRefused) {
  Ranks ranks(2);
  Result<std::unique_ptr<Transport>> other = Error{Errc::kIo, ""};
  std::thread thread([&] { other = make_tcp_transport(ranks.listeners[1], ranks.members, 1, "another secret", 300); });
  const auto mine = make_tcp_transport(ranks.listeners[0], ranks.members, 0, "secret", 300, {7});
  thread.join();
  ASSERT_FALSE(mine.ok());
  EXPECT_EQ(mine.error().code, Errc::kTimeout);
  EXPECT_EQ(mine.error().message, "epoch 7: rank 1 did not connect in time");
  EXPECT_FALSE(other.ok());
}

TEST(TcpTransport, ARankOfAnotherEpochIsNotLetIn) {
  Ranks ranks(2);
  Result<std::unique_ptr<Transport>> old = Error{Errc::kIo, ""};
  std::thread thread([&] { old = make_tcp_transport(ranks.listeners[1], ranks.members, 1, "secret", 300, {1}); });
  EXPECT_FALSE(make_tcp_transport(ranks.listeners[0], ranks.members, 0, "secret", 300, {2}).ok());
  thread.join();
  EXPECT_FALSE(old.ok());
  // In one epoch they meet, through the same listeners.
  for (const auto& transport : ranks.connect(kLong, {3})) EXPECT_TRUE(transport != nullptr);
}

TEST(TcpTransport, ARankThatDiesIsNamedAtOnce) {
  Ranks ranks(3);
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
  Ranks ranks(2);
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
  Ranks ranks(2);
  const auto transports = ranks.connect(kLong, epoch);
  Status waiting;
  Result<std::unique_ptr<Transport>> connecting = Error{Errc::kIo, ""};
  std::thread one([&] {
    const uint32_t mine = 0;
    std::vector<uint32_t> all(2);
    waiting = transports[0]->all_gather(&mine, sizeof mine, all.data());
  });
  std::thread other(
      [&] { connecting = make_tcp_transport(ranks.listeners[1], ranks.members, 1, "secret", kLong, epoch); });
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
