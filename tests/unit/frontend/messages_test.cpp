// Goal: /v1/messages speaks Anthropic's form: what goes in reaches the template, what comes out has its blocks, names
// and ends, streaming and not, and errors have its shape. Method: a rank that says what the test writes; expected
// answers are written out here, and a stream must add up to the whole answer.
#include <gtest/gtest.h>

#include "tests/unit/frontend/demo_chat.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

constexpr const char* kPath = "/v1/messages";
const std::string kTools =
    R"("tools":[{"name":"get_weather","description":"Weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}])";
const std::string kThinking = R"("thinking":{"type":"enabled","budget_tokens":1024})";

std::string with(const std::string& fields) {
  return R"({"max_tokens":512,"messages":[{"role":"user","content":"Q"}])" + (fields.empty() ? "" : "," + fields) + "}";
}

// A stream's events joined as Anthropic's clients join them: the message.
json::object joined(const std::vector<std::pair<std::string, json::value>>& events) {
  json::object message;
  std::vector<std::string> inputs;
  for (const auto& [name, data] : events) {
    if (name == "message_start") {
      EXPECT_TRUE(message.empty());
      message = data.at("message").as_object();
      EXPECT_TRUE(message["content"].as_array().empty());
    } else if (name == "content_block_start") {
      EXPECT_EQ(data.at("index").to_number<size_t>(), inputs.size());
      message["content"].as_array().push_back(data.at("content_block"));
      inputs.emplace_back();
    } else if (name == "content_block_delta") {
      EXPECT_EQ(data.at("index").to_number<size_t>() + 1, inputs.size());
      json::object& block = message["content"].as_array().back().as_object();
      const json::object& delta = data.at("delta").as_object();
      const std::string type = text_of(delta.at("type"));
      if (type == "text_delta")
        block["text"] = text_of(block["text"]) + text_of(delta.at("text"));
      else if (type == "thinking_delta")
        block["thinking"] = text_of(block["thinking"]) + text_of(delta.at("thinking"));
      else if (type == "input_json_delta")
        inputs.back() += text_of(delta.at("partial_json"));
      else
        ADD_FAILURE() << type;
    } else if (name == "content_block_stop") {
      EXPECT_EQ(data.at("index").to_number<size_t>() + 1, inputs.size());
      json::object& block = message["content"].as_array().back().as_object();
      if (block.contains("input") && !inputs.back().empty()) block["input"] = json::parse(inputs.back());
    } else if (name == "message_delta") {
      for (const auto& [key, value] : data.at("delta").as_object()) message[key] = value;
      message["usage"] = data.at("usage");
    } else {
      EXPECT_EQ(name, "message_stop");
      EXPECT_EQ(&events.back().first, &name);
    }
  }
  return message;
}

class Messages : public DemoChat {
 protected:
  using DemoChat::DemoChat;

  json::value ask(const std::string& fields) {
    const Answer answer = post(kPath, with(fields));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body);
  }
  std::vector<std::pair<std::string, json::value>> stream(const std::string& fields) {
    std::vector<std::pair<std::string, json::value>> all;
    for (Event& event : events(kPath, with(R"("stream":true)" + (fields.empty() ? "" : "," + fields))))
      all.emplace_back(std::move(event.name), std::move(event.data));
    return all;
  }
  // Whole, after checking that the stream adds up to it.
  json::value both_ways(const std::string& fields) {
    const json::value whole = ask(fields);
    json::object streamed = joined(stream(fields));
    streamed["id"] = whole.at("id");
    for (size_t i = 0; i < std::min(whole.at("content").as_array().size(), streamed["content"].as_array().size());
         ++i) {
      json::object& block = streamed["content"].as_array()[i].as_object();
      if (block.contains("id")) block["id"] = whole.at("content").at(i).at("id");
    }
    EXPECT_EQ(json::value(streamed), whole) << json::serialize(streamed) << "\n" << json::serialize(whole);
    return whole;
  }
  // The type of the error of a request that must fail so.
  std::string refused(const std::string& body, const std::string& what) {
    const Answer answer = post(kPath, body);
    EXPECT_EQ(answer.status, 400) << answer.body;
    const json::value error = json::parse(answer.body);
    EXPECT_EQ(error.at("type"), "error");
    EXPECT_NE(text_of(error.at("error").at("message")).find(what), std::string::npos) << answer.body;
    return text_of(error.at("error").at("type"));
  }
};

