// Goal: HTTP/1.1 as clients, proxies and attackers speak it. Method: the server on loopback with a handler that says
// what it was asked, and a client of plain sockets.
#include "frontend/http/server.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>

#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// /echo answers at once with method, query and body; /hold keeps its responder for the test; /drop forgets it; /stream
// begins a stream and keeps the responder.
class Handler final : public RequestHandler {
 public:
  void handle(HttpRequest request, const ResponderPtr& responder) override {
    if (request.path == "/drop") return;
    if (request.path == "/hold" || request.path == "/stream") {
      responder->on_disconnect([this] {
        const std::lock_guard lock(mutex_);
        ++disconnects_;
        changed_.notify_all();
      });
      if (request.path == "/stream") responder->begin_stream("text/plain");
      const std::lock_guard lock(mutex_);
      held_.push_back(responder);
      changed_.notify_all();
      return;
    }
    responder->respond({.status = request.path == "/echo" ? 200 : 404,
                        .body = request.method + " " + request.path + "?" + request.query + " " + request.body,
                        .content_type = "text/plain"});
  }
  void answered(const std::string& path, int status) override {
    const std::lock_guard lock(mutex_);
    answered_.emplace_back(path, status);
    changed_.notify_all();
  }

  ResponderPtr wait_held() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return !held_.empty(); })) return nullptr;
    ResponderPtr responder = held_.front();
    held_.pop_front();
    return responder;
  }
  bool wait_disconnects(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return disconnects_ >= count; });
  }
  bool wait_answered(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return answered_.size() >= count; });
  }
  int disconnects() {
    const std::lock_guard lock(mutex_);
    return disconnects_;
  }
  std::vector<std::pair<std::string, int>> answers() {
    const std::lock_guard lock(mutex_);
    return answered_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ResponderPtr> held_;
  int disconnects_ = 0;
  std::vector<std::pair<std::string, int>> answered_;
};

struct Running {
  explicit Running(ServerOptions options = {}) {
    auto started = HttpServer::start(options, handler);
    SWITCHYARD_CHECK(started.ok());
    server = std::move(started).value();
  }
  uint16_t port() const { return server->port(); }

  Handler handler;
  std::unique_ptr<HttpServer> server;
};

// Peak resident memory of this process, bytes.
size_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
  return 0;
}

TEST(HttpServer, OneConnectionCarriesManyRequests) {
  Running http;
  Client client(http.port());
  for (const std::string body : {"one", "", "three"}) {
    ASSERT_TRUE(client.send(request_text("POST", "/echo?a=b", body, "X-Request-Id: 7\r\n")));
    const Answer answer = client.read();
    ASSERT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "POST /echo?a=b " + body);
    EXPECT_EQ(answer.header("x-request-id"), "7");
    EXPECT_EQ(answer.header("connection"), "");
  }
  ASSERT_TRUE(client.send("GET http://proxied:80/echo HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(client.read().body, "GET /echo? ");
  ASSERT_TRUE(client.send(request_text("GET", "/echo", "", "Connection: close\r\n")));
  EXPECT_EQ(client.read().header("connection"), "close");
  EXPECT_TRUE(client.wait_closed());
}

TEST(HttpServer, OldClientsGetTheirConnectionClosedUnlessTheyAskToKeepIt) {
  Running http;
  Client old(http.port());
  ASSERT_TRUE(old.send("GET /echo HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(old.read().body, "GET /echo? ");
  EXPECT_TRUE(old.wait_closed());
  Client kept(http.port());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(kept.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_EQ(kept.read().header("connection"), "keep-alive");
  }
}

// What a stop posts to a connection whose client leaves at that moment has to be done, or it is never freed.
TEST(HttpServer, AStopEndsThoughItsClientsLeaveMeanwhile) {
  for (int round = 0; round < 2000; ++round) {
    Running http;
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(std::make_unique<Client>(http.port()));
      ASSERT_TRUE(clients.back()->send(request_text("GET", "/echo")));
      ASSERT_EQ(clients.back()->read().status, 200);
    }
    std::thread leaving([&] { clients.clear(); });
    http.server->stop();
    leaving.join();
  }
}

TEST(HttpServer, AHeadRequestGetsTheHeadAlone) {
  Running http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("HEAD", "/echo") + request_text("GET", "/echo")));
  const Answer head = client.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), std::to_string(std::string("HEAD /echo? ").size()));
  EXPECT_EQ(client.read().body, "GET /echo? ");  // so no body stood between
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  Running http;
  Client client(http.port());
  std::string all;
  for (int i = 0; i < 100; ++i) all += request_text("POST", "/echo", std::to_string(i));
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(client.read().body, "POST /echo? " + std::to_string(i));
}

