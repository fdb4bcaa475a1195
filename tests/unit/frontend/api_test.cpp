// Goal: whom the API refuses, with which status and body, and that nothing a client sends stops or blocks it. Method:
// real sockets, ranks that answer what the test says.
#include "frontend/api/api.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kChatPath = "/v1/chat/completions";
constexpr const char* kCompletionPath = "/v1/completions";

std::string chat_body(const std::string& fields = "") {
  return R"({"messages":[{"role":"user","content":"Q"}])" + (fields.empty() ? "" : "," + fields) + "}";
}
std::string completion_body(const std::string& fields = "") {
  return R"({"prompt":"Q")" + (fields.empty() ? "" : "," + fields) + "}";
}

// The error of an answer, after checking that it has OpenAI's shape.
json::object error_of(const Answer& answer) {
  boost::system::error_code wrong;
  const json::value body = json::parse(answer.body, wrong);
  EXPECT_FALSE(wrong) << answer.body;
  if (wrong || !body.is_object() || !body.as_object().contains("error")) {
    ADD_FAILURE() << "no error in: " << answer.body;
    return {{"message", ""}, {"type", ""}, {"param", nullptr}, {"code", nullptr}};
  }
  const json::object error = body.at("error").as_object();
  EXPECT_EQ(error.size(), 4U) << answer.body;
  for (const char* name : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(name)) << answer.body;
  EXPECT_FALSE(error.at("message").as_string().empty());
  EXPECT_EQ(answer.header("content-type"), "application/json");
  return error;
}

class ApiTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(frontend.wait_ready());
    cluster.rank().answer_with(
        [](const wire::Generate&) { return std::vector<wire::Output>{output_of("ok", wire::FINISH_LENGTH)}; });
  }
  Answer post(const std::string& path, const std::string& body) { return call(frontend.port(), "POST", path, body); }
  void expect_alive() { EXPECT_EQ(post(kChatPath, chat_body()).status, 200); }
  void rank_says_nothing() { cluster.rank().answer_with({}); }

  FakeCluster cluster;
  TestFrontend frontend{cluster};
};

TEST(ApiKeys, OnlyAKnownBearerKeyOpensTheApi) {
  FakeCluster cluster;
  TestFrontend frontend(cluster, {.api_keys = {{"first-key", {}}, {"second-key", {}}}, .open_limits = {}});
  ASSERT_TRUE(frontend.wait_ready());
  cluster.rank().answer_with(
      [](const wire::Generate&) { return std::vector<wire::Output>{output_of("ok", wire::FINISH_LENGTH)}; });
  const auto status = [&](const char* method, const char* path, const std::string& header) {
    return call(frontend.port(), method, path, std::string(method) == "POST" ? chat_body() : "", header);
  };
  for (const std::string header :
       {"", "Authorization: Bearer wrong-key\r\n", "Authorization: Bearer first-ke\r\n",
        "Authorization: Bearer first-keyy\r\n", "Authorization: Bearer\r\n", "Authorization: first-key\r\n",
        "Authorization: Basic first-key\r\n", "Authorization: Bearer \r\n", "X-Api-Key: first-key\r\n"}) {
    for (const auto& [method, path] : std::vector<std::pair<const char*, const char*>>{
             {"POST", kChatPath}, {"GET", "/v1/models"}, {"GET", "/v1/models/tiny"}, {"POST", "/tokenize"}}) {
      const Answer answer = status(method, path, header);
      EXPECT_EQ(answer.status, 401) << header << path;
      EXPECT_EQ(error_of(answer).at("code"), "invalid_api_key");
      EXPECT_EQ(answer.header("www-authenticate"), "Bearer");
      EXPECT_EQ(answer.body.find("first"), std::string::npos);
    }
    EXPECT_EQ(status("GET", "/health", header).status, 200);
    EXPECT_EQ(status("GET", "/ready", header).status, 200);
  }
  EXPECT_EQ(cluster.rank().generate_count(), 0U);
  for (const std::string header : {"Authorization: Bearer first-key\r\n", "authorization: bearer second-key\r\n"})
    EXPECT_EQ(status("POST", kChatPath, header).status, 200) << header;
}