TEST_F(Messages, AreAnswered) {
  rank_says("Hello there");
  const json::value answer = both_ways("");
  EXPECT_TRUE(text_of(answer.at("id")).starts_with("msg_"));
  EXPECT_EQ(answer.at("type"), "message");
  EXPECT_EQ(answer.at("role"), "assistant");
  EXPECT_EQ(answer.at("content"), json::parse(R"([{"type":"text","text":"Hello there"}])"));
  EXPECT_EQ(answer.at("stop_reason"), "end_turn");
  EXPECT_TRUE(answer.at("stop_sequence").is_null());
  EXPECT_EQ(answer.at("usage").at("output_tokens"), token_count);
  EXPECT_EQ(prompt(), "<｜begin▁of▁sentence｜><｜User｜>Q<｜Assistant｜></think>");
}

TEST_F(Messages, TokensReadFromTheCacheAreNoInputTokens) {
  rank_says("x");
  const auto input = ask("").at("usage").at("input_tokens").to_number<int>();
  wire::Output output = output_of_ids({*tokenizer->eos_id()}, wire::FINISH_STOP);
  output.set_cached_tokens(3);
  cluster.rank().answer_with([output](const wire::Generate&) { return std::vector{output}; });
  const json::value usage = both_ways("").at("usage");
  EXPECT_EQ(usage.at("cache_read_input_tokens"), 3);
  EXPECT_EQ(usage.at("input_tokens"), input - 3);
}

TEST_F(Messages, EndsHaveAnthropicsNames) {
  rank_says("one two", wire::FINISH_LENGTH);
  EXPECT_EQ(both_ways("").at("stop_reason"), "max_tokens");
  rank_says("one two");
  const json::value stopped = both_ways(R"("stop_sequences":[" two"])");
  EXPECT_EQ(stopped.at("stop_reason"), "stop_sequence");
  EXPECT_EQ(stopped.at("stop_sequence"), " two");
  EXPECT_EQ(stopped.at("content").at(0).at("text"), "one");
}

TEST_F(Messages, ThinkingTextAndCallsAreBlocksInTheirOrder) {
  rank_says("Hm.</think>Let me look." + kTwoCalls);
  const json::value answer = both_ways(kThinking + "," + kTools);
  EXPECT_EQ(answer.at("stop_reason"), "tool_use");
  const json::array& blocks = answer.at("content").as_array();
  ASSERT_EQ(blocks.size(), 4U);
  EXPECT_EQ(blocks[0], json::parse(R"({"type":"thinking","thinking":"Hm.","signature":""})"));
  EXPECT_EQ(blocks[1], json::parse(R"({"type":"text","text":"Let me look."})"));
  EXPECT_EQ(blocks[2].at("type"), "tool_use");
  EXPECT_EQ(blocks[2].at("name"), "get_weather");
  EXPECT_EQ(blocks[2].at("input"), json::parse(R"({"city":"北京"})"));
  EXPECT_EQ(blocks[3].at("input"), json::object());
  EXPECT_NE(blocks[2].at("id"), blocks[3].at("id"));
  EXPECT_EQ(ask(kTools + R"(,"tool_choice":{"type":"auto","disable_parallel_tool_use":true})")
                .at("content")
                .as_array()
                .size(),
            2U);
  EXPECT_EQ(both_ways(kTools + R"(,"tool_choice":{"type":"none"})").at("stop_reason"), "end_turn");
}

TEST_F(Messages, ThinkingThatIsTurnedOffIsNotShown) {
  rank_says("<think>Hm.</think>Yes.");
  EXPECT_EQ(both_ways(R"("thinking":{"type":"adaptive","display":"omitted"})").at("content").at(0).at("text"), "Yes.");
  const json::value answer = both_ways(R"("thinking":{"type":"disabled"})");
  EXPECT_EQ(answer.at("content"), json::parse(R"([{"type":"text","text":"Yes."}])"));
}

