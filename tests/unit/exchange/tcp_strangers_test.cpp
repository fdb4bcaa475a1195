// Goal: who is no member of the epoch is kept out of the ranks' exchange, counted by reason, and no hindrance to those
// who are. Method: plain sockets against the handshake, with its messages written out here as tcp_transport.h has them,
// while the ranks meet; somebody in the middle who passes a meeting on and keeps what he saw.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "common/net/refusals.h"
#include "tests/unit/exchange/tcp_ranks.h"
#include "worker/exchange/tcp_sockets.h"

namespace switchyard::worker {
namespace {

using net::Refusal;

constexpr size_t kHelloBytes = 64;
constexpr size_t kReplyBytes = 64;
constexpr size_t kProofBytes = 32;
constexpr uint32_t kSoon = 300;  // ms, for what must not succeed

// A connection that waits.
class Stranger {
 public:
  explicit Stranger(uint16_t port, const std::string& says = "") : file_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(file_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    say(says);
  }
  explicit Stranger(int file) : file_(file) {}
  ~Stranger() { leave(); }
  Stranger(Stranger&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

  // To one who may already have closed.
  void say(const std::string& bytes) const { (void)send(file_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // So many bytes, or fewer when the other end closes.
  std::string hear(size_t count) const {
    std::string bytes(count, '\0');
    size_t got = 0;
    for (ssize_t n = 1; got < count && n > 0; got += n > 0 ? static_cast<size_t>(n) : 0)
      n = recv(file_, bytes.data() + got, count - got, 0);
    return bytes.substr(0, got);
  }
  void leave() {
    if (file_ >= 0) close(std::exchange(file_, -1));
  }

 private:
  int file_;
};

std::string hello(uint64_t epoch, uint32_t from, uint32_t to, uint32_t version = 2) {
  const uint32_t start[] = {0x78657773, version};
  const uint64_t which[] = {epoch, 0};
  const uint32_t ends[] = {from, to};
  std::string bytes(kHelloBytes, 'n');
  std::memcpy(bytes.data(), start, sizeof start);
  std::memcpy(bytes.data() + 8, which, sizeof which);
  std::memcpy(bytes.data() + 24, ends, sizeof ends);
  return bytes;
}

class TcpStrangers : public testing::TestWithParam<bool> {
 protected:
  TcpStrangers() {
    trust_.refusals = std::make_shared<net::Refusals>();
    if (GetParam()) trust_.tls = tls_of(authority_);
  }

  uint64_t count(Refusal refusal) const { return trust_.refusals->counts()[static_cast<size_t>(refusal)]; }
  // Rank 0 of two waits for rank 1, which does not come, while `meanwhile` happens.
  void waits_in_vain(TcpRanks& ranks, const std::function<void()>& meanwhile) {
    std::atomic<uint64_t> latest = 7;
    std::thread thread([&] {
      meanwhile();
      latest = 8;
    });
    const auto made = make_tcp_transport(ranks.listeners[0], ranks.members, 0, trust_, TcpRanks::kLong, {7, &latest});
    thread.join();
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, Errc::kUnavailable) << made.error().message;
  }

  Authority authority_{"the cluster"};
  TcpTrust trust_{"secret"};
};
INSTANTIATE_TEST_SUITE_P(Exchange, TcpStrangers, testing::Bool(),
                         [](const auto& tls) { return tls.param ? "OverTls" : "Plain"; });

TEST_P(TcpStrangers, HundredsBeforeEveryDoorAreNoHindrance) {
  TcpRanks ranks(3, trust_);
  std::vector<Stranger> strangers;
  for (const auto& member : ranks.members) {
    for (int i = 0; i < 200; ++i) strangers.emplace_back(member.port);
    strangers.emplace_back(member.port, "GET / HTTP/1.1\r\n\r\n");
    strangers.emplace_back(member.port, std::string(kHelloBytes, 'x'));
    strangers.emplace_back(member.port, std::string(4096, '\xff'));
    Stranger(member.port).leave();
  }
  for (const auto& transport : ranks.connect()) EXPECT_TRUE(transport != nullptr);
  EXPECT_GE(count(Refusal::kHalfOpenLimit), 3 * (200U - 64U));  // those it keeps are counted when the ranks have met
  EXPECT_GE(count(Refusal::kNotAHandshake), 6U);
  // Nothing of them is left for the next meeting.
  strangers.clear();
  const auto before = trust_.refusals->counts();
  for (const auto& transport : ranks.connect(TcpRanks::kLong, {2})) EXPECT_TRUE(transport != nullptr);
  EXPECT_EQ(trust_.refusals->counts(), before);
}

TEST_P(TcpStrangers, AnotherSecretIsRefused) {
  TcpRanks ranks(2, trust_);
  TcpTrust other = trust_;
  other.secret = "another secret";
  other.refusals = nullptr;
  Result<std::unique_ptr<Transport>> made = Error{Errc::kIo, ""};
  waits_in_vain(ranks, [&] { made = make_tcp_transport(ranks.listeners[1], ranks.members, 1, other, kSoon, {7}); });
  EXPECT_FALSE(made.ok());
  // It is rank 1 that sees first that the other's proof is wrong, and goes.
  EXPECT_GE(count(Refusal::kTruncated), 1U);
}

class PlainTcpStrangers : public TcpStrangers {};
INSTANTIATE_TEST_SUITE_P(Exchange, PlainTcpStrangers, testing::Values(false), [](const auto&) { return "Plain"; });

TEST_P(PlainTcpStrangers, EachIsCountedByWhatItDidWrong) {
  TcpRanks ranks(2, trust_);
  const uint16_t port = ranks.members[0].port;
  waits_in_vain(ranks, [&] {
    EXPECT_EQ(Stranger(port, std::string(kHelloBytes, 'x')).hear(1), "");
    EXPECT_EQ(Stranger(port, hello(7, 1, 0, 1)).hear(1), "");
    EXPECT_EQ(Stranger(port, hello(7, 9, 0)).hear(1), "");  // no such member
    EXPECT_EQ(Stranger(port, hello(7, 1, 1)).hear(1), "");  // not for this rank
    EXPECT_EQ(Stranger(port, hello(6, 1, 0)).hear(1), "");  // of another epoch: no reason to count
    Stranger(port, hello(7, 1, 0).substr(0, 40)).leave();
    const Stranger liar(port, hello(7, 1, 0));
    EXPECT_EQ(liar.hear(kReplyBytes).size(), kReplyBytes);
    liar.say(std::string(kProofBytes, 'p'));
    EXPECT_EQ(liar.hear(1), "");
  });
  EXPECT_EQ(count(Refusal::kNotAHandshake), 3U);
  EXPECT_EQ(count(Refusal::kBadVersion), 1U);
  EXPECT_EQ(count(Refusal::kTruncated), 1U);
  EXPECT_EQ(count(Refusal::kBadProof), 1U);
}

TEST_P(PlainTcpStrangers, WhatWasSeenOfAMeetingIsNoUseInAnother) {
  TcpRanks ranks(2, trust_);
  TcpRanks middle(1, trust_);
  const auto seen_by_member = [&](uint32_t rank) {
    auto members = ranks.members;
    if (rank == 1) members[0] = middle.members[0];  // whom it takes for rank 0
    return members;
  };
  std::string said, proof;
  std::thread in_the_middle([&] {
    int file = -1;
    while (file < 0) file = accept4(middle.listeners[0].file(), nullptr, nullptr, 0);
    const Stranger member(file);
    const Stranger door(ranks.members[0].port);
    door.say(said = member.hear(kHelloBytes));
    member.say(door.hear(kReplyBytes));
    door.say(proof = member.hear(kProofBytes));
    door.hear(1);  // as long as they have each other
  });
  std::vector<std::unique_ptr<Transport>> met(2);
  std::vector<std::thread> threads;
  for (uint32_t r = 0; r < 2; ++r) {
    threads.emplace_back([&, r] {
      met[r] = make_tcp_transport(ranks.listeners[r], seen_by_member(r), r, trust_, TcpRanks::kLong, {7}).value();
    });
  }
  for (auto& thread : threads) thread.join();
  met.clear();
  in_the_middle.join();
  ASSERT_EQ(proof.size(), kProofBytes);
  waits_in_vain(ranks, [&] {
    const Stranger replays(ranks.members[0].port, said);
    EXPECT_EQ(replays.hear(kReplyBytes).size(), kReplyBytes);
    replays.say(proof);
    EXPECT_EQ(replays.hear(1), "");
  });
  EXPECT_EQ(count(Refusal::kBadProof), 1U);
}

class TlsTcpStrangers : public TcpStrangers {};
INSTANTIATE_TEST_SUITE_P(Exchange, TlsTcpStrangers, testing::Values(true), [](const auto&) { return "OverTls"; });

TEST_P(TlsTcpStrangers, ACertificateOfAnotherAuthorityAndPlainBytesAreRefusedThoughTheSecretIsKnown) {
  TcpRanks ranks(2, trust_);
  Authority others("somebody else");
  const auto own = others.issue("stranger");
  const TcpTrust foreign{"secret", net::internal_tls(own.certificate, own.key, authority_.file()).value()};
  waits_in_vain(ranks, [&] {
    EXPECT_FALSE(make_tcp_transport(ranks.listeners[1], ranks.members, 1, foreign, kSoon, {7}).ok());
    EXPECT_FALSE(make_tcp_transport(ranks.listeners[1], ranks.members, 1, {"secret"}, kSoon, {7}).ok());
  });
  EXPECT_GE(count(Refusal::kBadProof), 1U);
  EXPECT_GE(count(Refusal::kNotAHandshake), 1U);
}

// He has a certificate that both ends trust, ends TLS on both sides and passes every byte of the handshake on.
TEST_P(TlsTcpStrangers, SomebodyInTheMiddleWithAGoodCertificateCannotPassTheProofsOn) {
  TcpRanks ranks(2, trust_);
  TcpRanks middle(1, trust_);
  const auto secured = [&](int file, SSL* ssl) {
    Socket made(file);
    made.secure(ssl);
    return made;
  };
  // False: the one it should come from has gone.
  const auto pass = [](Socket& from, Socket& to, size_t size) {
    std::vector<std::byte> bytes(size);
    Flow in{bytes.data(), size}, out{bytes.data(), size};
    while (in.left != 0)
      if (from.receive(in) == Socket::Moved::kClosed) return false;
    while (out.left != 0)
      if (to.send(out) == Socket::Moved::kClosed) return false;
    return true;
  };
  bool reply_passed = false, proof_passed = false;
  waits_in_vain(ranks, [&] {
    auto members = ranks.members;
    members[0] = middle.members[0];
    Result<std::unique_ptr<Transport>> victim = Error{Errc::kIo, ""};
    std::thread thread([&] { victim = make_tcp_transport(ranks.listeners[1], members, 1, trust_, kSoon, {7}); });
    int file = -1;
    while (file < 0) file = accept4(middle.listeners[0].file(), nullptr, nullptr, 0);
    Socket member = secured(file, trust_.tls->accept());
    const int to = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(ranks.members[0].port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(to, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    Socket door = secured(to, trust_.tls->connect("127.0.0.1"));
    reply_passed = pass(member, door, kHelloBytes) && pass(door, member, kReplyBytes);
    proof_passed = pass(member, door, kProofBytes);
    thread.join();
    EXPECT_FALSE(victim.ok());
  });
  EXPECT_TRUE(reply_passed);
  EXPECT_FALSE(proof_passed) << "the member has seen that the reply is of another channel";
}

}  // namespace
}  // namespace switchyard::worker