TEST_F(ApiTest, UnknownPathsModelsAndMethodsAreNamed) {
  for (const std::string path : {"/v1", "/v1/chat", "/v1/chat/completions/", "/v2/models", "//v1/models", "/..",
                                 "/v1/%63ompletions", "/\xFF\xFE"}) {
    const Answer answer = post(path, "{}");
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(error_of(answer).at("code"), "unknown_url");
  }
  for (const char* path : {kChatPath, kCompletionPath}) {
    const Answer answer = post(path, R"({"model":"gpt-9","prompt":"Q","messages":[{"role":"user","content":"Q"}]})");
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(error_of(answer).at("code"), "model_not_found");
    EXPECT_EQ(error_of(answer).at("param"), "model");
  }
  EXPECT_EQ(call(frontend.port(), "GET", "/v1/models/gpt-9").status, 404);
  for (const auto& [method, path, allow] :
       std::vector<std::tuple<const char*, const char*, const char*>>{{"GET", kChatPath, "POST"},
                                                                      {"DELETE", kCompletionPath, "POST"},
                                                                      {"POST", "/v1/models", "GET, HEAD"},
                                                                      {"OPTIONS", kChatPath, "POST"},
                                                                      {"HEAD", kChatPath, "POST"}}) {
    const Answer answer = call(frontend.port(), method, path);
    EXPECT_EQ(answer.status, 405) << method << path;
    EXPECT_EQ(answer.header("allow"), allow);
    if (std::string(method) != "HEAD") {
      EXPECT_EQ(error_of(answer).at("code"), "method_not_supported");
    }
  }
}

struct Refusal {
  std::string body;
  std::string param;  // "" = null
};

