// Goal: a constraint's compilation never runs on a reactor, its refusal reaches the client as any other field's does,
// and nobody who has left is compiled for. Method: the checker with a responder whose post() the test holds up; the
// API on real sockets.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <future>
#include <thread>

#include "frontend/api/constraint_checker.h"
#include "tests/unit/frontend/demo_chat.h"
#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;
using structured::Constraint;

Constraint regex(const std::string& text) { return {.kind = Constraint::Kind::kRegex, .text = text}; }

// Collects what is posted, and lets the poster wait until the test opens it.
class HeldResponder final : public Responder, public Reactor {
 public:
  void add_header(std::string, std::string) override {}
  void respond(HttpResponse) override {}
  void begin_stream(std::string) override {}
  void write(std::string_view) override {}
  void end_stream() override {}
  void on_disconnect(std::function<void()>) override {}
  Reactor& reactor() const override { return *const_cast<HeldResponder*>(this); }
  void post(std::function<void()> function) override {
    poster_ = std::this_thread::get_id();
    posted_.set_value(std::move(function));
    opened_.get_future().wait();
  }

  void open() { opened_.set_value(); }
  // Waits for the call that was posted and makes it.
  void run_posted() { posted_.get_future().get()(); }
  std::thread::id poster() const { return poster_; }

 private:
  std::promise<std::function<void()>> posted_;
  std::promise<void> opened_;
  std::thread::id poster_;
};

struct Asked {
  std::shared_ptr<HeldResponder> responder = std::make_shared<HeldResponder>();
  int calls = 0;
  Status verdict;

  Status ask(ConstraintChecker& checker, const Constraint& constraint) {
    return checker.check(constraint, responder, [this](const Status& said) {
      ++calls;
      verdict = said;
    });
  }
  void answer() {
    responder->open();
    responder->run_posted();
  }
};

TEST(ConstraintChecker, CompilesOnItsOwnThreadAndKnowsTheVerdictAfterwards) {
  ConstraintChecker checker;
  for (const auto& [text, good] : {std::pair("a+", true), std::pair("(?=a)", false)}) {
    Asked first;
    ASSERT_TRUE(first.ask(checker, regex(text)).ok());
    EXPECT_EQ(first.calls, 0);
    first.answer();
    EXPECT_EQ(first.calls, 1);
    EXPECT_NE(first.responder->poster(), std::this_thread::get_id());
    EXPECT_EQ(first.verdict.ok(), good);
    // A verdict is kept after it has been told: another constraint's answer comes behind that.
    Asked between;
    ASSERT_TRUE(between.ask(checker, regex(std::string(text) + "b")).ok());
    between.answer();
    Asked again;
    ASSERT_TRUE(again.ask(checker, regex(text)).ok());
    EXPECT_EQ(again.calls, 1);
    EXPECT_EQ(again.verdict.ok(), good);
    if (!good) {
      EXPECT_EQ(again.verdict.error().message, first.verdict.error().message);
    }
  }
}

TEST(ConstraintChecker, TellsConstraintsApartThatDifferInOneFieldAlone) {
  ConstraintChecker checker;
  const auto ask = [&](const Constraint& constraint) {
    Asked asked;
    EXPECT_TRUE(asked.ask(checker, constraint).ok());
    if (asked.calls == 0) asked.answer();
    return asked.verdict.ok();
  };
  const std::string text = R"({"type":"object","properties":{"a":{}},"required":["b"],"minProperties":3})";
  EXPECT_TRUE(ask(regex("[1]")));
  EXPECT_FALSE(ask({.kind = Constraint::Kind::kChoice, .text = "[1]"}));
  EXPECT_FALSE(ask({.kind = Constraint::Kind::kJsonSchema, .text = text}));
  EXPECT_TRUE(ask({.kind = Constraint::Kind::kJsonSchema, .text = R"({"items":true,"prefixItems":[{}]})"}));
}

