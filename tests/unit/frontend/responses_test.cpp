// Goal: /v1/responses speaks OpenAI's newer form: items in, items out, typed and numbered events that add up to the
// whole answer, and answers that can be come back to. Method: a rank that says what the test writes; expected answers
// are written out here.
#include <gtest/gtest.h>

#include <map>

#include "frontend/requests/response_store.h"
#include "tests/unit/frontend/demo_chat.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

constexpr const char* kPath = "/v1/responses";
const std::string kTools =
    R"("tools":[{"type":"function","name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}])";
const std::string kThinking = R"("reasoning":{"effort":"low"})";
const std::string kScores = R"("include":["message.output_text.logprobs"])";

std::string with(const std::string& fields) { return R"({"input":"Q")" + (fields.empty() ? "" : "," + fields) + "}"; }

// An answer with what is new in each one made equal: ids and times.
json::value without_ids(json::value response) {
  json::object& object = response.as_object();
  object["id"] = object["created_at"] = nullptr;
  for (json::value& item : object["output"].as_array()) {
    item.as_object()["id"] = nullptr;
    if (item.as_object().contains("call_id")) item.as_object()["call_id"] = nullptr;
  }
  return response;
}

class Responses : public DemoChat {
 protected:
  using DemoChat::DemoChat;

  json::value ask(const std::string& body) {
    const Answer answer = post(kPath, body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body);
  }
  json::object refused(const std::string& body, int status = 400) {
    const Answer answer = post(kPath, body);
    EXPECT_EQ(answer.status, status) << answer.body;
    return json::parse(answer.body).at("error").as_object();
  }
  std::vector<Event> stream(const std::string& fields) {
    return events(kPath, with(R"("stream":true)" + (fields.empty() ? "" : "," + fields)));
  }

  // The items that a stream's events build up; each event must fit what was there.
  json::array items_of(const std::vector<Event>& all) {
    json::array items;
    const auto text_at = [&](const json::value& event, const char* field) -> json::string& {
      json::value& item = items.at(event.at("output_index").to_number<size_t>());
      EXPECT_EQ(item.at("id"), event.at("item_id"));
      if (std::string_view(field) == "arguments") return item.as_object()["arguments"].as_string();
      return item.as_object()["content"].as_array().at(0).as_object()[field].as_string();
    };
    int64_t number = 0;
    for (const Event& event : all) {
      EXPECT_EQ(event.data.at("sequence_number"), number++);
      const std::string& name = event.name;
      if (name == "response.output_item.added") {
        EXPECT_EQ(event.data.at("output_index").to_number<size_t>(), items.size());
        EXPECT_EQ(event.data.at("item").at("status"), "in_progress");
        items.push_back(event.data.at("item"));
      } else if (name == "response.content_part.added") {
        items.back().as_object()["content"].as_array().push_back(event.data.at("part"));
      } else if (name == "response.output_text.delta") {
        text_at(event.data, "text") += event.data.at("delta").as_string();
        json::array& scores = items.back().as_object()["content"].as_array()[0].as_object()["logprobs"].as_array();
        for (const json::value& score : event.data.at("logprobs").as_array()) scores.push_back(score);
      } else if (name == "response.reasoning_text.delta") {
        text_at(event.data, "text") += event.data.at("delta").as_string();
      } else if (name == "response.function_call_arguments.delta") {
        text_at(event.data, "arguments") += event.data.at("delta").as_string();
      } else if (name == "response.function_call_arguments.done") {
        EXPECT_EQ(text_at(event.data, "arguments"), event.data.at("arguments").as_string());
      } else if (name == "response.output_text.done" || name == "response.reasoning_text.done") {
        EXPECT_EQ(text_at(event.data, "text"), event.data.at("text").as_string());
      } else if (name == "response.content_part.done") {
        EXPECT_EQ(items.back().at("content").at(0), event.data.at("part"));
      } else if (name == "response.output_item.done") {
        items.back().as_object()["status"] = event.data.at("item").at("status");
        EXPECT_EQ(items.back(), event.data.at("item"));
      }
    }
    return items;
  }