TEST_F(ApiTest, ABadCompletionRequestIsRefusedWithTheFieldAtFault) {
  std::string long_prompt = "0";
  for (int i = 1; i < 4096; ++i) long_prompt += ",0";
  std::string many_prompts = R"("a")";
  for (int i = 0; i < 1024; ++i) many_prompts += R"(,"a")";
  std::string stops = R"("a")";
  for (int i = 1; i < 1000; ++i) stops += R"(,"a")";
  const std::vector<Refusal> refusals = {
      {"", ""},
      {"null", ""},
      {"[]", ""},
      {"\"text\"", ""},
      {"{", ""},
      {R"({"prompt":"Q"} x)", ""},
      {R"({'prompt':'Q'})", ""},
      {R"({"prompt":"Q",})", ""},
      {std::string("{\"prompt\":\"Q\0\"}", 15), ""},  // a NUL as it is; \u0000 is fine
      {std::string("\0{}", 3), ""},
      {"{\"prompt\":\"\xC3\x28\"}", ""},
      {"{\"prompt\":\"\xED\xA0\x80\"}", ""},
      {"{\"prompt\":\"\xC0\xAF\"}", ""},
      {R"({"prompt":"\ud800"})", ""},
      {"\xEF\xBB\xBF{}", ""},
      {"{}", "prompt"},
      {R"({"prompt":null})", "prompt"},
      {R"({"prompt":""})", "prompt"},
      {R"({"prompt":[]})", "prompt"},
      {R"({"prompt":[""]})", "prompt"},
      {R"({"prompt":[[]]})", "prompt"},
      {R"({"prompt":["a",""]})", "prompt"},
      {R"({"prompt":{"a":1}})", "prompt"},
      {R"({"prompt":true})", "prompt"},
      {R"({"prompt":[512]})", "prompt"},
      {R"({"prompt":[-1]})", "prompt"},
      {R"({"prompt":[1.5]})", "prompt"},
      {R"({"prompt":[1e300]})", "prompt"},
      {R"({"prompt":[18446744073709551615]})", "prompt"},
      {R"({"prompt":[18446744073709551616]})", "prompt"},
      {R"({"prompt":[0,"a"]})", "prompt"},
      {R"({"prompt":[)" + long_prompt + "]}", "prompt"},
      {R"({"prompt":[)" + many_prompts + "]}", "prompt"},
      {completion_body(R"("max_tokens":4096)"), "max_tokens"},
      {completion_body(R"("max_tokens":1e300)"), "max_tokens"},
      {completion_body(R"("max_tokens":-1)"), "max_tokens"},
      {completion_body(R"("max_tokens":0)"), "max_tokens"},
      {completion_body(R"("max_tokens":4294967297)"), "max_tokens"},
      {completion_body(R"("max_tokens":18446744073709551615)"), "max_tokens"},
      {completion_body(R"("max_tokens":"5")"), "max_tokens"},
      {completion_body(R"("max_tokens":[5])"), "max_tokens"},
      {completion_body(R"("n":1000000000)"), "n"},
      {completion_body(R"("n":-1)"), "n"},
      {completion_body(R"("n":1e300)"), "n"},
      {completion_body(R"("n":0.5)"), "n"},
      {R"({"prompt":["a","a","a","a","a","a","a","a","a"],"n":128})", "prompt"},  // 1152 sequences
      {completion_body(R"("top_k":18446744073709551615)"), "top_k"},
      {completion_body(R"("seed":1e30)"), "seed"},
      {completion_body(R"("seed":18446744073709551616)"), "seed"},
      {completion_body(R"("seed":"1")"), "seed"},
      {completion_body(R"("temperature":1e300)"), "temperature"},
      {completion_body(R"("temperature":-0.001)"), "temperature"},
      {completion_body(R"("logit_bias":{"abc":1})"), "logit_bias"},
      {completion_body(R"("logit_bias":{"":1})"), "logit_bias"},
      {completion_body(R"("logit_bias":{" 5":1})"), "logit_bias"},
      {completion_body(R"("logit_bias":{"5.0":1})"), "logit_bias"},
      {completion_body(R"("logit_bias":{"-1":1})"), "logit_bias"},
      {completion_body(R"("logit_bias":{"512":1})"), "logit_bias"},
      {completion_body(R"("logit_bias":{"99999999999999999999":1})"), "logit_bias"},
      {completion_body(R"("logit_bias":{"5":"1"})"), "logit_bias"},
      {completion_body(R"("logit_bias":{"5":1e300})"), "logit_bias"},
      {completion_body(R"("logit_bias":"5")"), "logit_bias"},
      {completion_body(R"("stop":[)" + stops + "]"), "stop"},
      {completion_body(R"("stop":"")"), "stop"},
      {completion_body(R"("stop":{"a":1})"), "stop"},
      {completion_body(R"("stop":")" + std::string(100000, 'a') + "\""), "stop"},
      {completion_body(R"("logprobs":1e9)"), "logprobs"},
      {completion_body(R"("stream":1)"), "stream"},
  };
  for (const Refusal& refusal : refusals) {
    const Answer answer = post(kCompletionPath, refusal.body);
    EXPECT_EQ(answer.status, 400) << refusal.body.substr(0, 100) << "\n" << answer.body;
    const json::object error = error_of(answer);
    EXPECT_EQ(error.at("type"), "invalid_request_error") << refusal.body.substr(0, 100);
    EXPECT_EQ(error.at("param"), refusal.param.empty() ? json::value() : json::value(refusal.param))
        << refusal.body.substr(0, 100) << "\n"
        << answer.body;
    EXPECT_FALSE(answer.header("x-request-id").empty());
  }
  EXPECT_EQ(cluster.rank().generate_count(), 0U);
  expect_alive();
}

TEST_F(ApiTest, ABadChatRequestIsRefusedWithTheFieldAtFault) {
  std::string long_text;
  for (int i = 0; i < 3000; ++i) long_text += "1 ";  // a digit is a token of its own
  const std::vector<Refusal> refusals = {
      {R"({"prompt":"Q"})", "messages"},
      {R"({"messages":[{"role":"user","content":")" + long_text + R"("}]})", "messages"},
      {chat_body(R"("max_tokens":4089)"), "max_tokens"},  // 8 of 4096 are the prompt's
      {chat_body(R"("max_tokens":1e300)"), "max_tokens"},
      {chat_body(R"("max_completion_tokens":-1)"), "max_completion_tokens"},
      {chat_body(R"("min_tokens":4096)"), "min_tokens"},
      {R"({"messages":[{"role":5,"content":"Q"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":{}}]})", "messages[1].content"},
  };
  for (const Refusal& refusal : refusals) {
    const Answer answer = post(kChatPath, refusal.body);
    EXPECT_EQ(answer.status, 400) << refusal.body.substr(0, 100) << "\n" << answer.body;
    EXPECT_EQ(error_of(answer).at("param"), json::value(refusal.param)) << answer.body;
  }
  EXPECT_EQ(post(kChatPath, chat_body(R"("max_tokens":4088)")).status, 200);
}

