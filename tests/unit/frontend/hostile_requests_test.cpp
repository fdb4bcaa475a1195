// Goal: requests that are large, strange or never read are answered as they should be, and cost others nothing. Method:
// the API behind real sockets, ranks that answer what the test says.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"
#include "tests/unit/frontend/test_server.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

class HostileRequests : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(frontend.wait_ready());
    cluster.rank().answer_with(
        [](const wire::Generate&) { return std::vector<wire::Output>{output_of("ok", wire::FINISH_LENGTH)}; });
  }
  Answer post(const std::string& path, const std::string& body) { return call(frontend.port(), "POST", path, body); }

  FakeCluster cluster;
  TestFrontend frontend{cluster, {}, {.body_bytes_max = 10U << 20, .head_bytes_max = 4096}};
};

std::string repeated(const std::string& item, size_t count) {
  std::string list = item;
  for (size_t i = 1; i < count; ++i) list += "," + item;
  return list;
}

// The message of an error in Anthropic's form; "" when it is none.
std::string anthropic_message(const Answer& answer, const char* type) {
  boost::system::error_code wrong;
  const json::value body = json::parse(answer.body, wrong);
  if (wrong || !body.is_object() || body.as_object().size() != 2 || body.at("type") != "error") return "";
  const json::object& error = body.at("error").as_object();
  if (error.size() != 2 || error.at("type") != json::value(type)) return "";
  return std::string(error.at("message").as_string());
}

TEST_F(HostileRequests, TenThousandStopStringsAreRefusedByTheirField) {
  const std::string stops = "[" + repeated(R"("a")", 10000) + "]";
  for (const auto& [path, rest] : std::vector<std::pair<std::string, std::string>>{
           {"/v1/completions", R"("prompt":"Q","stop":)"},
           {"/v1/chat/completions", R"("messages":[{"role":"user","content":"Q"}],"stop":)"}}) {
    const Answer answer = post(path, "{" + rest + stops + "}");
    EXPECT_EQ(answer.status, 400) << path;
    EXPECT_EQ(json::parse(answer.body).at("error").at("param"), "stop");
  }
  const Answer answer = post(
      "/v1/messages", R"({"max_tokens":5,"messages":[{"role":"user","content":"Q"}],"stop_sequences":)" + stops + "}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(anthropic_message(answer, "invalid_request_error").find("'stop_sequences'"), std::string::npos)
      << answer.body;
}

TEST_F(HostileRequests, AHundredThousandMessagesAreReadAndFoundTooLongWhileOthersAreAnswered) {
  const std::string messages = "[" + repeated(R"({"role":"user","content":"Q"})", 100000) + "]";
  const std::vector<std::pair<std::string, std::string>> requests = {
      {"/v1/chat/completions", R"({"messages":)" + messages + "}"},
      {"/v1/responses", R"({"input":)" + messages + "}"},
      {"/v1/messages", R"({"max_tokens":5,"messages":)" + messages + "}"}};
  std::vector<Client> clients;
  for (const auto& [path, body] : requests) {
    clients.emplace_back(frontend.port());
    ASSERT_TRUE(clients.back().send(request_text("POST", path, body)));
  }
  EXPECT_EQ(post("/v1/completions", R"({"prompt":"Q"})").status, 200);
  for (size_t i = 0; i < clients.size(); ++i) {
    const Answer answer = clients[i].read();
    EXPECT_EQ(answer.status, 400) << requests[i].first;
    EXPECT_NE(answer.body.find("maximum context length"), std::string::npos) << answer.body;
  }
  EXPECT_EQ(cluster.rank().generate_count(), 1U);
}

TEST_F(HostileRequests, TextThatIsNotUnicodeIsRefusedWhereverItStands) {
  for (const std::string& bad :
       {std::string(R"(\ud800)"), std::string(R"(\udc00x)"), std::string(R"(\ud800\ud800)"), std::string("\xC0\x80"),
        std::string("\xE0\x80\xAF"), std::string("\xF0\x80\x80\xAF"), std::string("\xF4\x90\x80\x80"),
        std::string("\xF8\x88\x80\x80\x80"), std::string("\xED\xA0\x80"), std::string("\x80"), std::string("\xE2\x82"),
        std::string(1, '\0')}) {
    for (const std::string& body : {R"({"messages":[{"role":"user","content":")" + bad + R"("}]})",
                                    R"({"messages":[{"role":"user","content":"Q"}],"stop":[")" + bad + R"("]})",
                                    R"({"messages":[{"role":"user","content":"Q"}],"x":{")" + bad + R"(":1}})"}) {
      const Answer answer = post("/v1/chat/completions", body);
      EXPECT_EQ(answer.status, 400) << body;
      EXPECT_NE(answer.body.find("invalid_json"), std::string::npos) << answer.body;
    }
  }
  EXPECT_EQ(
      post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"\u0000\ud83d\ude42\uffff"}]})").status,
      200);
}