TEST_F(Messages, ACallThatBreaksGoesOnAsText) {
  const std::string cut = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Par";
  rank_says("Now:" + cut, wire::FINISH_LENGTH);
  EXPECT_EQ(ask(kTools).at("content"), json::parse(R"([{"type":"text","text":"Now:get_weather{\"city\": \"Par"}])"));
  size_t begun = 0, stopped = 0;
  for (const auto& [name, data] : stream(kTools)) {
    begun += name == "content_block_start" ? 1 : 0;
    stopped += name == "content_block_stop" ? 1 : 0;
    if (name == "message_delta") {
      EXPECT_EQ(data.at("delta").at("stop_reason"), "max_tokens");
    }
  }
  EXPECT_EQ(begun, 2U);
  EXPECT_EQ(stopped, begun);
}

TEST_F(Messages, AConversationReachesTheTemplate) {
  rank_says("x");
  const Answer answer = post(kPath, R"({"max_tokens":9,"system":[{"type":"text","text":"Be brief."}],"messages":[
    {"role":"user","content":[{"type":"text","text":"Weather?"}]},
    {"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"s"},
      {"type":"tool_use","id":"call_1","name":"get_weather","input":{"city":"Paris"}}]},
    {"role":"user","content":[{"type":"text","text":"And?"},
      {"type":"tool_result","tool_use_id":"call_1","is_error":true,"content":[{"type":"text","text":"rain"}]}]}],)" +
                                        kTools + R"(,"tool_choice":{"type":"none"},"metadata":{"user_id":"u"}})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(prompt(),
            "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Weather?<｜Assistant｜><think>Hm.</think><｜tool▁calls▁begin｜>"
            "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Paris\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
            "<｜end▁of▁sentence｜><｜tool▁output▁begin｜>Error: "
            "rain<｜tool▁output▁end｜><｜User｜>And?<｜Assistant｜></think>");
}

TEST_F(Messages, SystemMessagesStandWhereTheyAre) {
  rank_says("x");
  const Answer answer = post(kPath, R"({"max_tokens":9,"messages":[{"role":"system","content":"Be brief."},
    {"role":"user","content":"Q"}]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(prompt(), "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Q<｜Assistant｜></think>");
}

TEST_F(Messages, SamplingFieldsAct) {
  rank_says("x");
  ask(R"("temperature":0.5,"top_p":0.25,"top_k":7,"seed":11,"min_p":0.125)");
  const wire::Generate sent = cluster.rank().wait_generate();
  EXPECT_EQ(sent.max_tokens(), 512U);
  EXPECT_EQ(sent.sampling().temperature(), 0.5F);
  EXPECT_EQ(sent.sampling().top_p(), 0.25F);
  EXPECT_EQ(sent.sampling().top_k(), 7);
  EXPECT_EQ(sent.sampling().min_p(), 0.125F);
  EXPECT_EQ(sent.sampling().seed(), 11U);
}

TEST_F(Messages, TheirTokensAreCounted) {
  rank_says("x");
  const auto input = ask(R"("system":"Be brief.")").at("usage").at("input_tokens");
  const Answer counted =
      post("/v1/messages/count_tokens", R"({"system":"Be brief.","messages":[{"role":"user","content":"Q"}]})");
  EXPECT_EQ(counted.status, 200) << counted.body;
  EXPECT_EQ(json::parse(counted.body), (json::object{{"input_tokens", input}}));
}

