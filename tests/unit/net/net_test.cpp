// Goal: only peers that know the secret get through, their frames arrive whole and in order, and no peer can hurt the
// others. Method: two Services over loopback, and raw sockets that misbehave.
#include "common/net/net.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/net/handshake.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::net {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 20s;  // for events that must come
const std::string kSecret = "the cluster's secret";

std::unique_ptr<Service> make_service(wire::Role role, const std::string& name, Options options = {},
                                      const std::string& secret = kSecret) {
  auto service = Service::start({role, name}, secret, options);
  EXPECT_TRUE(service.ok());
  return std::move(service).value();
}

// Records what happens, and waits for it.
class Recorder {
 public:
  Handlers handlers() {
    Handlers h;
    h.on_open = [this](const ConnectionPtr& c) { note([&] { opened.push_back(c); }); };
    h.on_frame = [this](const ConnectionPtr& c, wire::Frame& f) {
      note([&] { frames.push_back(std::move(f)); });
      if (answer) answer(c, frames.back());
    };
    h.on_close = [this](const ConnectionPtr&, const Error& e) { note([&] { closed.push_back(e); }); };
    h.on_connect_failed = [this](const Error& e) { note([&] { failed.push_back(e); }); };
    return h;
  }
  template <typename Condition>
  bool wait(Condition condition, std::chrono::milliseconds limit = kPatience) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, limit, condition);
  }
  bool wait_open(size_t count) {
    return wait([&] { return opened.size() >= count; });
  }
  bool wait_closed(size_t count) {
    return wait([&] { return closed.size() >= count; });
  }
  bool wait_failed(size_t count) {
    return wait([&] { return failed.size() >= count; });
  }
  bool wait_frames(size_t count) {
    return wait([&] { return frames.size() >= count; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<ConnectionPtr> opened;
  std::deque<wire::Frame> frames;
  std::vector<Error> closed, failed;
  std::function<void(const ConnectionPtr&, wire::Frame&)> answer;

 private:
  template <typename Change>
  void note(Change change) {
    // Under the lock: who waits may destroy this as soon as it sees the change.
    const std::lock_guard lock(mutex);
    change();
    changed.notify_all();
  }
};

wire::Frame cancel_frame(uint64_t id) {
  wire::Frame frame;
  frame.mutable_cancel()->set_request_id(id);
  return frame;
}

wire::Frame large_frame(size_t bytes) {
  wire::Frame frame;
  frame.mutable_register_rank()->set_model(std::string(bytes, 'm'));
  return frame;
}

ReconnectPolicy once() { return {.reconnect = false}; }

// A stranger with a socket.
class RawSocket {
 public:
  explicit RawSocket(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  ~RawSocket() { ::close(fd_); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  void write(const std::string& bytes) const { (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void write_frame(const wire::Frame& frame) const {
    const auto body = frame.SerializeAsString();
    std::string header(4, '\0');
    for (size_t i = 0; i < 4; ++i) header[i] = static_cast<char>(body.size() >> (8 * i));
    write(header + body);
  }
  std::string read_exactly(size_t count) const {
    std::string bytes(count, '\0');
    size_t have = 0;
    while (have < count) {
      const auto got = ::recv(fd_, bytes.data() + have, count - have, 0);
      if (got <= 0) break;
      have += static_cast<size_t>(got);
    }
    bytes.resize(have);
    return bytes;
  }
  wire::Frame read_frame() const {
    const auto header = read_exactly(4);
    wire::Frame frame;
    if (header.size() < 4) return frame;
    size_t size = 0;
    for (size_t i = 0; i < 4; ++i) size |= static_cast<size_t>(static_cast<unsigned char>(header[i])) << (8 * i);
    EXPECT_LT(size, 1U << 20);
    EXPECT_TRUE(frame.ParseFromString(read_exactly(size)));
    return frame;
  }
  // True once the other end has closed (or reset), whatever else it sends before.
  bool wait_until_closed() const {
    char byte = 0;
    while (true) {
      const auto got = ::recv(fd_, &byte, 1, 0);
      if (got == 0) return true;
      if (got < 0) return errno == ECONNRESET;
    }
  }

 private:
  int fd_;
};

// Server and client, connected.
struct Pair {
  explicit Pair(Options server_options = {}, Options client_options = {})
      : server(make_service(wire::ROLE_COORDINATOR, "coordinator", server_options)),
        client(make_service(wire::ROLE_WORKER, "worker 2", client_options)) {
    auto listened = server->listen("127.0.0.1", 0, at_server.handlers());
    EXPECT_TRUE(listened.ok());
    port = *listened;
  }
  ~Pair() {
    client->stop();
    server->stop();
  }
  void connect(ReconnectPolicy policy = {}) {
    client->connect("127.0.0.1", port, at_client.handlers(), policy);
    ASSERT_TRUE(at_client.wait_open(1));
    ASSERT_TRUE(at_server.wait_open(1));
  }
  Recorder at_server, at_client;
  std::unique_ptr<Service> server, client;
  uint16_t port = 0;
};

TEST(Net, PeersWithTheSecretMeetAndKnowWhoTheOtherIs) {
  Pair pair;
  pair.connect();
  const auto& client = pair.at_server.opened[0]->peer();
  EXPECT_EQ(client.role, wire::ROLE_WORKER);
  EXPECT_EQ(client.name, "worker 2");
  EXPECT_EQ(client.pid, getpid());
  EXPECT_EQ(client.host, host_name());
  EXPECT_EQ(client.address.rfind("127.0.0.1:", 0), 0U);
  const auto& server = pair.at_client.opened[0]->peer();
  EXPECT_EQ(server.role, wire::ROLE_COORDINATOR);
  EXPECT_EQ(server.name, "coordinator");
}

TEST(Net, FramesArriveWholeAndInOrder) {
  Pair pair;
  pair.at_server.answer = [](const ConnectionPtr& c, wire::Frame& f) { c->send(f); };
  pair.connect();
  constexpr uint64_t kCount = 5000;
  for (uint64_t i = 0; i < kCount; ++i) ASSERT_TRUE(pair.at_client.opened[0]->send(cancel_frame(i)));
  ASSERT_TRUE(pair.at_client.opened[0]->send(large_frame(5U << 20)));
  ASSERT_TRUE(pair.at_client.wait_frames(kCount + 1));
  for (uint64_t i = 0; i < kCount; ++i) ASSERT_EQ(pair.at_client.frames[i].cancel().request_id(), i);
  EXPECT_EQ(pair.at_client.frames[kCount].register_rank().model(), std::string(5U << 20, 'm'));
}

TEST(Net, SendIsSafeFromManyThreads) {
  Pair pair;
  pair.connect();
  constexpr uint64_t kThreads = 4, kEach = 2000;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < kEach; ++i) pair.at_client.opened[0]->send(cancel_frame(t * kEach + i));
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(pair.at_server.wait_frames(kThreads * kEach));
  std::vector<uint64_t> next(kThreads, 0);
  for (const auto& frame : pair.at_server.frames) {
    const auto id = frame.cancel().request_id();
    ASSERT_EQ(id % kEach, next[id / kEach]++) << "frames of one thread changed their order";
  }
}

TEST(Net, PingIsAnsweredByTheServiceItself) {
  Pair pair;
  pair.connect();
  wire::Frame ping;
  ping.mutable_ping()->set_id(77);
  pair.at_client.opened[0]->send(ping);
  ASSERT_TRUE(pair.at_client.wait_frames(1));
  EXPECT_EQ(pair.at_client.frames[0].pong().id(), 77U);
  EXPECT_TRUE(pair.at_server.frames.empty());
}

TEST(Net, AClientWithAnotherSecretIsRefused) {
  Recorder at_stranger;
  Pair pair;
  const auto stranger = make_service(wire::ROLE_WORKER, "stranger", {}, "another secret");
  stranger->connect("127.0.0.1", pair.port, at_stranger.handlers(), once());
  ASSERT_TRUE(at_stranger.wait_failed(1));
  EXPECT_EQ(at_stranger.failed[0].code, Errc::kUnauthorized);
  stranger->stop();
  pair.connect();  // an honest peer still gets in
  EXPECT_EQ(pair.at_server.opened.size(), 1U);
  EXPECT_TRUE(at_stranger.opened.empty());
}

// The client above gives up on the server's proof; this one goes on regardless, so that the server's own check is seen.
TEST(Net, AServerDoesNotBelieveAWrongProof) {
  Pair pair;
  const RawSocket raw(pair.port);
  wire::Frame hello;
  hello.mutable_hello()->set_version(kProtocolVersion);
  hello.mutable_hello()->set_role(wire::ROLE_WORKER);
  hello.mutable_hello()->set_name("forger");
  const std::string nonce(kNonceBytes, 'n');
  hello.mutable_hello()->set_nonce(nonce);
  raw.write_frame(hello);
  const auto reply = raw.read_frame();
  ASSERT_TRUE(reply.has_hello_reply());
  EXPECT_EQ(reply.hello_reply().proof(), proof_of(kSecret, "server", nonce, reply.hello_reply().nonce()));
  wire::Frame proof;  // the server's own proof sent back
  proof.mutable_hello_proof()->set_proof(reply.hello_reply().proof());
  raw.write_frame(proof);
  const auto done = raw.read_frame();
  ASSERT_TRUE(done.has_hello_done());
  EXPECT_EQ(done.hello_done().error(), "wrong cluster secret");
  pair.connect();
  EXPECT_EQ(pair.at_server.opened.size(), 1U);
}

TEST(Net, FramesBeforeTheHandshakeReachNobody) {
  Pair pair;
  const RawSocket raw(pair.port);
  raw.write_frame(cancel_frame(1));
  EXPECT_TRUE(raw.wait_until_closed());
  EXPECT_TRUE(pair.at_server.frames.empty());
  EXPECT_TRUE(pair.at_server.opened.empty());
}

TEST(Net, AnotherVersionIsRefusedAndBothSidesNameBoth) {
  Recorder at_newer;
  Pair pair;
  const auto newer = make_service(wire::ROLE_WORKER, "worker 9", {.protocol_version = 7});
  newer->connect("127.0.0.1", pair.port, at_newer.handlers(), once());
  ASSERT_TRUE(at_newer.wait_failed(1));
  const auto& message = at_newer.failed[0].message;
  EXPECT_NE(message.find("worker 9 speaks 7"), std::string::npos) << message;
  EXPECT_NE(message.find("coordinator speaks 1"), std::string::npos) << message;

  const RawSocket raw(pair.port);
  wire::Frame hello;
  hello.mutable_hello()->set_version(3);
  hello.mutable_hello()->set_name("old");
  hello.mutable_hello()->set_nonce(std::string(kNonceBytes, 'n'));
  raw.write_frame(hello);
  const auto error = raw.read_frame().hello_reply().error();
  EXPECT_NE(error.find("coordinator speaks 1, old speaks 3"), std::string::npos) << error;
  EXPECT_TRUE(raw.wait_until_closed());
  EXPECT_TRUE(pair.at_server.opened.empty());
}

TEST(Net, GarbageAndOversizedFramesOfStrangersEndTheirConnection) {
  Pair pair;
  const std::vector<std::string> attacks = {
      std::string("\x10\0\0\0", 4) + std::string(16, '\xff'),  // a length, then no frame
      std::string("\xff\xff\xff\xff", 4),                      // 4 GiB announced
      std::string("\x01\x00\x01\x00", 4),                      // 64 KiB + 1 announced
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      std::string(100000, '\xaa'),
  };
  for (const auto& attack : attacks) {
    const RawSocket raw(pair.port);
    raw.write(attack);
    EXPECT_TRUE(raw.wait_until_closed());
  }
  pair.connect();
  EXPECT_EQ(pair.at_server.opened.size(), 1U);
}

TEST(Net, AnOversizedFrameOfAPeerEndsItsConnectionOnly) {
  Recorder other;
  Pair pair({.frame_bytes_max = 1U << 20});
  pair.connect(once());
  pair.client->connect("127.0.0.1", pair.port, other.handlers());
  ASSERT_TRUE(other.wait_open(1));
  EXPECT_TRUE(pair.at_client.opened[0]->send(large_frame(1U << 20)));
  ASSERT_TRUE(pair.at_server.wait_closed(1));
  EXPECT_EQ(pair.at_server.closed[0].code, Errc::kTooLarge);
  ASSERT_TRUE(pair.at_client.wait_closed(1));
  EXPECT_TRUE(other.opened[0]->send(cancel_frame(5)));
  ASSERT_TRUE(pair.at_server.wait_frames(1));
  EXPECT_EQ(pair.at_server.frames[0].cancel().request_id(), 5U);
}

TEST(Net, AFrameOverTheLimitIsNotSent) {
  Pair pair({}, {.frame_bytes_max = 1000});
  pair.connect();
  EXPECT_FALSE(pair.at_client.opened[0]->send(large_frame(1000)));
  EXPECT_TRUE(pair.at_client.opened[0]->send(cancel_frame(1)));
  EXPECT_TRUE(pair.at_server.wait_frames(1));
}

TEST(Net, HalfOpenConnectionsEndAtTheDeadlineAndBlockNobody) {
  Pair pair({.handshake_deadline = 300ms});
  std::vector<std::unique_ptr<RawSocket>> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(std::make_unique<RawSocket>(pair.port));
    slow.back()->write(std::string("\x20\0", 2));  // half of a header
  }
  pair.connect();
  for (const auto& raw : slow) EXPECT_TRUE(raw->wait_until_closed());
  EXPECT_FALSE(pair.at_client.opened[0]->closed());
}

TEST(Net, TheOldestHalfOpenConnectionMakesRoomForTheNext) {
  Pair pair({.handshake_deadline = 60s, .half_open_max = 3});
  const RawSocket first(pair.port), second(pair.port), third(pair.port), fourth(pair.port);
  EXPECT_TRUE(first.wait_until_closed());
  pair.connect();
  EXPECT_TRUE(second.wait_until_closed());
}

TEST(Net, AClientDoesNotWaitForEverForASilentServer) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(listener, 4), 0);
  socklen_t size = sizeof(address);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  Recorder at_client;
  const auto client = make_service(wire::ROLE_WORKER, "worker", {.handshake_deadline = 100ms});
  client->connect("127.0.0.1", ntohs(address.sin_port), at_client.handlers(), once());
  ASSERT_TRUE(at_client.wait_failed(1));
  EXPECT_EQ(at_client.failed[0].code, Errc::kTimeout);
  client->stop();
  ::close(listener);
}

TEST(Net, APeerThatDoesNotReadIsDropped) {
  Pair pair({}, {.send_queue_bytes_max = 8U << 20});
  std::mutex gate;
  pair.at_server.answer = [&](const ConnectionPtr&, wire::Frame&) { const std::lock_guard wait(gate); };
  pair.connect(once());
  std::unique_lock hold(gate);
  const auto frame = large_frame(1U << 20);
  const auto& connection = pair.at_client.opened[0];
  int sent = 0;
  while (connection->send(frame)) ASSERT_LT(++sent, 1000);
  EXPECT_GE(sent, 7);  // seven frames of 1 MiB and some bytes fit 8 MiB
  ASSERT_TRUE(pair.at_client.wait_closed(1));
  EXPECT_EQ(pair.at_client.closed[0].code, Errc::kOverloaded);
  EXPECT_TRUE(connection->closed());
  hold.unlock();
  ASSERT_TRUE(pair.at_server.wait_closed(1));
}

TEST(Net, CloseSendsWhatIsQueuedFirst) {
  Pair pair;
  pair.connect();
  for (uint64_t i = 0; i < 1000; ++i) pair.at_client.opened[0]->send(cancel_frame(i));
  pair.at_client.opened[0]->close();
  EXPECT_FALSE(pair.at_client.opened[0]->send(cancel_frame(1000)));
  ASSERT_TRUE(pair.at_server.wait_closed(1));
  EXPECT_EQ(pair.at_server.frames.size(), 1000U);
  ASSERT_TRUE(pair.at_client.wait_closed(1));
  EXPECT_EQ(pair.at_client.closed[0].code, Errc::kUnavailable);
  EXPECT_EQ(pair.at_server.closed[0].code, Errc::kPeerLost);
}

TEST(Net, StopSendsWhatIsQueuedFirst) {
  Pair pair;
  pair.connect();
  for (uint64_t i = 0; i < 1000; ++i) pair.at_client.opened[0]->send(cancel_frame(i));
  pair.client->stop();
  ASSERT_TRUE(pair.at_server.wait_closed(1));
  EXPECT_EQ(pair.at_server.frames.size(), 1000U);
  EXPECT_TRUE(pair.at_client.closed.empty());
  EXPECT_FALSE(pair.at_client.opened[0]->send(cancel_frame(0)));  // a connection may outlive its service
}

TEST(Net, ConnectWaitsForTheServerAndComesBackAfterALoss) {
  auto server = make_service(wire::ROLE_COORDINATOR, "coordinator");
  Recorder first, second, at_client;
  const auto port = *server->listen("127.0.0.1", 0, first.handlers());
  server->stop();
  server.reset();

  const auto client = make_service(wire::ROLE_WORKER, "worker");
  client->connect("127.0.0.1", port, at_client.handlers());
  ASSERT_TRUE(at_client.wait_failed(2));
  EXPECT_EQ(at_client.failed[0].code, Errc::kPeerLost);

  server = make_service(wire::ROLE_COORDINATOR, "coordinator");
  ASSERT_TRUE(server->listen("127.0.0.1", port, first.handlers()).ok());
  ASSERT_TRUE(at_client.wait_open(1));
  server->stop();
  ASSERT_TRUE(at_client.wait_closed(1));
  EXPECT_EQ(at_client.closed[0].code, Errc::kPeerLost);

  server = make_service(wire::ROLE_COORDINATOR, "coordinator");
  ASSERT_TRUE(server->listen("127.0.0.1", port, second.handlers()).ok());
  ASSERT_TRUE(at_client.wait_open(2));
  EXPECT_NE(at_client.opened[0]->id(), at_client.opened[1]->id());
  client->stop();
  server->stop();
}

TEST(Net, DisconnectEndsTheConnectionAndTheAttempts) {
  Pair pair;
  const auto id = pair.client->connect("127.0.0.1", pair.port, pair.at_client.handlers(), {.first_wait = 1ms});
  ASSERT_TRUE(pair.at_client.wait_open(1));
  pair.client->disconnect(id);
  ASSERT_TRUE(pair.at_client.wait_closed(1));
  ASSERT_TRUE(pair.at_server.wait_closed(1));
  EXPECT_FALSE(pair.at_client.wait([&] { return pair.at_client.opened.size() > 1; }, 100ms));
}

TEST(Net, NamesAreResolved) {
  Recorder lost;
  Pair pair;
  pair.client->connect("localhost", pair.port, pair.at_client.handlers());
  EXPECT_TRUE(pair.at_client.wait_open(1));
  pair.client->connect("no-such-host.invalid", 1, lost.handlers(), once());
  ASSERT_TRUE(lost.wait_failed(1));
  EXPECT_NE(lost.failed[0].message.find("no-such-host.invalid"), std::string::npos);
}

TEST(Net, ATakenPortIsAnErrorThatNamesIt) {
  Pair pair;
  const auto again = pair.client->listen("127.0.0.1", pair.port, {});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Errc::kIo);
  EXPECT_NE(again.error().message.find(std::to_string(pair.port)), std::string::npos);
}

TEST(Net, TimersFireInTheirOrderAndCancelledOnesDoNot) {
  const auto service = make_service(wire::ROLE_CLI, "timers");
  std::mutex mutex;
  std::condition_variable changed;
  std::string log;
  const auto note = [&](char c) {
    return [&, c] {
      const std::lock_guard lock(mutex);
      log += c;
      changed.notify_all();
    };
  };
  service->after(60ms, note('c'));
  service->after(20ms, note('b'));
  service->post(note('a'));
  service->cancel(service->after(10ms, note('x')));
  const auto ticks = service->every(100ms, note('t'));
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, kPatience, [&] { return log.size() >= 5; }));
  lock.unlock();
  service->cancel(ticks);
  EXPECT_EQ(log.substr(0, 5), "abctt");
  service->stop();
}

TEST(Net, StopEndsAllHandlersAndMayBeCalledAgain) {
  Pair pair;
  pair.connect();
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = token;
  Handlers handlers;
  handlers.on_frame = [token](const ConnectionPtr&, wire::Frame&) {};
  pair.client->connect("127.0.0.1", pair.port, handlers);
  ASSERT_TRUE(pair.at_server.wait_open(2));
  pair.client->every(1ms, [token] {});
  handlers = {};
  token.reset();
  pair.client->stop();
  pair.client->stop();
  EXPECT_TRUE(watch.expired());
}

TEST(Net, AnEmptySecretIsRefused) { EXPECT_FALSE(Service::start({wire::ROLE_CLI, "x"}, "").ok()); }

}  // namespace
}  // namespace switchyard::net