  // Whole, after checking that the stream adds up to it.
  json::value both_ways(const std::string& fields) {
    const json::value whole = ask(with(fields));
    const std::vector<Event> all = stream(fields);
    EXPECT_EQ(all.at(0).name, "response.created");
    EXPECT_EQ(all.at(1).name, "response.in_progress");
    EXPECT_EQ(all.at(0).data.at("response").at("status"), "in_progress");
    EXPECT_TRUE(all.at(0).data.at("response").at("output").as_array().empty());
    EXPECT_EQ(all.back().name, "response." + text_of(whole.at("status")));
    const json::value& last = all.back().data.at("response");
    EXPECT_EQ(last.at("id"), all.at(0).data.at("response").at("id"));
    EXPECT_EQ(json::value(items_of(all)), last.at("output"));
    EXPECT_EQ(without_ids(last), without_ids(whole));
    return whole;
  }
};

TEST_F(Responses, AreAnswered) {
  rank_says("Hello there");
  const json::value answer = both_ways("");
  EXPECT_TRUE(text_of(answer.at("id")).starts_with("resp_"));
  EXPECT_EQ(answer.at("object"), "response");
  EXPECT_EQ(answer.at("status"), "completed");
  EXPECT_TRUE(answer.at("error").is_null());
  ASSERT_EQ(answer.at("output").as_array().size(), 1U);
  const json::value& item = answer.at("output").at(0);
  EXPECT_EQ(item.at("type"), "message");
  EXPECT_EQ(item.at("role"), "assistant");
  EXPECT_EQ(item.at("status"), "completed");
  EXPECT_EQ(item.at("content"),
            json::parse(R"([{"type":"output_text","text":"Hello there","annotations":[],"logprobs":[]}])"));
  const json::value& usage = answer.at("usage");
  EXPECT_EQ(usage.at("output_tokens"), token_count);
  EXPECT_EQ(usage.at("total_tokens").to_number<size_t>(), usage.at("input_tokens").to_number<size_t>() + token_count);
  EXPECT_EQ(prompt(), "<｜begin▁of▁sentence｜><｜User｜>Q<｜Assistant｜></think>");
}

TEST_F(Responses, ReasoningTextAndCallsAreItemsInTheirOrder) {
  rank_says("Hm.</think>Let me look." + kTwoCalls);
  const json::value answer = both_ways(kThinking + "," + kTools);
  const json::array& items = answer.at("output").as_array();
  ASSERT_EQ(items.size(), 4U);
  EXPECT_EQ(items[0].at("type"), "reasoning");
  EXPECT_EQ(items[0].at("content"), json::parse(R"([{"type":"reasoning_text","text":"Hm."}])"));
  EXPECT_EQ(items[1].at("content").at(0).at("text"), "Let me look.");
  EXPECT_EQ(items[2].at("type"), "function_call");
  EXPECT_EQ(items[2].at("name"), "get_weather");
  EXPECT_EQ(items[2].at("arguments"), "{\"city\": \"北京\"}");
  EXPECT_EQ(items[3].at("name"), "get_time");
  EXPECT_NE(items[2].at("call_id"), items[3].at("call_id"));
  EXPECT_GT(answer.at("usage").at("output_tokens_details").at("reasoning_tokens").to_number<int>(), 0);
  EXPECT_EQ(answer.at("tools").at(0).at("name"), "get_weather");
  EXPECT_EQ(ask(with(kTools + R"(,"parallel_tool_calls":false)")).at("output").as_array().size(), 2U);
}

TEST_F(Responses, AnAnswerThatIsCutIsIncomplete) {
  rank_says("one two", wire::FINISH_LENGTH);
  const json::value answer = both_ways(R"("max_output_tokens":64)");
  EXPECT_EQ(answer.at("status"), "incomplete");
  EXPECT_EQ(answer.at("incomplete_details").at("reason"), "max_output_tokens");
  EXPECT_EQ(answer.at("output").at(0).at("status"), "incomplete");
  EXPECT_EQ(answer.at("max_output_tokens"), 64);
  EXPECT_EQ(cluster.rank().wait_generate().max_tokens(), 64U);
}