TEST_F(ApiTest, DeeplyNestedJsonStopsNothing) {
  for (const std::string open : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < 100000; ++i) deep += open;
    EXPECT_EQ(post(kChatPath, deep).status, 400);
    // Closed again, so that it is JSON, in a field that is read and in one that nobody knows.
    std::string close = open == "[" ? "" : "1";
    for (int i = 0; i < 100000; ++i) close += open == "[" ? ']' : '}';
    EXPECT_EQ(post(kCompletionPath, R"({"prompt":)" + deep + close + "}").status, 400);
    EXPECT_EQ(post(kCompletionPath, R"({"prompt":"Q","x":)" + deep + close + "}").status, 400);
  }
  expect_alive();
}

TEST_F(ApiTest, FieldsThatNobodyKnowsAreIgnored) {
  EXPECT_EQ(post(kChatPath, chat_body(R"("user":"u","metadata":{"a":[1]},"store":false,"x":1e300)")).status, 200);
}

// 503 is another rank's affair first: recovery_test.cpp.
TEST_F(ApiTest, ARanksRefusalReachesTheClient) {
  struct Case {
    uint32_t rank_status;
    int status;
    const char* type;
    const char* retry_after;
  };
  for (const Case& c :
       {Case{400, 400, "invalid_request_error", ""}, Case{429, 429, "rate_limit_error", "1"},
        Case{500, 500, "server_error", ""}, Case{0, 500, "server_error", ""}, Case{200, 500, "server_error", ""}}) {
    cluster.rank().answer_with(
        [&](const wire::Generate&) { return std::vector{error_output(c.rank_status, "the rank's own words")}; });
    for (const char* stream : {"false", "true"}) {
      const Answer answer = post(kChatPath, chat_body(std::string(R"("stream":)") + stream));
      EXPECT_EQ(answer.status, c.status) << c.rank_status;
      const json::object error = error_of(answer);
      EXPECT_EQ(error.at("message"), "the rank's own words");
      EXPECT_EQ(error.at("type"), c.type);
      EXPECT_EQ(answer.header("retry-after"), c.retry_after);
    }
  }
}

TEST_F(ApiTest, OneFailedChoiceEndsTheRequestAndFreesTheOthers) {
  rank_says_nothing();
  Client client(frontend.port());
  client.send(request_text("POST", kChatPath, chat_body(R"("n":3)")));
  const uint64_t first = cluster.rank().wait_generate().request_id();
  const uint64_t second = cluster.rank().wait_generate().request_id();
  const uint64_t third = cluster.rank().wait_generate().request_id();
  cluster.rank().send(second, error_output(429, "full"));
  EXPECT_EQ(client.read().status, 429);
  EXPECT_EQ((std::set{cluster.rank().wait_cancel(), cluster.rank().wait_cancel()}), (std::set{first, third}));
}

TEST_F(ApiTest, AnErrorInTheMiddleOfAStreamIsItsLastEvent) {
  rank_says_nothing();
  Client client(frontend.port());
  client.send(request_text("POST", kCompletionPath, completion_body(R"("stream":true)")));
  const uint64_t id = cluster.rank().wait_generate().request_id();
  cluster.rank().send(id, output_of("a"));
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_TRUE(client.next_event());
  cluster.rank().send(id, error_output(500, "broken"));
  const auto last = client.next_event();
  ASSERT_TRUE(last);
  EXPECT_EQ(json::parse(*last).at("error").at("message"), "broken");
  EXPECT_EQ(client.next_event(), std::nullopt);
  EXPECT_TRUE(client.stream_complete());
}

TEST(ApiWithoutRanks, SaysThatItIsNotReadyAndWhy) {
  FakeCluster cluster(0);
  TestFrontend frontend(cluster);
  for (const auto& [method, path, body] : std::vector<std::tuple<const char*, const char*, std::string>>{
           {"GET", "/ready", ""}, {"POST", kChatPath, chat_body()}, {"POST", kCompletionPath, completion_body()}}) {
    const Answer answer = call(frontend.port(), method, path, body);
    EXPECT_EQ(answer.status, 503) << path;
    EXPECT_EQ(error_of(answer).at("code"), "service_unavailable");
    EXPECT_EQ(answer.header("retry-after"), "1");
  }
  // What is wrong with a request is said even so.
  EXPECT_EQ(call(frontend.port(), "POST", kChatPath, "{").status, 400);
}

