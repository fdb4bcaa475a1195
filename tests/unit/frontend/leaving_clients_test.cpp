// Goal: a client that leaves is noticed at once, one that only half-closes its end gets its answer, and one that does
// not read is dropped. Method: the server on loopback with a handler that keeps its requests, and a client of plain
// sockets.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "frontend/http/server.h"
#include "tests/unit/frontend/test_server.h"

namespace switchyard::frontend {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(LeavingClients, AnAnswerInTheMakingHasNoDeadline) {
  TestServer http({.head_timeout = 50ms, .body_timeout = 50ms, .idle_timeout = 50ms});
  Client client(http.port());
  ASSERT_TRUE(client.send(request_text("POST", "/hold", "x")));
  const ResponderPtr held = http.handler.wait_held();
  ASSERT_TRUE(held);
  // Others that make nothing are dropped meanwhile, one after the other: the deadlines are looked at.
  for (int i = 0; i < 3; ++i) {
    Client silent(http.port());
    ASSERT_TRUE(silent.send("GET / HT"));
    EXPECT_EQ(silent.read().status, 408);
  }
  held->post([held] { held->respond({.status = 200, .body = "late"}); });
  EXPECT_EQ(client.read().body, "late");
}

TEST(LeavingClients, ALeavingClientIsNoticedAtOnceHoweverItLeaves) {
  TestServer http;
  int expected = 0;
  for (const char* path : {"/hold", "/stream"}) {
    for (const bool reset : {false, true}) {
      auto fastest = Clock::duration::max();  // of some attempts: the machine may be busy with other things
      for (int attempt = 0; attempt < 5; ++attempt) {
        Client client(http.port());
        ASSERT_TRUE(client.send(request_text("GET", path)));
        const ResponderPtr held = http.handler.wait_held();
        ASSERT_TRUE(held);
        const auto left = Clock::now();
        reset ? client.reset() : client.close();
        ASSERT_TRUE(http.handler.wait_disconnects(++expected)) << path << reset;
        fastest = std::min(fastest, Clock::now() - left);
        held->post([held] { held->respond({.status = 200, .body = "to nobody"}); });
      }
      EXPECT_LT(fastest, 50ms) << path << reset;
    }
  }
  EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
  EXPECT_EQ(http.handler.disconnects(), expected);
}

TEST(LeavingClients, AHalfClosedClientStillGetsItsAnswers) {
  TestServer http;
  Client whole(http.port());
  ASSERT_TRUE(whole.send(request_text("GET", "/hold") + request_text("POST", "/echo", "next")));
  whole.half_close();
  const ResponderPtr held = http.handler.wait_held();
  ASSERT_TRUE(held);
  EXPECT_EQ(whole.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");  // so the half-close has been seen
  held->post([held] { held->respond({.status = 200, .body = "held"}); });
  EXPECT_EQ(whole.read().body, "held");
  EXPECT_EQ(whole.read_until("\r\n\r\n").substr(0, 12), "HTTP/1.1 200");
  EXPECT_EQ(whole.read_until("next"), "POST /echo? next");
  EXPECT_TRUE(whole.wait_closed());

  Client streamed(http.port());
  ASSERT_TRUE(streamed.send(request_text("GET", "/stream")));
  const ResponderPtr stream = http.handler.wait_held();
  ASSERT_TRUE(stream);
  EXPECT_EQ(streamed.read_head().status, 200);
  streamed.half_close();
  for (int i = 0; i < 3; ++i) {
    stream->post([stream, i] { stream->write("data: " + std::to_string(i) + "\n\n"); });
    EXPECT_EQ(streamed.next_event(), std::to_string(i));
    EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);  // the server has had its turn at the half-close
  }
  stream->post([stream] { stream->end_stream(); });
  EXPECT_EQ(streamed.next_event(), std::nullopt);
  EXPECT_TRUE(streamed.stream_complete());
  EXPECT_TRUE(streamed.wait_closed());
  EXPECT_EQ(http.handler.disconnects(), 0);
}

TEST(LeavingClients, AHalfClosedClientThatLeavesLaterIsNoticed) {
  TestServer http;
  int expected = 0;
  for (const char* path : {"/hold", "/stream"}) {
    Client client(http.port());
    ASSERT_TRUE(client.send(request_text("GET", path)));
    const ResponderPtr held = http.handler.wait_held();
    ASSERT_TRUE(held);
    client.half_close();
    EXPECT_EQ(call(http.port(), "GET", "/echo").status, 200);
    client.reset();
    EXPECT_TRUE(http.handler.wait_disconnects(++expected)) << path;
  }
  // Half a request is none.
  Client half(http.port());
  ASSERT_TRUE(half.send(request_text("POST", "/echo", "abc").substr(0, 30)));
  half.half_close();
  EXPECT_TRUE(half.wait_closed());
}

TEST(LeavingClients, AClientThatDoesNotReadItsStreamIsDropped) {
  TestServer http({.unsent_bytes_max = 1U << 20});
  Client client(http.port(), 4096);
  ASSERT_TRUE(client.send(request_text("GET", "/stream")));
  const ResponderPtr stream = http.handler.wait_held();
  ASSERT_TRUE(stream);
  // The kernel takes some megabytes before the server's own queue grows.
  const std::string piece(1U << 18, 'x');
  for (int i = 0; i < 200; ++i) stream->post([stream, piece] { stream->write(piece); });
  EXPECT_TRUE(http.handler.wait_disconnects(1));
}

TEST(LeavingClients, AClientThatStopsReadingIsDroppedAfterTheWriteTimeout) {
  TestServer http({.write_timeout = 300ms});
  Client client(http.port(), 4096);
  ASSERT_TRUE(client.send(request_text("GET", "/stream")));
  const ResponderPtr stream = http.handler.wait_held();
  ASSERT_TRUE(stream);
  stream->post([stream] { stream->write(std::string(12U << 20, 'x')); });
  EXPECT_TRUE(http.handler.wait_disconnects(1));
}

}  // namespace
}  // namespace switchyard::frontend