TEST(ConstraintChecker, RefusesWhatIsTooMuchToWaitFor) {
  ConstraintChecker checker;
  Asked held;
  ASSERT_TRUE(held.ask(checker, regex("held")).ok());
  const auto call = [&] { held.responder->run_posted(); };
  call();  // the thread is in post() from here on
  std::vector<std::unique_ptr<Asked>> waiting;
  for (size_t i = 0; i < ConstraintChecker::kWaitingMax; ++i) {
    waiting.push_back(std::make_unique<Asked>());
    ASSERT_TRUE(waiting.back()->ask(checker, regex("w" + std::to_string(i))).ok()) << i;
  }
  Asked one_more;
  const Status refused = one_more.ask(checker, regex("more"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::kOverloaded);
  held.responder->open();
  for (const auto& asked : waiting) {
    asked->answer();
    EXPECT_TRUE(asked->verdict.ok());
    EXPECT_EQ(asked->calls, 1);
  }
  EXPECT_EQ(one_more.calls, 0);
}

TEST(ConstraintChecker, DoesNothingForOnesWhoHaveLeft) {
  ConstraintChecker checker;
  Asked held;
  ASSERT_TRUE(held.ask(checker, regex("held")).ok());
  held.responder->run_posted();
  Asked left, stays;
  ASSERT_TRUE(left.ask(checker, regex("left")).ok());
  ASSERT_TRUE(stays.ask(checker, regex("stays")).ok());
  left.responder.reset();
  held.responder->open();
  stays.answer();
  EXPECT_EQ(left.calls, 0);
  EXPECT_EQ(stays.calls, 1);
  // Not compiled either: its verdict is not known.
  Asked again;
  ASSERT_TRUE(again.ask(checker, regex("left")).ok());
  EXPECT_EQ(again.calls, 0);
  again.answer();
  EXPECT_EQ(again.calls, 1);
}

class ConstrainedApi : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(frontend.wait_ready());
    cluster.rank().answer_with(
        [](const wire::Generate&) { return std::vector<wire::Output>{output_of("7", wire::FINISH_LENGTH)}; });
  }
  Answer post(const std::string& path, const std::string& body) { return call(frontend.port(), "POST", path, body); }

  FakeCluster cluster;
  TestFrontend frontend{cluster};
};

constexpr const char* kChat = R"({"messages":[{"role":"user","content":"Q"}],)";