TEST(HttpServer, ARequestThatArrivesDuringAnAnswerIsAnsweredAfterIt) {
  Running http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("GET", "/hold")));
  const ResponderPtr held = http.handler.wait_held();
  ASSERT_TRUE(held);
  // Half a request now, so that the server's read-ahead has it; the rest after the answer.
  const std::string next = request_text("POST", "/echo", "next");
  ASSERT_TRUE(client.send(next.substr(0, 30)));
  Client other(http.port());  // answered: the server has had its turn at the first one's bytes
  ASSERT_TRUE(other.send(request_text("GET", "/echo")));
  ASSERT_EQ(other.read().status, 200);
  held->post([held] { held->respond({.status = 200, .body = "held"}); });
  EXPECT_EQ(client.read().body, "held");
  ASSERT_TRUE(client.send(next.substr(30)));
  EXPECT_EQ(client.read().body, "POST /echo? next");
}

TEST(HttpServer, AWholeRequestThatArrivesDuringAnAnswerIsAnsweredWithoutAFurtherByte) {
  Running http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("GET", "/hold")));
  const ResponderPtr held = http.handler.wait_held();
  ASSERT_TRUE(held);
  ASSERT_TRUE(client.send(request_text("POST", "/echo", "next")));
  Client other(http.port());
  ASSERT_TRUE(other.send(request_text("GET", "/echo")));
  ASSERT_EQ(other.read().status, 200);
  held->post([held] { held->respond({.status = 200, .body = "held"}); });
  EXPECT_EQ(client.read().body, "held");
  EXPECT_EQ(client.read().body, "POST /echo? next");
}

TEST(HttpServer, ChunkedBodiesArriveWhole) {
  Running http;
  Client client(http.port());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_TRUE(client.send(head + "3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"));
  EXPECT_EQ(client.read().body, "POST /echo? abc0123456789");
  for (const char byte : head + "1\r\nz\r\n0\r\n\r\n") ASSERT_TRUE(client.send(std::string_view(&byte, 1)));
  EXPECT_EQ(client.read().body, "POST /echo? z");
}

TEST(HttpServer, AnEmptyChunkedBodyThatComesByteForByteIsNoMoreThanThat) {
  Running http;
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  // What is sent at once is mostly read at once; an answer in between makes sure that it was.
  for (const std::string end : {"0\r\n\r\n", "000\r\n\r\n", "0;x=y\r\n\r\n", "0\r\nA: b\r\n\r\n"}) {
    Client client(http.port());
    ASSERT_TRUE(client.send(head));
    for (const char byte : end) {
      ASSERT_EQ(call(http.port(), "GET", "/echo").status, 200);
      ASSERT_TRUE(client.send(std::string_view(&byte, 1)));
    }
    EXPECT_EQ(client.read().body, "POST /echo? ") << end;
  }
}

TEST(HttpServer, ChunkedBodiesWhoseFieldsOrExtensionsDoNotEndAreRefused) {
  Running http({.head_bytes_max = 4096});
  const size_t before = peak_bytes();
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const auto& [begin, unit] :
       {std::pair<std::string, std::string>("0\r\n", "A: b\r\n"), {"3;x=", "y"}, {"0", "0"}}) {
    std::string piece;
    while (piece.size() < (64U << 10)) piece += unit;
    Client client(http.port());
    client.send(head + begin);
    for (size_t sent = 0; sent < (32U << 20) && client.send(piece); sent += piece.size()) {
    }
    EXPECT_EQ(client.read().status, 431) << begin;
    EXPECT_TRUE(client.wait_closed());
  }
  EXPECT_LT(peak_bytes() - before, 16U << 20);
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
}