TEST_F(Responses, TheTextsTokensAreScoredWhenAsked) {
  rank_says("Hm.</think>One two.");
  const json::value answer = both_ways(kThinking + "," + kScores);
  std::string said;
  for (const json::value& score : answer.at("output").at(1).at("content").at(0).at("logprobs").as_array()) {
    EXPECT_EQ(score.at("logprob").to_number<double>(), -1);
    said += text_of(score.at("token"));
  }
  EXPECT_NE(said.find("One two."), std::string::npos) << said;
  EXPECT_EQ(said.find("Hm"), std::string::npos) << said;
}

TEST_F(Responses, ItemsReachTheTemplate) {
  rank_says("x");
  ask(R"({"instructions":"Be brief.","input":[
    {"role":"user","content":[{"type":"input_text","text":"Weather?"}]},
    {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]},
    {"type":"function_call","id":"fc_1","call_id":"call_1","name":"get_weather","arguments":"{\"city\":\"Paris\"}"},
    {"type":"function_call_output","call_id":"call_1","output":"sunny"}]})");
  EXPECT_EQ(prompt(),
            "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Weather?<｜Assistant｜><think>Hm.</think><｜tool▁calls▁begin｜>"
            "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Paris\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
            "<｜end▁of▁sentence｜><｜tool▁output▁begin｜>sunny<｜tool▁output▁end｜><｜Assistant｜></think>");
}

TEST_F(Responses, OneGoesOnFromAnotherWithoutItsInstructions) {
  rank_says("Look." + kTwoCalls);
  const json::value first = ask(with(kTools + R"(,"instructions":"Be brief.")"));
  prompt();
  const std::string id = text_of(first.at("id"));
  rank_says("x");
  const json::value second = ask(R"({"previous_response_id":")" + id +
                                 R"(","input":[{"type":"function_call_output","call_id":"c","output":"rain"}]})");
  EXPECT_EQ(text_of(second.at("previous_response_id")), id);
  EXPECT_EQ(
      prompt(),
      "<｜begin▁of▁sentence｜><｜User｜>Q<｜Assistant｜></think>Look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>"
      "get_weather<｜tool▁sep｜>{\"city\": \"北京\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}"
      "<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜><｜tool▁output▁begin｜>rain<｜tool▁output▁end｜>"
      "<｜Assistant｜></think>");
}

TEST_F(Responses, AreStoredUntilTheyAreDeleted) {
  rank_says("x");
  const json::value answer = ask(with(""));
  const std::string path = std::string(kPath) + "/" + text_of(answer.at("id"));
  EXPECT_EQ(json::parse(call(frontend->port(), "GET", path).body), answer);
  const Answer deleted = call(frontend->port(), "DELETE", path);
  EXPECT_EQ(deleted.status, 200);
  EXPECT_EQ(json::parse(deleted.body),
            (json::object{{"id", answer.at("id")}, {"object", "response"}, {"deleted", true}}));
  EXPECT_EQ(call(frontend->port(), "GET", path).status, 404);
  EXPECT_EQ(call(frontend->port(), "DELETE", path).status, 404);
  const json::value unstored = ask(with(R"("store":false)"));
  EXPECT_EQ(call(frontend->port(), "GET", std::string(kPath) + "/" + text_of(unstored.at("id"))).status, 404);
  // Streams too, as they ended.
  const auto all = stream("");
  const json::value& last = all.back().data.at("response");
  EXPECT_EQ(json::parse(call(frontend->port(), "GET", std::string(kPath) + "/" + text_of(last.at("id"))).body), last);
}