TEST_F(ConstrainedApi, ARefusalNamesFieldPlaceAndKeyword) {
  struct Refusal {
    const char* path;
    std::string body;
    const char* param;
    const char* message;
  };
  const std::string schema = R"({"properties":{"x":{"not":{"type":"null"}}}})";
  const std::string tools =
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"not":{}}}}}}])";
  const std::vector<Refusal> refusals = {
      {"/v1/chat/completions",
       kChat + (R"("response_format":{"type":"json_schema","json_schema":{"name":"a","schema":)" + schema + "}}}"),
       "response_format", "response_format.json_schema.schema: /properties/x/not: \"not\""},
      {"/v1/chat/completions", kChat + tools + R"(,"tool_choice":"required"})", "tool_choice", "tools: /"},
      {"/v1/chat/completions", std::string(kChat) + R"("guided_grammar":"start: x"})", "guided_grammar",
       "guided_grammar: "},
      {"/v1/chat/completions", std::string(kChat) + R"("guided_json":"{"})", "guided_json", "not valid JSON"},
      {"/v1/completions", R"x({"prompt":"Q","structured_outputs":{"regex":"(?=a)"}})x", "structured_outputs",
       "structured_outputs.regex: "},
      {"/v1/responses", R"({"input":"Q","text":{"format":{"type":"json_schema","name":"a","schema":)" + schema + "}}}",
       "text.format", "/properties/x/not: \"not\""},
  };
  for (int time = 0; time < 2; ++time) {  // compiled, then known
    for (const Refusal& refusal : refusals) {
      const Answer answer = post(refusal.path, refusal.body);
      ASSERT_EQ(answer.status, 400) << refusal.body << "\n" << answer.body;
      const json::value error = json::parse(answer.body).at("error");
      EXPECT_EQ(error.at("type"), "invalid_request_error");
      EXPECT_EQ(error.at("param"), json::value(refusal.param)) << answer.body;
      EXPECT_EQ(error.at("code"), "invalid_value");
      EXPECT_NE(error.at("message").as_string().find(refusal.message), json::string::npos) << answer.body;
    }
  }
  const Answer anthropic = post("/v1/messages", R"({"max_tokens":5,"messages":[{"role":"user","content":"Q"}],
      "output_config":{"format":{"type":"json_schema","schema":)" +
                                                    schema + "}}}");
  ASSERT_EQ(anthropic.status, 400) << anthropic.body;
  EXPECT_EQ(json::parse(anthropic.body).at("error").at("type"), "invalid_request_error");
  EXPECT_EQ(cluster.rank().generate_count(), 0U);
  EXPECT_TRUE(eventually([&] { return frontend.api->requests_running() == 0; }));
}

TEST_F(ConstrainedApi, WhatCanBeCompiledReachesTheRank) {
  for (int time = 0; time < 2; ++time) {
    for (const char* stream : {"false", "true"}) {
      const std::string body =
          kChat + std::string(R"("stream":)") + stream + R"(,"structured_outputs":{"regex":"[0-9]"}})";
      EXPECT_EQ(post("/v1/chat/completions", body).status, 200);
      const wire::Generate sent = cluster.rank().wait_generate();
      EXPECT_EQ(sent.sampling().constraint().kind(), wire::CONSTRAINT_REGEX);
      EXPECT_EQ(sent.sampling().constraint().text(), "[0-9]");
    }
  }
}

class ConstrainedChat : public DemoChat {};

TEST_F(ConstrainedChat, BeginsBehindTheReasoningThatThePromptHasOpened) {
  const std::string format = R"("response_format":{"type":"json_object"})";
  rank_says("So.</think>\n\n{\"a\":1}");
  const Answer thinking =
      post("/v1/chat/completions", kChat + format + R"(,"chat_template_kwargs":{"thinking":true}})");
  EXPECT_EQ(json::parse(thinking.body).at("choices").at(0).at("message").at("content"), R"({"a":1})");
  const wire::Constraint behind = cluster.rank().wait_generate().sampling().constraint();
  EXPECT_EQ(behind.begins_after(), "</think>");
  EXPECT_EQ(behind.reasoning_opens(), "");
  // A prompt that has closed it.
  rank_says(R"({"a":1})");
  EXPECT_EQ(post("/v1/chat/completions", kChat + format + "}").status, 200);
  const wire::Constraint at_once = cluster.rank().wait_generate().sampling().constraint();
  EXPECT_EQ(at_once.kind(), wire::CONSTRAINT_JSON_OBJECT);
  EXPECT_EQ(at_once.begins_after(), "");
  EXPECT_FALSE(at_once.in_harmony());
}

// Some tenths of a second of compilation each, up to the bound on states.
std::string hostile(int number) {
  std::string items;
  for (int i = 0; i < 30; ++i) items += std::string(i == 0 ? "" : ",") + R"({"type":"string","maxLength":20000})";
  return std::string(kChat) + R"("guided_json":{"title":")" + std::to_string(number) +
         R"(","type":"array","prefixItems":[)" + items + "]}}";
}

TEST_F(ConstrainedApi, OthersAreServedWhileHostileSchemasAreCompiledAndLeaversFreeTheirPlace) {
  constexpr int kHostile = 8;
  std::vector<Client> clients;
  for (int i = 0; i < kHostile; ++i) {
    clients.emplace_back(frontend.port());
    ASSERT_TRUE(clients.back().send(request_text("POST", "/v1/chat/completions", hostile(i))));
  }
  EXPECT_EQ(post("/v1/chat/completions", std::string(kChat) + R"("max_tokens":3})").status, 200);
  cluster.rank().wait_generate();
  for (int i = 1; i < kHostile; ++i)
    (i % 2 == 0) ? clients[static_cast<size_t>(i)].reset() : clients[static_cast<size_t>(i)].close();
  const Answer first = clients[0].read();
  EXPECT_EQ(first.status, 400) << first.body;
  EXPECT_NE(first.body.find("too large"), std::string::npos) << first.body;
  EXPECT_TRUE(eventually([&] { return frontend.api->requests_running() == 0; }));
  EXPECT_EQ(cluster.rank().generate_count(), 1U);
}

TEST(ConstrainedApiStop, AFrontendStopsWhileGrammarsAreCompiled) {
  FakeCluster cluster;
  std::vector<Client> clients;
  {
    TestFrontend frontend(cluster);
    ASSERT_TRUE(frontend.wait_ready());
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back(frontend.port());
      clients.back().send(request_text("POST", "/v1/chat/completions", hostile(i)));
    }
    EXPECT_TRUE(eventually([&] { return frontend.api->requests_running() > 0; }));
  }
  // The first one may have been refused in time.
  for (Client& client : clients) {
    const int status = client.read().status;
    EXPECT_TRUE(status == 0 || status == 400) << status;
  }
}

}  // namespace
}  // namespace switchyard::frontend