TEST(HttpServer, AClientThatAsksWhetherToSendItsBodyIsToldTo) {
  Running http({.body_bytes_max = 1000});
  Client client(http.port());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("body"));
  EXPECT_EQ(client.read().body, "POST /echo? body");
  // One whose body would be refused is told so instead.
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.read().status, 413);
}

TEST(HttpServer, ABodyOverTheLimitIsRefusedBeforeItIsRead) {
  Running http({.body_bytes_max = 1U << 20});
  Client client(http.port());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 52428800\r\n\r\n"));
  const Answer answer = client.read();  // not a byte of the body was sent
  EXPECT_EQ(answer.status, 413);
  EXPECT_NE(answer.body.find("request_too_large"), std::string::npos) << answer.body;
  EXPECT_EQ(answer.header("x-request-id").size(), 32U);
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(client.wait_closed());
}

TEST(HttpServer, AClientThatSendsAnOversizedBodyToItsEndStillSeesTheRefusal) {
  Running http({.body_bytes_max = 1U << 20});
  const size_t before = peak_bytes();
  const std::string piece(1U << 16, 'x');
  const size_t bytes = 36U << 20;  // more would try the patience of a server that a sanitizer slows down
  for (const bool chunked : {false, true}) {
    Client client(http.port());
    ASSERT_TRUE(client.send(
        std::string("POST /echo HTTP/1.1\r\nHost: x\r\n") +
        (chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: " + std::to_string(bytes) + "\r\n\r\n")));
    for (size_t sent = 0; sent < bytes; sent += piece.size())
      ASSERT_TRUE(client.send(chunked ? "10000\r\n" + piece + "\r\n" : piece)) << sent;
    EXPECT_EQ(client.read().status, 413);
  }
  EXPECT_LT(peak_bytes() - before, 32U << 20);
}

TEST(HttpServer, ABodyOfExactlyTheLimitIsTaken) {
  Running http({.body_bytes_max = 100});
  EXPECT_EQ(call(http.port(), "POST", "/echo", std::string(100, 'x')).status, 200);
  EXPECT_EQ(call(http.port(), "POST", "/echo", std::string(101, 'x')).status, 413);
}

TEST(HttpServer, WhatIsNotHttpIsRefusedAndNothingIsServedAfterIt) {
  Running http;
  const std::string get = "GET /echo HTTP/1.1\r\nHost: x\r\n";
  const std::string post = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  const std::vector<std::string> heads = {
      std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + "\r\n\r\n",  // TLS
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET /echo\r\n\r\n",
      "GET  /echo HTTP/1.1\r\n\r\n",
      "G\0T /echo HTTP/1.1\r\n\r\n" + std::string(1, '\0'),
      get + "X: a" + std::string(1, '\0') + "b\r\n\r\n",
      get + "no colon\r\n\r\n",
      get + "bad name : x\r\n\r\n",
      post + "Content-Length: -1\r\n\r\n",
      post + "Content-Length: 1e3\r\n\r\n",
      post + "Content-Length: 99999999999999999999999\r\n\r\n",
      post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  // request smuggling
      post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: identity\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET /echo HTTP/1.1\r\n\r\n",
      get + "Host: y\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
  };
  for (const std::string& head : heads) {
    Client client(http.port());
    client.send(head + request_text("GET", "/echo"));
    const Answer answer = client.read();
    EXPECT_GE(answer.status, 400) << head;
    EXPECT_LE(answer.status, 431) << head;
    EXPECT_NE(answer.body.find("\"invalid_request_error\""), std::string::npos) << answer.body;
    EXPECT_TRUE(client.wait_closed()) << head;
  }
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
}

TEST(HttpServer, AHeadOverTheLimitIsRefused) {
  Running http({.head_bytes_max = 4096});
  Client client(http.port());
  client.send(request_text("GET", "/echo", "", "X-Long: " + std::string(5000, 'x') + "\r\n"));
  EXPECT_EQ(client.read().status, 431);
  EXPECT_EQ(call(http.port(), "GET", "/echo", "", "X-Long: " + std::string(3000, 'x') + "\r\n").status, 200);
}

// Connections that begin a head, some with nothing and some with a part of it, and stay.
std::vector<Client> half_open(uint16_t port) {
  std::vector<Client> clients;
  for (size_t i = 0; i < 200; ++i) {
    clients.emplace_back(port);
    if (i % 4 != 0) clients.back().send(std::string_view("POST /echo HTTP/1.1\r\nX-A: b").substr(0, 5 + i / 10));
  }
  return clients;
}

TEST(HttpServer, TwoHundredHalfOpenConnectionsHoldNobodyUp) {
  Running http({.head_timeout = 60s});
  const std::vector<Client> slow = half_open(http.port());
  for (int i = 0; i < 50; ++i) ASSERT_EQ(call(http.port(), "GET", "/echo").status, 200);
  EXPECT_GE(http.server->connection_count(), 200U);
}

TEST(HttpServer, TwoHundredHalfOpenConnectionsAreClosedInTime) {
  Running http({.head_timeout = 500ms});
  const auto begin = Clock::now();
  std::vector<Client> slow = half_open(http.port());
  EXPECT_EQ(slow[0].read().status, 408);
  EXPECT_GE(Clock::now() - begin, 500ms);
  for (size_t i = 0; i < slow.size(); ++i) {
    if (i > 0) {
      EXPECT_EQ(slow[i].read().status, 408);
    }
    EXPECT_TRUE(slow[i].wait_closed());
  }
  EXPECT_LT(Clock::now() - begin, kPatience);
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
}

TEST(HttpServer, AHeadThatTricklesInDoesNotExtendItsDeadline) {
  Running http({.head_timeout = 300ms});
  Client client(http.port());
  const auto begin = Clock::now();
  // Until the server does not take it any more: it answers and closes, and the next bytes meet a reset.
  while (Clock::now() < begin + kPatience && client.send("G")) std::this_thread::sleep_for(20ms);
  EXPECT_LT(Clock::now() - begin, 5s);
}

TEST(HttpServer, ABodyThatDoesNotComeAndAnIdleConnectionAreClosed) {
  Running http({.body_timeout = 200ms, .idle_timeout = 200ms});
  Client body(http.port()), idle(http.port());
  ASSERT_TRUE(body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"));
  ASSERT_TRUE(idle.send(request_text("GET", "/echo")));
  EXPECT_EQ(idle.read().status, 200);
  EXPECT_TRUE(idle.wait_closed());
  EXPECT_EQ(body.read().status, 408);
  EXPECT_TRUE(body.wait_closed());
}

TEST(HttpServer, AnAnswerInTheMakingHasNoDeadline) {
  Running http({.head_timeout = 50ms, .body_timeout = 50ms, .idle_timeout = 50ms});
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("POST", "/hold", "x")));
  const ResponderPtr held = http.handler.wait_held();
  ASSERT_TRUE(held);
  std::this_thread::sleep_for(400ms);  // several sweeps of the deadlines
  held->post([held] { held->respond({.status = 200, .body = "late"}); });
  EXPECT_EQ(client.read().body, "late");
}

TEST(HttpServer, AConnectionTooManyIsToldSo) {
  Running http({.connections_max = 2});
  Client first(http.port()), second(http.port());
  for (Client* client : {&first, &second}) {
    ASSERT_TRUE(client->send(request_text("GET", "/echo")));
    ASSERT_EQ(client->read().status, 200);
  }
  Client third(http.port());
  const Answer answer = third.read();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_TRUE(third.wait_closed());
  ASSERT_TRUE(first.send(request_text("GET", "/echo")));
  EXPECT_EQ(first.read().status, 200);
}

TEST(HttpServer, AStreamArrivesPieceByPiece) {
  Running http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("GET", "/stream")));
  const ResponderPtr stream = http.handler.wait_held();
  ASSERT_TRUE(stream);
  const Answer head = client.read_head();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("transfer-encoding"), "chunked");
  for (const std::string text : {"one", "two"}) {
    stream->post([stream, text] { stream->write("data: " + text + "\n\n"); });
    EXPECT_EQ(client.next_event(), text);  // before the next one is written
  }
  stream->post([stream] {
    stream->write("");  // must not end the chunks
    stream->write("data: three\n\n");
    stream->end_stream();
    stream->write("data: four\n\n");
    stream->respond({.status = 500, .body = "no"});
  });
  EXPECT_EQ(client.next_event(), "three");
  EXPECT_EQ(client.next_event(), std::nullopt);
  EXPECT_TRUE(client.stream_complete());
  ASSERT_TRUE(client.send(request_text("GET", "/echo")));
  EXPECT_EQ(client.read().body, "GET /echo? ");
  EXPECT_EQ(http.handler.disconnects(), 0);
}