// config.json is all that this model has beside its weights.
TEST(ApiWithoutTokenizer, TakesTokenIdsAndRefusesText) {
  const std::string directory = testing::TempDir() + "/model-without-tokenizer-" + std::to_string(getpid());
  std::filesystem::create_directories(directory);
  std::filesystem::copy_file(SWITCHYARD_TEST_DATA "/golden/qwen3-moe-tiny/config.json", directory + "/config.json",
                             std::filesystem::copy_options::overwrite_existing);
  FakeCluster cluster;
  cluster.model_path = directory;
  TestFrontend frontend(cluster);
  ASSERT_TRUE(frontend.wait_ready());
  cluster.rank().answer_with([](const wire::Generate& generate) {
    EXPECT_EQ((std::vector<int32_t>(generate.prompt_token_ids().begin(), generate.prompt_token_ids().end())),
              (std::vector<int32_t>{3, 1, 2}));
    wire::Output output = output_of_ids({7, 9}, wire::FINISH_LENGTH);
    for (const int32_t id : {7, 9}) {
      wire::TokenLogprob* score = output.add_logprobs();
      score->set_token_id(id);
      score->set_logprob(-0.5F);
    }
    return std::vector<wire::Output>{output};
  });
  const Answer ids = call(frontend.port(), "POST", kCompletionPath,
                          R"({"prompt":[3,1,2],"logprobs":0,"return_token_ids":true,"max_tokens":2})");
  ASSERT_EQ(ids.status, 200) << ids.body;
  const json::value choice = json::parse(ids.body).at("choices").at(0);
  EXPECT_EQ(choice.at("token_ids"), (json::array{7, 9}));
  EXPECT_EQ(choice.at("text"), "");
  EXPECT_EQ(choice.at("logprobs").at("tokens"), (json::array{"token_id:7", "token_id:9"}));
  for (const auto& [path, body, param] :
       std::vector<std::tuple<const char*, std::string, const char*>>{{kCompletionPath, completion_body(), "prompt"},
                                                                      {kChatPath, chat_body(), "messages"},
                                                                      {"/tokenize", R"({"prompt":"Q"})", "prompt"}}) {
    const Answer answer = call(frontend.port(), "POST", path, body);
    EXPECT_EQ(answer.status, 400) << path;
    const json::object error = error_of(answer);
    EXPECT_EQ(error.at("param"), json::value(param)) << path;
    EXPECT_NE(error.at("message").as_string().find("no tokenizer.json"), json::string::npos) << path;
  }
  std::filesystem::remove_all(directory);
}

TEST(ApiLimits, RequestsBeyondTheLimitAreToldToComeAgain) {
  FakeCluster cluster;
  TestFrontend frontend(cluster, {.api_keys = {}, .open_limits = {}, .concurrent_requests_max = 2});
  ASSERT_TRUE(frontend.wait_ready());
  std::vector<Client> running;
  std::vector<uint64_t> ids;
  for (int i = 0; i < 2; ++i) {
    running.emplace_back(frontend.port());
    running.back().send(request_text("POST", kChatPath, chat_body()));
    ids.push_back(cluster.rank().wait_generate().request_id());
  }
  const Answer refused = call(frontend.port(), "POST", kChatPath, chat_body());
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(error_of(refused).at("type"), "rate_limit_error");
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(call(frontend.port(), "GET", "/health").status, 200);
  EXPECT_EQ(call(frontend.port(), "POST", kChatPath, "{").status, 429);
  // An end and a leaving both free their places.
  cluster.rank().send(ids[0], output_of("x", wire::FINISH_LENGTH));
  EXPECT_EQ(running[0].read().status, 200);
  running[1].close();
  EXPECT_EQ(cluster.rank().wait_cancel(), ids[1]);
  EXPECT_TRUE(eventually([&] { return frontend.api->requests_running() == 0; }));
  cluster.rank().answer_with(
      [](const wire::Generate&) { return std::vector<wire::Output>{output_of("ok", wire::FINISH_LENGTH)}; });
  // Refused ones hold no place.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(call(frontend.port(), "POST", kChatPath, "{").status, 400);
  EXPECT_EQ(call(frontend.port(), "POST", kChatPath, chat_body()).status, 200);
}