TEST_F(HostileRequests, TunnelsAndTracesAreNotAllowed) {
  for (const std::string path : {"/v1/chat/completions", "/v1/models", "/v1/messages"}) {
    const Answer answer = call(frontend.port(), "TRACE", path, "", "Authorization: Bearer secret\r\n");
    EXPECT_EQ(answer.status, 405) << path;
    EXPECT_NE(answer.header("allow"), "");
    EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  }
  for (const std::string target : {"localhost:80", "/v1/models", "http://localhost/"}) {
    Client client(frontend.port());
    client.send(request_text("CONNECT", target) + request_text("GET", "/health"));
    const Answer answer = client.read();
    EXPECT_EQ(answer.status, 405) << target;
    EXPECT_NE(answer.header("allow"), "");
    EXPECT_TRUE(client.wait_closed()) << target;  // what follows is no request
  }
}

TEST_F(HostileRequests, WhatTheServerItselfRefusesHasAnthropicsFormWhereTheEndpointHasIt) {
  struct Case {
    std::string headers;
    int status;
    const char* type;
  };
  for (const std::string path : {"/v1/messages", "/v1/messages/count_tokens"}) {
    for (const Case& c : {Case{"Content-Length: 20000000\r\n", 413, "request_too_large"},
                          Case{"Content-Length: x\r\n", 400, "invalid_request_error"},
                          Case{"Transfer-Encoding: gzip\r\n", 400, "invalid_request_error"},
                          Case{"X: " + std::string(5000, 'x') + "\r\n", 431, "invalid_request_error"}}) {
      Client client(frontend.port());
      client.send("POST " + path + " HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n" + c.headers + "\r\n");
      const Answer answer = client.read();
      EXPECT_EQ(answer.status, c.status) << path << c.headers;
      EXPECT_NE(anthropic_message(answer, c.type), "") << answer.body;
      EXPECT_NE(answer.header("x-request-id"), "");
    }
  }
}

// One that reads nothing, beside some that read all: they get every token, in each step before the next one.
TEST(StalledClients, CostOthersNothingAndAreDroppedAtTheirLimit) {
  constexpr size_t kReaders = 3;
  constexpr size_t kSteps = 400;
  constexpr size_t kFlood = 400;  // events of some 200 bytes a step for the one that does not read: 32 MB
  FakeCluster cluster;
  TestFrontend frontend(cluster, {}, {.unsent_bytes_max = 1U << 20});
  ASSERT_TRUE(frontend.wait_ready());
  const std::string body = R"({"prompt":"Q","stream":true})";
  const auto begin = [&](Client& client) {
    client.send(request_text("POST", "/v1/completions", body));
    return cluster.rank().wait_generate().request_id();
  };
  Client stalled(frontend.port(), 4096);
  const uint64_t stalled_id = begin(stalled);
  ASSERT_NE(stalled_id, 0U);
  std::vector<Client> readers;
  std::vector<uint64_t> ids;
  for (size_t i = 0; i < kReaders; ++i) {
    readers.emplace_back(frontend.port());
    ids.push_back(begin(readers.back()));
    ASSERT_NE(ids.back(), 0U);
  }

  const size_t before = peak_bytes();
  for (size_t step = 0; step < kSteps; ++step) {
    for (size_t i = 0; i < kFlood; ++i) cluster.rank().send(stalled_id, output_of("x"));
    for (size_t i = 0; i < kReaders; ++i) {
      const std::string text = fmt::format("{} of {}", step, i);
      cluster.rank().send(ids[i], output_of(text));
      if (step == 0) {
        ASSERT_EQ(readers[i].read_head().status, 200);
      }
      const auto event = readers[i].next_event();
      ASSERT_TRUE(event) << text;
      EXPECT_EQ(json::parse(*event).at("choices").at(0).at("text"), json::value(text));
    }
  }
  EXPECT_EQ(cluster.rank().wait_cancel(), stalled_id);
  // The stream was not kept: its limit, and what one step has on its way. (Alone in its process this says something;
  // behind others the peak may be theirs.)
  EXPECT_LT(peak_bytes() - before, kMemoryScale * (16U << 20));
  EXPECT_EQ(frontend.api->requests_running(), kReaders);
  for (size_t i = 0; i < kReaders; ++i) {
    cluster.rank().send(ids[i], output_of("end", wire::FINISH_LENGTH));
    size_t events = 0;
    while (readers[i].next_event()) ++events;
    EXPECT_EQ(events, 3U);  // the text, the finish, [DONE]
    EXPECT_TRUE(readers[i].stream_complete());
  }
}

}  // namespace
}  // namespace switchyard::frontend