TEST(HttpServer, AnOldClientsStreamEndsWithItsConnection) {
  Running http;
  Client client(http.port());
  ASSERT_TRUE(client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  const ResponderPtr stream = http.handler.wait_held();
  ASSERT_TRUE(stream);
  stream->post([stream] {
    stream->write("all of it");
    stream->end_stream();
  });
  const Answer answer = client.read();
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_EQ(answer.header("transfer-encoding"), "");
  EXPECT_EQ(answer.body, "all of it");
}

TEST(HttpServer, ALeavingClientIsNoticedAtOnceHoweverItLeaves) {
  Running http;
  int expected = 0;
  for (const char* path : {"/hold", "/stream"}) {
    for (int way = 0; way < 3; ++way) {
      auto fastest = Clock::duration::max();  // of some attempts: the machine may be busy with other things
      for (int attempt = 0; attempt < 5; ++attempt) {
        Client client(http.port());
        ASSERT_TRUE(client.send(request_text("GET", path)));
        const ResponderPtr held = http.handler.wait_held();
        ASSERT_TRUE(held);
        const auto left = Clock::now();
        way == 0 ? client.close() : way == 1 ? client.reset() : client.half_close();
        ASSERT_TRUE(http.handler.wait_disconnects(++expected)) << path << way;
        fastest = std::min(fastest, Clock::now() - left);
        held->post([held] { held->respond({.status = 200, .body = "to nobody"}); });
      }
      EXPECT_LT(fastest, 50ms) << path << way;
    }
  }
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
  EXPECT_EQ(http.handler.disconnects(), expected);
}

TEST(HttpServer, AClientThatDoesNotReadItsStreamIsDropped) {
  Running http({.unsent_bytes_max = 1U << 20});
  Client client(http.port(), 4096);
  ASSERT_TRUE(client.send(request_text("GET", "/stream")));
  const ResponderPtr stream = http.handler.wait_held();
  ASSERT_TRUE(stream);
  // The kernel takes some megabytes before the server's own queue grows.
  const std::string piece(1U << 18, 'x');
  for (int i = 0; i < 200; ++i) stream->post([stream, piece] { stream->write(piece); });
  EXPECT_TRUE(http.handler.wait_disconnects(1));
}

TEST(HttpServer, AClientThatStopsReadingIsDroppedAfterTheWriteTimeout) {
  Running http({.write_timeout = 300ms});
  Client client(http.port(), 4096);
  ASSERT_TRUE(client.send(request_text("GET", "/stream")));
  const ResponderPtr stream = http.handler.wait_held();
  ASSERT_TRUE(stream);
  stream->post([stream] { stream->write(std::string(12U << 20, 'x')); });
  EXPECT_TRUE(http.handler.wait_disconnects(1));
}

TEST(HttpServer, ADroppedRequestIsAnsweredWith500) {
  Running http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("GET", "/drop")));
  const Answer answer = client.read();
  EXPECT_EQ(answer.status, 500);
  EXPECT_NE(answer.body.find("\"server_error\""), std::string::npos);
  ASSERT_TRUE(client.send(request_text("GET", "/echo")));
  EXPECT_EQ(client.read().status, 200);
}