TEST_F(ApiTest, ALeavingClientsSequencesAreCancelledWithinATenthOfASecond) {
  rank_says_nothing();
  for (const bool streamed : {true, false}) {
    for (const bool reset : {false, true}) {
      auto fastest = Clock::duration::max();  // of some attempts: the machine may be busy with other things
      for (int attempt = 0; attempt < 5; ++attempt) {
        Client client(frontend.port());
        client.send(request_text("POST", kChatPath, chat_body(streamed ? R"("stream":true)" : R"("stream":false)")));
        const uint64_t id = cluster.rank().wait_generate().request_id();
        ASSERT_NE(id, 0U);
        cluster.rank().send(id, output_of("a"));
        if (streamed) {
          ASSERT_EQ(client.read_head().status, 200);
          ASSERT_TRUE(client.next_event());
        }
        const auto left = Clock::now();
        reset ? client.reset() : client.close();
        ASSERT_EQ(cluster.rank().wait_cancel(), id);
        fastest = std::min(fastest, Clock::now() - left);
        cluster.rank().send(id, output_of("too late", wire::FINISH_LENGTH));
      }
      EXPECT_LT(fastest, 100ms);
    }
  }
  EXPECT_TRUE(eventually([&] { return frontend.api->requests_running() == 0; }));
}

TEST_F(ApiTest, AClientThatNeverReadsItsStreamIsCutOffAndItsSequenceFreed) {
  FakeCluster own;
  TestFrontend small(own, {}, {.unsent_bytes_max = 1U << 20});
  ASSERT_TRUE(small.wait_ready());
  Client client(small.port(), 4096);
  client.send(request_text("POST", kCompletionPath, completion_body(R"("stream":true)")));
  const uint64_t id = own.rank().wait_generate().request_id();
  const std::string text(100000, 'x');
  for (int i = 0; i < 200; ++i) own.rank().send(id, output_of(text));
  EXPECT_EQ(own.rank().wait_cancel(), id);
}

TEST_F(ApiTest, ARequestIdIsEchoedWhenItIsFitForALog) {
  const auto id_for = [&](const std::string& header) {
    return call(frontend.port(), "GET", "/health", "", header).header("x-request-id");
  };
  EXPECT_EQ(id_for("X-Request-Id: abc-123\r\n"), "abc-123");
  const std::string made = id_for("");
  EXPECT_EQ(made.size(), 32U);
  EXPECT_NE(made, id_for(""));
  EXPECT_EQ(id_for("X-Request-Id: " + std::string(129, 'a') + "\r\n").size(), 32U);
  EXPECT_EQ(id_for("X-Request-Id: a b\r\n").size(), 32U);
  EXPECT_EQ(id_for("X-Request-Id: \xC3\xA9\r\n").size(), 32U);
  call(frontend.port(), "POST", kChatPath, chat_body(), "X-Request-Id: trace-me\r\n");
  EXPECT_EQ(cluster.rank().wait_generate().trace_id(), "trace-me");
}

TEST_F(ApiTest, ABodyOverTheLimitIsRefusedWithOpenAIsError) {
  TestFrontend small(cluster, {}, {.body_bytes_max = 1000});
  const Answer answer = call(small.port(), "POST", kChatPath, chat_body(R"("user":")" + std::string(1000, 'x') + "\""));
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(error_of(answer).at("code"), "request_too_large");
}

TEST_F(ApiTest, LargeBodiesAreServed) {
  // Over 64 KiB bodies go through a thread of their own. Fields that nobody knows may be large.
  const std::string large = chat_body(R"("user":")" + std::string(5U << 20, 'x') + "\"");
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(frontend.port());
    clients.back().send(request_text("POST", kChatPath, large));
  }
  EXPECT_EQ(call(frontend.port(), "GET", "/health").status, 200);
  for (Client& client : clients) EXPECT_EQ(client.read().status, 200);
}

