// Goal: what attackers and broken clients send gets its status, costs bounded memory and time, and keeps nobody else
// waiting. Method: the server on loopback with a handler that says what it was asked, and a client of plain sockets.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "frontend/http/open_files.h"
#include "frontend/http/server.h"
#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/test_server.h"

namespace switchyard::frontend {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(HostileClients, ChunkedBodiesWhoseFieldsOrExtensionsDoNotEndAreRefused) {
  TestServer http({.head_bytes_max = 4096});
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
  EXPECT_LT(peak_bytes() - before, kMemoryScale * (16U << 20));
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
}

TEST(HostileClients, AClientThatSendsAnOversizedBodyToItsEndStillSeesTheRefusal) {
  TestServer http({.body_bytes_max = 1U << 20});
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
  EXPECT_LT(peak_bytes() - before, kMemoryScale * (32U << 20));
}

TEST(HostileClients, WhatIsNotHttpIsRefusedAndNothingIsServedAfterIt) {
  TestServer http;
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
      post + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
      post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      post + "Content-Length: 3, 4\r\n\r\nabc",
      post + "Content-Length: +3\r\n\r\nabc",
      post + "Content-Length: 0x3\r\n\r\nabc",
      post + "Content-Length: 3\nX: a\r\n\r\nabc",
      "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  // RFC 9112, section 6.1
      "GET /ec\0ho HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(1, '\0'),
      "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
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

TEST(HostileClients, AHeadOverTheLimitIsRefused) {
  TestServer http({.head_bytes_max = 4096});
  Client client(http.port());
  client.send(request_text("GET", "/echo", "", "X-Long: " + std::string(5000, 'x') + "\r\n"));
  EXPECT_EQ(client.read().status, 431);
  EXPECT_EQ(call(http.port(), "GET", "/echo", "", "X-Long: " + std::string(3000, 'x') + "\r\n").status, 200);
}

TEST(HostileClients, AHeadOfTenMegabytesIsRefusedInBoundedMemory) {
  TestServer http;
  const size_t before = peak_bytes();
  const std::string field = "X-Long: " + std::string(1000, 'x') + "\r\n";
  for (const auto& [begin, unit] : {std::pair<std::string, std::string>("GET /", "x"),
                                    {"GET /echo HTTP/1.1\r\nHost: x\r\nX-Long: ", "x"},
                                    {"GET /echo HTTP/1.1\r\nHost: x\r\n", field},
                                    {"GET /echo HTTP/1.1\r\nHost: x\r\n", "A:\r\n"},
                                    {"", "x"}}) {
    std::string piece;
    while (piece.size() < (64U << 10)) piece += unit;
    Client client(http.port());
    client.send(begin);
    for (size_t sent = 0; sent < (10U << 20) && client.send(piece); sent += piece.size()) {
    }
    const Answer answer = client.read();
    EXPECT_TRUE(answer.status == 431 || (begin.empty() && answer.status == 400)) << begin << answer.status;
    EXPECT_TRUE(client.wait_closed());
  }
  EXPECT_LT(peak_bytes() - before, kMemoryScale * (8U << 20));
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
}

TEST(HostileClients, AThousandPipelinedRequestsAreAnsweredInOrder) {
  TestServer http;
  Client client(http.port());
  std::string all;
  for (int i = 0; i < 1000; ++i) all += request_text("POST", "/echo", std::to_string(i));
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(client.read().body, "POST /echo? " + std::to_string(i));
}

TEST(HostileClients, PipelinedRequestsBehindAnAnswerInTheMakingWaitInTheNetwork) {
  TestServer http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("GET", "/hold")));
  const ResponderPtr held = http.handler.wait_held();
  ASSERT_TRUE(held);
  const std::string body(1000, 'x');
  const std::string one = request_text("POST", "/echo", body);
  const size_t count = (64U << 20) / one.size(), before = peak_bytes();
  std::thread sending([&] {
    for (size_t i = 0; i < count; ++i)
      if (!client.send(one)) return;
  });
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(call(http.port(), "GET", "/echo").status, 200);  // with time to take more
  held->post([held] { held->respond({.status = 200, .body = "held"}); });
  EXPECT_EQ(client.read().body, "held");
  for (size_t i = 0; i < count; ++i) ASSERT_EQ(client.read().body, "POST /echo? " + body) << i;
  sending.join();
  EXPECT_LT(peak_bytes() - before, kMemoryScale * (16U << 20));
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

TEST(HostileClients, TwoHundredHalfOpenConnectionsHoldNobodyUp) {
  TestServer http({.head_timeout = 60s});
  const std::vector<Client> slow = half_open(http.port());
  for (int i = 0; i < 50; ++i) ASSERT_EQ(call(http.port(), "GET", "/echo").status, 200);
  EXPECT_GE(http.server->connection_count(), 200U);
}

TEST(HostileClients, TwoHundredHalfOpenConnectionsAreClosedInTime) {
  TestServer http({.head_timeout = 500ms});
  const auto begin = Clock::now();
  std::vector<Client> slow = half_open(http.port());
  // Over TLS, those that sent nothing begin the handshake when they read: too late, nothing can be said to them.
  const auto refused = [](size_t i, int status) { return status == 408 || (kOverTls && i % 4 == 0 && status == 0); };
  EXPECT_PRED2(refused, 0, slow[0].read().status);
  EXPECT_GE(Clock::now() - begin, 500ms);
  for (size_t i = 0; i < slow.size(); ++i) {
    if (i > 0) {
      EXPECT_PRED2(refused, i, slow[i].read().status);
    }
    EXPECT_TRUE(slow[i].wait_closed());
  }
  EXPECT_LT(Clock::now() - begin, kPatience);
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
}

TEST(HostileClients, WhatTricklesInDoesNotExtendItsDeadline) {
  TestServer http({.head_timeout = 300ms, .body_timeout = 300ms});
  for (const std::string begin : {"", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
                                  "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    Client client(http.port());
    ASSERT_TRUE(client.send(begin));
    const std::string piece = begin.find("chunked") == std::string::npos ? "G" : "1\r\nG\r\n";
    // Until the server does not take it any more: it answers and closes, and the next bytes meet a reset. Others are
    // served between any two.
    const auto end = Clock::now() + kPatience;
    while (Clock::now() < end && client.send(piece)) ASSERT_EQ(call(http.port(), "GET", "/echo").status, 200);
    EXPECT_LT(Clock::now(), end) << begin;
  }
}

TEST(HostileClients, ABodyThatDoesNotComeAndAnIdleConnectionAreClosed) {
  TestServer http({.body_timeout = 200ms, .idle_timeout = 200ms});
  Client body(http.port()), idle(http.port());
  ASSERT_TRUE(body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"));
  ASSERT_TRUE(idle.send(request_text("GET", "/echo")));
  EXPECT_EQ(idle.read().status, 200);
  EXPECT_TRUE(idle.wait_closed());
  EXPECT_EQ(body.read().status, 408);
  EXPECT_TRUE(body.wait_closed());
}

TEST(HostileClients, AConnectionTooManyIsToldSo) {
  TestServer http({.connections_max = 2});
  Client first(http.port()), second(http.port());
  for (Client* client : {&first, &second}) {
    ASSERT_TRUE(client->send(request_text("GET", "/echo")));
    ASSERT_EQ(client->read().status, 200);
  }
  Client third(http.port());
  const Answer answer = third.read();
  // Over TLS it is only closed: a handshake is too much work for nothing.
  EXPECT_EQ(answer.status, kOverTls ? 0 : 503);
  EXPECT_EQ(answer.header("retry-after"), kOverTls ? "" : "1");
  EXPECT_TRUE(third.wait_closed());
  ASSERT_TRUE(first.send(request_text("GET", "/echo")));
  EXPECT_EQ(first.read().status, 200);
}

// Errors of requests that no handler has seen, in the form of the path's dialect, as far as the path is known.
TEST(HostileClients, ARefusalHasTheFormOfItsPath) {
  TestServer http({.body_bytes_max = 10, .head_bytes_max = 4096, .head_timeout = 300ms, .body_timeout = 300ms});
  const std::string rest = " HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n";
  const std::string long_field = "X: " + std::string(5000, 'x');
  struct Case {
    std::string behind_path;
    int status;
    const char* id;  // "" = a random one
  };
  for (const Case& c :
       {Case{rest + "Content-Length: 11\r\n\r\n", 413, "mine"}, Case{rest + "Content-Length: 2\r\n\r\n{", 408, "mine"},
        Case{rest + "Transfer-Encoding: gzip\r\n\r\n", 400, "mine"},
        Case{rest + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "mine"}, Case{rest + long_field, 431, ""},
        Case{rest + "no colon\r\n\r\n", 400, ""}, Case{rest + "Ho", 408, ""}, Case{" HTTP/9.9\r\n\r\n", 400, ""},
        Case{" HT", 408, ""}, Case{"?query=1" + rest + long_field, 431, ""}}) {
    for (const std::string path : {"/anthropic", "http://proxied:80/anthropic", "/echo"}) {
      Client client(http.port());
      client.send("POST " + path + c.behind_path);
      const Answer answer = client.read();
      EXPECT_EQ(answer.status, c.status) << path << c.behind_path;
      const bool anthropic = answer.body.starts_with(R"({"type":"error","error":{"type":)");
      EXPECT_EQ(anthropic, path != "/echo") << path << c.behind_path << answer.body;
      EXPECT_EQ(answer.body.find(R"("code":)") == std::string::npos, anthropic) << answer.body;
      const std::string id = answer.header("x-request-id");
      if (*c.id != 0) {
        EXPECT_EQ(id, c.id) << path << c.behind_path;
      }
      EXPECT_FALSE(id.empty());
    }
  }
  Client dropped(http.port());  // a path that is not known yet
  dropped.send("POST /anthr");
  const Answer answer = dropped.read();
  EXPECT_EQ(answer.status, 408);
  EXPECT_NE(answer.body.find(R"("code":)"), std::string::npos) << answer.body;
}

TEST(HostileClients, AnOldClientIsNotSentWhatItDoesNotKnow) {
  TestServer http;
  Client client(http.port());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"));
  ASSERT_TRUE(client.send("x"));
  EXPECT_EQ(client.read().body, "POST /echo? x");
}

TEST(HostileClients, TargetsOfTheAbsoluteFormAreTakenApart) {
  TestServer http;
  const std::vector<std::pair<std::string, std::string>> cases = {{"http://x/echo?a=/b", "/echo?a=/b"},
                                                                  {"http://x?a=/b", "/?a=/b"},
                                                                  {"http://x", "/?"},
                                                                  {"https://user@[::1]:80/echo", "/echo?"},
                                                                  {"/echo?u=http://y/z", "/echo?u=http://y/z"}};
  for (const auto& [target, expected] : cases) {
    Client client(http.port());
    ASSERT_TRUE(client.send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_EQ(client.read().body, "GET " + expected + " ") << target;
  }
}

// So many more files can be opened.
class OpenFilesLimit {
 public:
  explicit OpenFilesLimit(int more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    std::vector<int> free(more);  // the lowest numbers
    for (int& file : free) file = ::dup(STDIN_FILENO);
    for (const int file : free) ::close(file);
    const rlimit limit{static_cast<rlim_t>(free.back()) + 1, before_.rlim_max};
    SWITCHYARD_CHECK(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  ~OpenFilesLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// Not over TLS, where the test's client cannot send before it has been accepted.
#ifndef SWITCHYARD_HTTP_OVER_TLS
TEST(HostileClients, ConnectionsWithoutAnOpenFileLeftWaitUntilOthersClose) {
  testing::internal::CaptureStderr();
  {
    TestServer http;
    const auto ask = [&](Client& client) {
      client.send(request_text("GET", "/echo"));
      return client.read().status;
    };
    ASSERT_EQ(call(http.port(), "GET", "/echo").status, 200);
    ASSERT_TRUE(eventually([&] { return http.server->connection_count() == 0; }));
    const OpenFilesLimit limit(5);  // two clients and their other ends, and a third client
    Client steady(http.port());
    ASSERT_EQ(ask(steady), 200);
    auto served = std::make_unique<Client>(http.port());
    ASSERT_EQ(ask(*served), 200);
    for (int round = 0; round < 3; ++round) {
      auto waiting = std::make_unique<Client>(http.port());
      waiting->send(request_text("GET", "/echo"));
      ASSERT_EQ(ask(steady), 200);  // by now the server has tried to accept the other one
      EXPECT_EQ(http.server->connection_count(), 2U);
      served = nullptr;
      EXPECT_EQ(waiting->read().status, 200);
      served = std::move(waiting);
    }
  }
  const std::string log = testing::internal::GetCapturedStderr();
  const std::string line = "cannot accept connections";
  const size_t first = log.find(line);
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find(line, first + 1), std::string::npos) << log;
}
#endif

TEST(HostileClients, TheLimitOfOpenFilesIsRaisedAsFarAsItGoes) {
  rlimit hard{}, after{};
  ::getrlimit(RLIMIT_NOFILE, &hard);
  const OpenFilesLimit limit(20);
  EXPECT_EQ(raise_open_files_limit(1), hard.rlim_max);
  ::getrlimit(RLIMIT_NOFILE, &after);
  EXPECT_EQ(after.rlim_cur, hard.rlim_max);
}

}  // namespace
}  // namespace switchyard::frontend