TEST(HttpServer, AStreamThatIsDroppedIsCutOffAndNotEnded) {
  Running http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("GET", "/stream")));
  ResponderPtr stream = http.handler.wait_held();
  ASSERT_TRUE(stream);
  stream->post([stream] { stream->write("data: one\n\n"); });
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_EQ(client.next_event(), "one");
  stream = nullptr;
  EXPECT_EQ(client.next_event(), std::nullopt);
  EXPECT_FALSE(client.stream_complete());
}

TEST(HttpServer, ADrainClosesIdleConnectionsAndLetsRunningAnswersFinish) {
  Running http;
  Client idle(http.port()), busy(http.port());
  ASSERT_TRUE(idle.send(request_text("GET", "/echo")));
  ASSERT_EQ(idle.read().status, 200);
  ASSERT_TRUE(busy.send(request_text("GET", "/hold")));
  const ResponderPtr held = http.handler.wait_held();
  ASSERT_TRUE(held);
  http.server->begin_drain();
  EXPECT_TRUE(idle.wait_closed());
  const Answer late = call(http.port(), "GET", "/echo");
  EXPECT_EQ(late.status, 200);
  EXPECT_EQ(late.header("connection"), "close");
  held->post([held] { held->respond({.status = 200, .body = "done"}); });
  const Answer answer = busy.read();
  EXPECT_EQ(answer.body, "done");
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(busy.wait_closed());
}