TEST_F(Responses, WhatIsWrongIsNamed) {
  const std::map<std::string, std::vector<std::string>> by_field = {
      {"input", {"{}", R"({"input":7})", R"({"input":[]})", R"({"input":[{"type":"reasoning"}]})"}},
      {"input[0]", {R"({"input":[7]})", R"({"input":[{"type":"item_reference","id":"x"}]})"}},
      {"input[0].role", {R"({"input":[{"content":"Q"}]})", R"({"input":[{"role":"tool","content":"Q"}]})"}},
      {"input[0].content", {R"({"input":[{"role":"user"}]})", R"({"input":[{"role":"user","content":7}]})"}},
      {"input[0].content[0]", {R"({"input":[{"role":"user","content":[{"type":"input_image"}]}]})"}},
      {"input[0].call_id", {R"({"input":[{"type":"function_call_output","output":"x"}]})"}},
      {"input[0].arguments", {R"({"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{"}]})"}},
      {"previous_response_id", {with(R"("previous_response_id":"resp_1")"), with(R"("previous_response_id":7)")}},
      {"conversation", {with(R"("conversation":"conv_1")")}},
      {"background", {with(R"("background":true)")}},
      {"truncation", {with(R"("truncation":"auto")")}},
      {"max_output_tokens", {with(R"("max_output_tokens":0)"), with(R"("max_output_tokens":1000000)")}},
      {"temperature", {with(R"("temperature":3)")}},
      {"top_logprobs", {with(R"("top_logprobs":21)")}},
      {"instructions", {with(R"("instructions":7)")}},
      {"metadata", {with(R"("metadata":7)")}},
      {"include", {with(R"("include":7)")}},
      {"reasoning", {with(R"("reasoning":7)")}},
      {"reasoning.effort", {with(R"("reasoning":{"effort":7})")}},
      {"text.format", {with(R"("text":{"format":7})")}},
      {"tools[0]", {with(R"("tools":[{"type":"web_search"}])"), with(R"("tools":[7])")}},
      {"tools[0].name", {with(R"("tools":[{"type":"function"}])")}},
      {"tool_choice", {with(R"("tool_choice":"auto")")}},
  };
  for (const auto& [field, bodies] : by_field)
    for (const std::string& body : bodies) EXPECT_EQ(text_of(refused(body).at("param")), field) << body;
}

TEST_F(Responses, AFailureEndsAStream) {
  cluster.rank().answer_with([this](const wire::Generate&) {
    return std::vector{output_of_ids(tokenizer->encode("Hello", false)), error_output(500, "broken")};
  });
  const auto all = stream("");
  EXPECT_EQ(all.back().name, "response.failed");
  EXPECT_EQ(all.back().data.at("response").at("status"), "failed");
  EXPECT_EQ(all.back().data.at("response").at("error"), json::parse(R"({"code":"server_error","message":"broken"})"));
}

class ResponsesOfTwo : public Responses {
 protected:
  ResponsesOfTwo() : Responses("auto", with_keys({"a", "b"})) {}
};

TEST_F(ResponsesOfTwo, AreNotOneAnothers) {
  rank_says("x");
  const std::string a = "Authorization: Bearer a\r\n", b = "Authorization: Bearer b\r\n";
  const std::string id = text_of(json::parse(post(kPath, with(""), a).body).at("id"));
  const std::string path = std::string(kPath) + "/" + id;
  EXPECT_EQ(call(frontend->port(), "GET", path, "", b).status, 404);
  EXPECT_EQ(call(frontend->port(), "DELETE", path, "", b).status, 404);
  EXPECT_EQ(post(kPath, with(R"("previous_response_id":")" + id + "\""), b).status, 400);
  EXPECT_EQ(call(frontend->port(), "GET", path).status, 401);
  EXPECT_EQ(call(frontend->port(), "GET", path, "", a).status, 200);
}

TEST(AResponseStore, ForgetsWhatWasNotAskedForLongest) {
  ResponseStore store(3000);
  const auto put = [&](const std::string& id, size_t bytes) {
    store.put({.id = id, .key = 0, .body = std::string(bytes, 'x'), .conversation = {}});
  };
  put("a", 700);
  put("b", 700);
  put("c", 700);
  EXPECT_NE(store.find("a", 0), nullptr);
  put("d", 700);
  EXPECT_NE(store.find("a", 0), nullptr);
  EXPECT_EQ(store.find("b", 0), nullptr);
  EXPECT_NE(store.find("c", 0), nullptr);
  put("too large", 3000);
  EXPECT_EQ(store.find("too large", 0), nullptr);
  EXPECT_NE(store.find("d", 0), nullptr);
  EXPECT_TRUE(store.erase("d", 0));
  EXPECT_FALSE(store.erase("d", 0));
}

}  // namespace
}  // namespace switchyard::frontend