TEST_F(ApiTest, ModelsVersionAndHeadRequests) {
  const json::value models = json::parse(call(frontend.port(), "GET", "/v1/models").body);
  EXPECT_EQ(models.at("object"), "list");
  EXPECT_EQ(models.at("data").at(0).at("id"), "tiny");
  EXPECT_EQ(models.at("data").at(0).at("object"), "model");
  EXPECT_EQ(models.at("data").at(0).at("max_model_len"), kContext);
  EXPECT_EQ(json::parse(call(frontend.port(), "GET", "/v1/models/tiny").body).at("id"), "tiny");
  EXPECT_TRUE(json::parse(call(frontend.port(), "GET", "/version").body).at("version").is_string());
  const Answer head = call(frontend.port(), "HEAD", "/v1/models");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

TEST_F(ApiTest, TextBecomesTokensAndBack) {
  const json::value tokens = json::parse(post("/tokenize", R"({"prompt":"Q\u0000!","add_special_tokens":true})").body);
  EXPECT_EQ(tokens.at("tokens"), (json::array{58, 198, 10}));
  EXPECT_EQ(tokens.at("count"), 3);
  EXPECT_EQ(tokens.at("max_model_len"), kContext);
  const json::value chat = json::parse(post("/tokenize", chat_body()).body);
  EXPECT_EQ(chat.at("tokens"), (json::array{0, 4, 208, 58, 6, 208, 5, 208}));
  const json::value bare = json::parse(post("/tokenize", chat_body(R"("add_generation_prompt":false)")).body);
  EXPECT_EQ(bare.at("tokens"), (json::array{0, 4, 208, 58, 6, 208}));
  EXPECT_EQ(json::parse(post("/detokenize", R"({"tokens":[58,230,10]})").body).at("prompt"), "Q !");
  for (const auto& [path, body, param] :
       std::vector<std::tuple<const char*, const char*, const char*>>{{"/tokenize", "{}", "prompt"},
                                                                      {"/tokenize", R"({"prompt":1})", "prompt"},
                                                                      {"/tokenize", R"({"messages":[]})", "messages"},
                                                                      {"/detokenize", "{}", "tokens"},
                                                                      {"/detokenize", R"({"tokens":[512]})", "tokens"},
                                                                      {"/detokenize", R"({"tokens":"x"})", "tokens"}}) {
    const Answer answer = post(path, body);
    EXPECT_EQ(answer.status, 400) << path << body;
    EXPECT_EQ(error_of(answer).at("param"), json::value(param)) << path << body;
  }
}

TEST_F(ApiTest, TheMetricsPageCountsWhatHappened) {
  ASSERT_EQ(post(kChatPath, chat_body()).status, 200);
  ASSERT_EQ(post(kChatPath, chat_body()).status, 200);
  ASSERT_EQ(post(kChatPath, "{").status, 400);
  ASSERT_EQ(post("/some/where", "{").status, 404);
  const Answer answer = call(frontend.port(), "GET", "/metrics");
  EXPECT_TRUE(answer.header("content-type").starts_with("text/plain"));
  const auto value = [&](const std::string& series) {
    const size_t at = answer.body.find("\n" + series + " ");
    return at == std::string::npos ? std::string("absent") : answer.body.substr(at + series.size() + 2, 1);
  };
  EXPECT_EQ(value(R"(switchyard_request_success_total{finished_reason="length",model_name="tiny"})"), "2");
  EXPECT_EQ(value(R"(switchyard_request_success_total{finished_reason="abort",model_name="tiny"})"), "0");
  EXPECT_EQ(value(R"(switchyard_prompt_tokens_total{model_name="tiny"})"), "1") << answer.body;  // 16
  EXPECT_EQ(value(R"(switchyard_generation_tokens_total{model_name="tiny"})"), "4");
  EXPECT_EQ(value(R"(switchyard_time_to_first_token_seconds_count{model_name="tiny"})"), "2");
  EXPECT_EQ(value(R"(switchyard_e2e_request_latency_seconds_count{model_name="tiny"})"), "2");
  EXPECT_EQ(value(R"(switchyard_http_requests_total{model_name="tiny",path="/v1/chat/completions",status="400"})"),
            "1");
  EXPECT_EQ(value(R"(switchyard_http_requests_total{model_name="tiny",path="other",status="404"})"), "1");
}

TEST_F(ApiTest, TwoHundredHalfOpenConnectionsDoNotHoldUpGenerations) {
  TestFrontend strict(cluster, {}, {.head_timeout = 60s});
  ASSERT_TRUE(strict.wait_ready());
  std::vector<Client> slow;
  for (int i = 0; i < 200; ++i) {
    slow.emplace_back(strict.port());
    slow.back().send("POST /v1/chat/completions HTTP/1.1\r\nAuthor");
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(call(strict.port(), "POST", kChatPath, chat_body()).status, 200);
  EXPECT_GE(strict.server->connection_count(), 200U);
}

}  // namespace
}  // namespace switchyard::frontend