TEST(HttpServer, AStopEndsRunningAnswersAndTellsTheirHandler) {
  auto http = std::make_unique<Running>();
  Client client(http->port());
  ASSERT_TRUE(client.send(request_text("GET", "/stream")));
  const ResponderPtr held = http->handler.wait_held();
  ASSERT_TRUE(held);
  http->server->stop();
  EXPECT_EQ(http->handler.disconnects(), 1);
  http->server.reset();
  held->respond({.status = 200, .body = "to nobody"});
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_EQ(client.next_event(), std::nullopt);
  EXPECT_FALSE(client.stream_complete());
}

TEST(HttpServer, EveryAnswerIsReportedWithItsPathAndStatus) {
  Running http({.body_bytes_max = 10});
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
  EXPECT_EQ(call(http.port(), "GET", "/none").status, 404);
  EXPECT_EQ(call(http.port(), "POST", "/echo", "12345678901").status, 413);
  ASSERT_TRUE(http.handler.wait_answered(3));
  const std::vector<std::pair<std::string, int>> expected = {{"/echo", 200}, {"/none", 404}, {"", 413}};
  EXPECT_EQ(http.handler.answers(), expected);
}

TEST(HttpServer, ManyThreadsServeManyClients) {
  Running http({.threads = 4});
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 10; ++round) {
        Client client(http.port());
        for (int i = 0; i < 20; ++i) {
          const std::string body = std::to_string(t * 1000 + i);
          client.send(request_text("POST", "/echo", body));
          if (client.read().body != "POST /echo? " + body) ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(HttpServer, AnAddressThatCannotBeHadIsAnError) {
  Running http;
  Handler handler;
  ServerOptions taken;
  taken.port = http.port();
  const auto second = HttpServer::start(taken, handler);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(std::to_string(taken.port)), std::string::npos) << second.error().message;
  ServerOptions nowhere;
  nowhere.host = "no-such-host.invalid";
  ASSERT_FALSE(HttpServer::start(nowhere, handler).ok());
}

}  // namespace
}  // namespace switchyard::frontend
