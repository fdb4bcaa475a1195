// Goal: whoever does not know the secret gets nowhere, whatever is sent; is counted by reason; and costs those who do
// nothing. Method: raw sockets against a Service on loopback while two members of the cluster talk; a handshake that a
// proxy recorded, played back to either side.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/net/net.h"
#include "common/net/refusals.h"
#include "common/net/tls.h"
#include "common/wire/switchyard.pb.h"
#include "tests/support/certificates.h"

namespace switchyard::net {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 60s;
const std::string kSecret = "the cluster's secret";

class Raw {
 public:
  explicit Raw(uint16_t port) : file_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval limit{std::chrono::seconds(kPatience).count(), 0};
    ::setsockopt(file_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    SWITCHYARD_CHECK(::connect(file_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  explicit Raw(int file) : file_(file) {}
  ~Raw() { ::close(file_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  void send(const std::string& bytes) const { (void)::send(file_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // What comes next; "" = the end.
  std::string receive() const {
    std::string bytes(65536, '\0');
    const auto count = ::recv(file_, bytes.data(), bytes.size(), 0);
    bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return bytes;
  }
  void end() const { ::shutdown(file_, SHUT_RDWR); }
  int file() const { return file_; }

 private:
  int file_;
};

// A socket of the test's own that somebody else connects to.
class RawListener {
 public:
  RawListener() : file_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    SWITCHYARD_CHECK(::bind(file_, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
                     ::listen(file_, 16) == 0 &&
                     ::getsockname(file_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~RawListener() { ::close(file_); }
  uint16_t port() const { return port_; }
  std::unique_ptr<Raw> accept() const { return std::make_unique<Raw>(::accept(file_, nullptr, nullptr)); }

 private:
  int file_;
  uint16_t port_ = 0;
};

std::string framed(const std::string& body) {
  std::string bytes(4, '\0');
  for (size_t i = 0; i < 4; ++i) bytes[i] = static_cast<char>(body.size() >> (8 * i));
  return bytes + body;
}

std::string hello(uint32_t version) {
  wire::Frame frame;
  frame.mutable_hello()->set_version(version);
  frame.mutable_hello()->set_role(wire::ROLE_WORKER);
  frame.mutable_hello()->set_name("worker 0");
  frame.mutable_hello()->set_nonce(std::string(32, 'n'));
  return framed(frame.SerializeAsString());
}

template <typename Condition>
bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// Plain, and over TLS.
class Strangers : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) options_.tls = tls_of(authority_, "member");
    start();
  }

  static TlsPtr tls_of(Authority& authority, const std::string& name) {
    const auto files = authority.issue(name);
    auto tls = internal_tls(files.certificate, files.key, authority.file());
    SWITCHYARD_CHECK(tls.ok());
    return std::move(tls).value();
  }

  void start() {
    server_ = std::move(Service::start({wire::ROLE_COORDINATOR, "coordinator"}, kSecret, options_)).value();
    Handlers handlers;
    handlers.on_open = [this](const ConnectionPtr&) { ++opened_; };
    handlers.on_frame = [](const ConnectionPtr& from, wire::Frame& frame) { from->send(frame); };
    port_ = server_->listen("127.0.0.1", 0, handlers).value();
  }

  // A member that sends frame after frame, each when the one before has come back.
  void join() {
    member_ = std::move(Service::start({wire::ROLE_WORKER, "worker 1"}, kSecret, options_)).value();
    Handlers handlers;
    handlers.on_open = [](const ConnectionPtr& to) { to->send(numbered(0)); };
    handlers.on_frame = [this](const ConnectionPtr& to, wire::Frame& frame) {
      EXPECT_EQ(frame.cancel().request_id(), echoes_.load());
      to->send(numbered(++echoes_));
    };
    handlers.on_close = [this](const ConnectionPtr&, const Error&) { ++lost_; };
    member_->connect("127.0.0.1", port_, handlers);
    ASSERT_TRUE(goes_on());
  }
  bool goes_on() {
    const uint64_t before = echoes_;
    return comes_true([&] { return echoes_ > before + 10; }) && lost_ == 0;
  }

  static wire::Frame numbered(uint64_t number) {
    wire::Frame frame;
    frame.mutable_cancel()->set_request_id(number);
    return frame;
  }
  uint64_t count(Refusal refusal) const { return server_->refusals()->counts()[static_cast<size_t>(refusal)]; }
  uint64_t count_all() const {
    uint64_t sum = 0;
    for (const uint64_t c : server_->refusals()->counts()) sum += c;
    return sum;
  }

  Authority authority_{"cluster"};
  Options options_;
  uint16_t port_ = 0;
  std::atomic<uint64_t> opened_ = 0, echoes_ = 0, lost_ = 0;
  std::unique_ptr<Service> server_, member_;
};

INSTANTIATE_TEST_SUITE_P(Net, Strangers, testing::Bool(),
                         [](const auto& each) { return each.param ? "OverTls" : "Plain"; });

TEST_P(Strangers, PortScansRandomBytesAndOtherProtocolsAreCountedWhileMembersTalk) {
  join();
  std::mt19937 random(1);
  for (int i = 0; i < 50; ++i) {
    Raw scan(port_);
    std::string bytes(1 + random() % 2000, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    Raw noise(port_);
    noise.send(bytes);
    Raw http(port_);
    http.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  EXPECT_TRUE(comes_true([&] { return count_all() == 150; })) << count_all();
  EXPECT_GE(count(Refusal::kTruncated), 50U) << "the port scans";
  EXPECT_GT(count(Refusal::kNotAHandshake) + count(Refusal::kOversized), 50U);
  EXPECT_TRUE(goes_on());
  EXPECT_EQ(opened_, 1U);
}

TEST_P(Strangers, AThousandHalfOpenConnectionsAreDroppedOldestFirstWhileMembersTalk) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  server_.reset();
  options_.handshake_deadline = 300s;  // so that none ends by it
  start();
  join();
  std::vector<std::unique_ptr<Raw>> silent;
  for (int i = 0; i < 1000; ++i) silent.push_back(std::make_unique<Raw>(port_));
  EXPECT_TRUE(comes_true([&] { return count(Refusal::kHalfOpenLimit) == 1000 - options_.half_open_max; }));
  EXPECT_TRUE(goes_on());
  auto late = std::move(Service::start({wire::ROLE_FRONTEND, "frontend 0"}, kSecret, options_)).value();
  late->connect("127.0.0.1", port_, {});
  EXPECT_TRUE(comes_true([&] { return opened_ == 2; })) << "who knows the secret still comes in";
}

TEST_P(Strangers, SilenceAndHalvesOfFramesEndAtTheDeadline) {
  server_.reset();
  options_.handshake_deadline = 300ms;
  start();
  Raw silent(port_), half(port_);
  half.send(GetParam() ? std::string("\x16\x03\x01\x01\xfc\x01", 6) : hello(kProtocolVersion).substr(0, 20));
  EXPECT_EQ(silent.receive(), "");
  EXPECT_EQ(half.receive(), "");
  EXPECT_TRUE(comes_true([&] { return count(Refusal::kTimeout) == 2; }));
}

class PlainStrangers : public Strangers {};
INSTANTIATE_TEST_SUITE_P(Net, PlainStrangers, testing::Values(false), [](const auto&) { return "Plain"; });

TEST_P(PlainStrangers, OversizedFramesOldVersionsAndWrongProofsEachHaveTheirReason) {
  join();
  Raw oversized(port_);
  oversized.send(std::string("\xff\xff\xff\x7f", 4));
  EXPECT_EQ(oversized.receive(), "");
  EXPECT_TRUE(comes_true([&] { return count(Refusal::kOversized) == 1; }));
  Raw old(port_);
  old.send(hello(kProtocolVersion - 1));
  while (!old.receive().empty()) {
  }
  old.end();
  EXPECT_TRUE(comes_true([&] { return count(Refusal::kBadVersion) == 1; }));
  Raw forger(port_);
  forger.send(hello(kProtocolVersion));
  EXPECT_NE(forger.receive(), "");
  wire::Frame proof;
  proof.mutable_hello_proof()->set_proof(std::string(32, 'p'));
  forger.send(framed(proof.SerializeAsString()));
  while (!forger.receive().empty()) {
  }
  forger.end();
  EXPECT_TRUE(comes_true([&] { return count(Refusal::kBadProof) == 1; }));
  Raw truncated(port_);
  truncated.send(hello(kProtocolVersion).substr(0, 20));
  truncated.end();
  EXPECT_TRUE(comes_true([&] { return count(Refusal::kTruncated) == 1; }));
  EXPECT_TRUE(goes_on());
}

TEST_P(PlainStrangers, AHandshakeThatSomebodyRecordedOpensNothingWhenPlayedBackToEitherSide) {
  // In the middle: passes everything on, and keeps it.
  RawListener proxy;
  std::vector<std::string> from_client, from_server;
  std::unique_ptr<Service> victim =
      std::move(Service::start({wire::ROLE_WORKER, "worker 1"}, kSecret, options_)).value();
  std::atomic<int> opened = 0, failed = 0;
  Handlers handlers;
  handlers.on_open = [&](const ConnectionPtr&) { ++opened; };
  handlers.on_connect_failed = [&](const Error&) { ++failed; };
  victim->connect("127.0.0.1", proxy.port(), handlers, {.reconnect = false});
  {
    const auto client = proxy.accept();
    Raw server(port_);
    for (int i = 0; i < 2; ++i) {  // Hello and HelloReply, HelloProof and HelloDone
      from_client.push_back(client->receive());
      server.send(from_client.back());
      from_server.push_back(server.receive());
      client->send(from_server.back());
    }
    ASSERT_TRUE(comes_true([&] { return opened == 1 && opened_ == 1; })) << "what was recorded is a good handshake";
  }
  Raw replay(port_);
  for (const auto& bytes : from_client) {
    replay.send(bytes);
    replay.receive();
  }
  replay.end();
  EXPECT_TRUE(comes_true([&] { return count(Refusal::kBadProof) == 1; }));
  EXPECT_EQ(opened_, 1U);

  victim->connect("127.0.0.1", proxy.port(), handlers, {.reconnect = false});
  const auto client = proxy.accept();
  client->receive();
  client->send(from_server[0]);
  EXPECT_EQ(client->receive(), "") << "no proof is given to who cannot prove";
  EXPECT_TRUE(comes_true([&] { return failed == 1; }));
  EXPECT_EQ(opened, 1);
}

class TlsStrangers : public Strangers {};
INSTANTIATE_TEST_SUITE_P(Net, TlsStrangers, testing::Values(true), [](const auto&) { return "OverTls"; });

TEST_P(TlsStrangers, ACertificateOfAnotherAuthorityAndNoneAreRefusedThoughTheSecretIsKnown) {
  join();
  Authority others("somebody else");
  Options foreign = options_;
  const auto own = others.issue("stranger");
  foreign.tls = internal_tls(own.certificate, own.key, authority_.file()).value();  // trusts us; we do not trust it
  std::atomic<int> failed = 0;
  Handlers handlers;
  handlers.on_connect_failed = [&](const Error&) { ++failed; };
  handlers.on_close = [&](const ConnectionPtr&, const Error&) { ADD_FAILURE() << "it was let in"; };
  auto stranger = std::move(Service::start({wire::ROLE_WORKER, "worker 2"}, kSecret, foreign)).value();
  stranger->connect("127.0.0.1", port_, handlers, {.reconnect = false});
  EXPECT_TRUE(comes_true([&] { return failed == 1 && count(Refusal::kBadProof) == 1; }));
  auto plain = std::move(Service::start({wire::ROLE_WORKER, "worker 3"}, kSecret)).value();
  plain->connect("127.0.0.1", port_, handlers, {.reconnect = false});
  EXPECT_TRUE(comes_true([&] { return failed == 2; }));
  EXPECT_TRUE(goes_on());
  EXPECT_EQ(opened_, 1U);
}

TEST_P(TlsStrangers, ACertificateWithoutTheSecretOpensNothing) {
  auto stranger = std::move(Service::start({wire::ROLE_WORKER, "worker 2"}, "another secret", options_)).value();
  std::atomic<int> failed = 0;
  Handlers handlers;
  handlers.on_connect_failed = [&](const Error&) { ++failed; };
  stranger->connect("127.0.0.1", port_, handlers, {.reconnect = false});
  EXPECT_TRUE(comes_true([&] { return failed == 1; }));
  EXPECT_EQ(opened_, 0U);
}

// Proofs are bound to the channel: somebody in the middle, with a certificate that both ends trust, who ends TLS on
// both sides and passes every byte of the handshake on.
TEST_P(TlsStrangers, SomebodyInTheMiddleWithAGoodCertificateCannotPassTheProofsOn) {
  RawListener listener;
  auto victim = std::move(Service::start({wire::ROLE_WORKER, "worker 1"}, kSecret, options_)).value();
  std::atomic<int> opened = 0, failed = 0;
  Handlers handlers;
  handlers.on_open = [&](const ConnectionPtr&) { ++opened; };
  handlers.on_connect_failed = [&](const Error&) { ++failed; };
  victim->connect("127.0.0.1", listener.port(), handlers, {.reconnect = false});

  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int to_server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(to_server, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const TlsPtr middle = tls_of(authority_, "middle");
  const auto client = listener.accept();
  TlsSession with_client(middle->accept(), client->file());
  TlsSession with_server(middle->connect("127.0.0.1"), to_server);
  const auto pass = [](TlsSession& from, TlsSession& to) {
    std::string bytes(65536, '\0');
    const auto step = from.read(bytes.data(), bytes.size());
    if (step.moved != TlsSession::Moved::kSome)
      return step.moved == TlsSession::Moved::kWantsRead || step.moved == TlsSession::Moved::kWantsWrite;
    for (;;) {
      const auto sent = to.write(bytes.data(), step.count);  // less than a record: all or nothing
      if (sent.moved == TlsSession::Moved::kSome) return true;
      if (sent.moved == TlsSession::Moved::kFailed) return false;
    }
  };
  EXPECT_TRUE(comes_true([&] {
    with_client.shake_hands();
    with_server.shake_hands();
    return with_client.established() && with_server.established();
  })) << "both ends take the middle for a member, as far as TLS goes";
  EXPECT_TRUE(
      comes_true([&] { return !pass(with_client, with_server) || !pass(with_server, with_client) || failed == 1; }));
  EXPECT_TRUE(comes_true([&] { return failed == 1; }));
  EXPECT_EQ(opened, 0);
  EXPECT_EQ(opened_, 0U);
  ::close(to_server);
}

}  // namespace
}  // namespace switchyard::net
