// Goal: HTTP/1.1 as clients and proxies speak it. Method: the server on loopback with a handler that says what it was
// asked, and a client of plain sockets.
#include "frontend/http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/frontend/test_server.h"

namespace switchyard::frontend {
namespace {

TEST(HttpServer, OneConnectionCarriesManyRequests) {
  TestServer http;
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
  TestServer http;
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
  for (int round = 0; round < (kOverTls ? 400 : 2000); ++round) {  // handshakes take most of the time over TLS
    TestServer http;
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
  TestServer http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("HEAD", "/echo") + request_text("GET", "/echo")));
  const Answer head = client.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), std::to_string(std::string("HEAD /echo? ").size()));
  EXPECT_EQ(client.read().body, "GET /echo? ");  // so no body stood between
}

TEST(HttpServer, ARequestThatArrivesDuringAnAnswerIsAnsweredAfterIt) {
  TestServer http;
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
  TestServer http;
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
  TestServer http;
  Client client(http.port());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_TRUE(client.send(head + "3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"));
  EXPECT_EQ(client.read().body, "POST /echo? abc0123456789");
  for (const char byte : head + "1\r\nz\r\n0\r\n\r\n") ASSERT_TRUE(client.send(std::string_view(&byte, 1)));
  EXPECT_EQ(client.read().body, "POST /echo? z");
}

TEST(HttpServer, AnEmptyChunkedBodyThatComesByteForByteIsNoMoreThanThat) {
  TestServer http;
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

TEST(HttpServer, AClientThatAsksWhetherToSendItsBodyIsToldTo) {
  TestServer http({.body_bytes_max = 1000});
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
  TestServer http({.body_bytes_max = 1U << 20});
  Client client(http.port());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 52428800\r\n\r\n"));
  const Answer answer = client.read();  // not a byte of the body was sent
  EXPECT_EQ(answer.status, 413);
  EXPECT_NE(answer.body.find("request_too_large"), std::string::npos) << answer.body;
  EXPECT_EQ(answer.header("x-request-id").size(), 32U);
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(client.wait_closed());
}

TEST(HttpServer, ABodyOfExactlyTheLimitIsTaken) {
  TestServer http({.body_bytes_max = 100});
  EXPECT_EQ(call(http.port(), "POST", "/echo", std::string(100, 'x')).status, 200);
  EXPECT_EQ(call(http.port(), "POST", "/echo", std::string(101, 'x')).status, 413);
}

TEST(HttpServer, AStreamArrivesPieceByPiece) {
  TestServer http;
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
  TestServer http;
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

TEST(HttpServer, ADroppedRequestIsAnsweredWith500) {
  TestServer http;
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("GET", "/drop")));
  const Answer answer = client.read();
  EXPECT_EQ(answer.status, 500);
  EXPECT_NE(answer.body.find("\"server_error\""), std::string::npos);
  ASSERT_TRUE(client.send(request_text("GET", "/echo")));
  EXPECT_EQ(client.read().status, 200);
}

TEST(HttpServer, AStreamThatIsDroppedIsCutOffAndNotEnded) {
  TestServer http;
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
  TestServer http;
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
  auto http = std::make_unique<TestServer>();
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
  TestServer http({.body_bytes_max = 10});
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
  EXPECT_EQ(call(http.port(), "GET", "/none").status, 404);
  EXPECT_EQ(call(http.port(), "POST", "/echo", "12345678901").status, 413);
  ASSERT_TRUE(http.handler.wait_answered(3));
  const std::vector<std::pair<std::string, int>> expected = {{"/echo", 200}, {"/none", 404}, {"", 413}};
  EXPECT_EQ(http.handler.answers(), expected);
}

TEST(HttpServer, ManyThreadsServeManyClients) {
  TestServer http({.threads = 4});
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
  TestServer http;
  TestHandler handler;
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