TEST_F(Messages, WhatIsWrongIsNamed) {
  for (const auto& [body, what] : std::vector<std::pair<std::string, std::string>>{
           {R"({"messages":[{"role":"user","content":"Q"}]})", "max_tokens"},
           {R"({"max_tokens":9})", "messages"},
           {R"({"max_tokens":9,"messages":[]})", "messages"},
           {R"({"max_tokens":9,"messages":"Q"})", "messages"},
           {R"({"max_tokens":0,"messages":[{"role":"user","content":"Q"}]})", "max_tokens"},
           {R"({"max_tokens":9,"messages":[{"role":"tool","content":"Q"}]})", "messages[0].role"},
           {R"({"max_tokens":9,"messages":[{"role":"user"}]})", "messages[0].content"},
           {with(R"("output_config":7)"), "output_config"},
           {with(R"("output_config":{"effort":7})"), "output_config.effort"},
           {with(R"("output_config":{"format":{}})"), "output_config.format.type"},
           {R"({"max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]})", "'image'"},
           {R"({"max_tokens":9,"messages":[{"role":"user","content":[{"type":"text"}]}]})",
            "messages[0].content[0].text"},
           {R"({"max_tokens":9,"messages":[{"role":"user","content":[7]}]})", "messages[0].content[0]"},
           {R"({"max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]})", "tool_use_id"},
           {R"({"max_tokens":9,"messages":[{"role":"assistant","content":"A"}]})", "must end with a user message"},
           {with(R"("system":7)"), "system"},
           {with(R"("temperature":1.5)"), "temperature"},
           {with(R"("top_p":2)"), "top_p"},
           {with(R"("stop_sequences":"x")"), "stop_sequences"},
           {with(R"("stop_sequences":[""])"), "stop_sequences"},
           {with(R"("tools":[{"type":"web_search_20250305","name":"web_search"}])"), "web_search_20250305"},
           {with(R"("tools":[{"name":"f"}])"), "tools[0].input_schema"},
           {with(R"("tools":[7])"), "tools[0]"},
           {with(R"("tool_choice":"auto")"), "tool_choice"},
           {with(R"("thinking":{"type":"sometimes"})"), "sometimes"},
           {with(R"("chat_template_kwargs":7,)" + kThinking), "chat_template_kwargs"},
           {"{", "JSON"},
       })
    EXPECT_EQ(refused(body, what), "invalid_request_error") << body;
}

TEST_F(Messages, OtherErrorsHaveTheirTypeAsWell) {
  const auto error_type = [&](const Answer& answer, int status) {
    EXPECT_EQ(answer.status, status) << answer.body;
    return text_of(json::parse(answer.body).at("error").at("type"));
  };
  EXPECT_EQ(error_type(post(kPath, with(R"("model":"other")")), 404), "not_found_error");
  EXPECT_EQ(error_type(call(frontend->port(), "GET", kPath), 405), "invalid_request_error");
  cluster.rank().answer_with([](const wire::Generate&) { return std::vector{error_output(500, "broken")}; });
  EXPECT_EQ(error_type(post(kPath, with("")), 500), "api_error");
  // In the middle of a stream, an event.
  cluster.rank().answer_with([this](const wire::Generate&) {
    return std::vector{output_of_ids(tokenizer->encode("Hello", false)), error_output(500, "broken")};
  });
  const auto all = stream("");
  EXPECT_EQ(all.back().first, "error");
  EXPECT_EQ(all.back().second, json::parse(R"({"type":"error","error":{"type":"api_error","message":"broken"}})"));
  frontend->api->begin_drain();
  EXPECT_EQ(error_type(post(kPath, with("")), 529), "overloaded_error");
}

class MessagesWithKeys : public Messages {
 protected:
  MessagesWithKeys() : Messages("auto", with_keys({"sk-1"})) {}
};

TEST_F(MessagesWithKeys, TakeTheKeyInEitherHeader) {
  rank_says("x");
  EXPECT_EQ(post(kPath, with(""), "X-Api-Key: sk-1\r\n").status, 200);
  EXPECT_EQ(post(kPath, with(""), "Authorization: Bearer sk-1\r\n").status, 200);
  const Answer refused = post(kPath, with(""), "X-Api-Key: sk-2\r\n");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(json::parse(refused.body).at("error").at("type"), "authentication_error");
  // The others know one header.
  EXPECT_EQ(post("/v1/chat/completions", with(""), "X-Api-Key: sk-1\r\n").status, 401);
}

}  // namespace
}  // namespace switchyard::frontend
