// Goal: what a chat's client gets when the model reasons and calls tools: fields, chunks, ends. Method: the demo
// model's tokenizer and template, whose markers are special tokens, and ranks that say what the test writes; expected
// answers are written out here.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/unit/frontend/demo_chat.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

const std::string kTools =
    R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}])";
class ToolCalls : public DemoChat {
 protected:
  using DemoChat::DemoChat;

  std::string body(const std::string& fields) const {
    return R"({"messages":[{"role":"user","content":"Q"}])" + (fields.empty() ? "" : "," + fields) + "}";
  }
  json::value chat(const std::string& fields) {
    const Answer answer = call(frontend->port(), "POST", "/v1/chat/completions", body(fields));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body);
  }
  json::value message(const std::string& fields) { return chat(fields).at("choices").at(0).at("message"); }

  // The choices of all chunks.
  std::vector<json::value> chunks(const std::string& fields) {
    Client client(frontend->port());
    client.send(request_text("POST", "/v1/chat/completions", body(R"("stream":true,)" + fields)));
    EXPECT_EQ(client.read_head().status, 200);
    std::vector<json::value> all;
    while (const auto event = client.next_event())
      if (*event != "[DONE]") all.push_back(json::parse(*event).at("choices").at(0));
    return all;
  }
};

// A stream's chunks joined as OpenAI's clients join them.
struct Joined {
  std::string content, reasoning, finish;
  std::vector<json::object> calls;
};
Joined join(const std::vector<json::value>& chunks) {
  Joined joined;
  for (const json::value& chunk : chunks) {
    const json::object& delta = chunk.at("delta").as_object();
    if (const auto* content = delta.if_contains("content")) joined.content += text_of(*content);
    if (const auto* reasoning = delta.if_contains("reasoning_content")) {
      joined.reasoning += text_of(*reasoning);
      EXPECT_EQ(delta.at("reasoning"), *reasoning);
    }
    if (const auto* calls = delta.if_contains("tool_calls")) {
      EXPECT_EQ(calls->as_array().size(), 1U);
      const json::object& piece = calls->at(0).as_object();
      const auto index = piece.at("index").to_number<size_t>();
      if (index == joined.calls.size()) {
        EXPECT_EQ(piece.at("type"), "function");
        EXPECT_EQ(piece.at("function").at("arguments"), "");
        joined.calls.push_back({{"id", piece.at("id")}, {"name", piece.at("function").at("name")}, {"arguments", ""}});
      } else {
        EXPECT_EQ(index + 1, joined.calls.size());
        EXPECT_EQ(piece.size(), 2U) << json::serialize(piece);
        EXPECT_EQ(piece.at("function").as_object().size(), 1U);
        joined.calls.back()["arguments"] =
            text_of(joined.calls.back()["arguments"]) + text_of(piece.at("function").at("arguments"));
      }
    }
    EXPECT_EQ(joined.finish, "");
    if (!chunk.at("finish_reason").is_null()) joined.finish = text_of(chunk.at("finish_reason"));
  }
  return joined;
}

TEST_F(ToolCalls, AreAnsweredWhole) {
  rank_says(kTwoCalls);
  const json::value choice = chat(kTools).at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  const json::value& said = choice.at("message");
  EXPECT_TRUE(said.at("content").is_null());
  EXPECT_FALSE(said.as_object().contains("reasoning_content"));
  const json::array& calls = said.at("tool_calls").as_array();
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].at("type"), "function");
  EXPECT_TRUE(text_of(calls[0].at("id")).starts_with("call_"));
  EXPECT_NE(calls[0].at("id"), calls[1].at("id"));
  EXPECT_EQ(calls[0].at("function").at("name"), "get_weather");
  EXPECT_EQ(calls[0].at("function").at("arguments"), "{\"city\": \"北京\"}");
  EXPECT_EQ(calls[1].at("function").at("name"), "get_time");
  EXPECT_EQ(calls[1].at("function").at("arguments"), "{}");
}

TEST_F(ToolCalls, AreStreamedAsTheyAreWritten) {
  rank_says("Let me look." + kTwoCalls);
  const auto all = chunks(kTools);
  const Joined joined = join(all);
  EXPECT_EQ(joined.content, "Let me look.");
  EXPECT_EQ(joined.finish, "tool_calls");
  ASSERT_EQ(joined.calls.size(), 2U);
  EXPECT_EQ(joined.calls[0].at("name"), "get_weather");
  EXPECT_EQ(joined.calls[0].at("arguments"), "{\"city\": \"北京\"}");
  EXPECT_EQ(joined.calls[1].at("name"), "get_time");
  EXPECT_EQ(joined.calls[1].at("arguments"), "{}");
  size_t pieces = 0;
  for (const auto& chunk : all) pieces += chunk.at("delta").as_object().contains("tool_calls") ? 1 : 0;
  EXPECT_GT(pieces, 6U);  // two beginnings and arguments in more than one piece
}

TEST_F(ToolCalls, StayTextWithoutTools) {
  rank_says(kTwoCalls);
  const std::string shown = "get_weather{\"city\": \"北京\"}get_time{}";
  for (const std::string& fields : {std::string(R"("n":1)"), kTools + R"(,"tool_choice":"none")"}) {
    const json::value choice = chat(fields).at("choices").at(0);
    EXPECT_EQ(text_of(choice.at("message").at("content")), shown);
    EXPECT_FALSE(choice.at("message").as_object().contains("tool_calls"));
    EXPECT_EQ(choice.at("finish_reason"), "stop");
    EXPECT_EQ(join(chunks(fields)).content, shown);
  }
  EXPECT_EQ(text_of(message(R"("skip_special_tokens":false)").at("content")), kTwoCalls);
}

TEST_F(ToolCalls, MarkersAreNeverShownWhereCallsAreParsed) {
  rank_says("a<｜tool▁sep｜>b<｜tool▁calls▁begin｜>c</think>");
  for (const std::string& fields : {kTools, kTools + R"(,"skip_special_tokens":false)"}) {
    EXPECT_EQ(message(fields).at("content"), "abc");
    EXPECT_EQ(join(chunks(fields)).content, "abc");
  }
}

TEST_F(ToolCalls, ACallCutOffIsTextInAWholeAnswerAndStaysInAStream) {
  rank_says("Now: <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Par",
            wire::FINISH_LENGTH);
  const json::value choice = chat(kTools).at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "length");
  EXPECT_FALSE(choice.at("message").as_object().contains("tool_calls"));
  EXPECT_EQ(choice.at("message").at("content"), "Now: get_weather{\"city\": \"Par");
  const Joined joined = join(chunks(kTools));
  EXPECT_EQ(joined.content, "Now:");
  EXPECT_EQ(joined.finish, "length");
  ASSERT_EQ(joined.calls.size(), 1U);
  EXPECT_EQ(joined.calls[0].at("arguments"), "{\"city\": \"Par");
}

TEST_F(ToolCalls, TheFirstAloneIsAnsweredWhenTheyMayNotBeParallel) {
  rank_says(kTwoCalls);
  EXPECT_EQ(message(kTools + R"(,"parallel_tool_calls":false)").at("tool_calls").as_array().size(), 1U);
  EXPECT_EQ(join(chunks(kTools + R"(,"parallel_tool_calls":false)")).calls.size(), 1U);
  EXPECT_EQ(message(kTools + R"(,"parallel_tool_calls":true)").at("tool_calls").as_array().size(), 2U);
}

TEST_F(ToolCalls, EveryChoiceHasItsOwn) {
  rank_says(kTwoCalls);
  const json::value answer = chat(kTools + R"(,"n":2)");
  for (const size_t i : {0U, 1U})
    EXPECT_EQ(answer.at("choices").at(i).at("message").at("tool_calls").as_array().size(), 2U);
}

TEST_F(ToolCalls, TokenIdsAndLogProbabilitiesOfAStreamAreThoseGenerated) {
  rank_says("One." + kTwoCalls);
  size_t ids = 0, scores = 0;
  for (const auto& chunk : chunks(kTools + R"(,"return_token_ids":true,"logprobs":true)")) {
    ids += chunk.at("token_ids").as_array().size();
    if (const json::value& logprobs = chunk.at("logprobs"); !logprobs.is_null())
      scores += logprobs.at("content").as_array().size();
  }
  EXPECT_EQ(ids, token_count);
  EXPECT_EQ(scores, token_count);
  const json::value choice = chat(kTools + R"(,"return_token_ids":true,"logprobs":true)").at("choices").at(0);
  EXPECT_EQ(choice.at("token_ids").as_array().size(), token_count);
  EXPECT_EQ(choice.at("logprobs").at("content").as_array().size(), token_count);
}

TEST_F(ToolCalls, StopStringsActOnWhatTheModelWrites) {
  rank_says(kTwoCalls);
  const json::value choice = chat(kTools + R"(,"stop":"<｜tool▁call▁end｜>")").at("choices").at(0);
  EXPECT_EQ(choice.at("stop_reason"), "<｜tool▁call▁end｜>");
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  EXPECT_EQ(choice.at("message").at("tool_calls").as_array().size(), 1U);
}

TEST_F(ToolCalls, ReasoningComesByItself) {
  const std::string thinking = R"("chat_template_kwargs":{"thinking":true})";
  rank_says("Is it so?\n\nIt is.</think>\n\nYes.");
  const json::value answer = chat(thinking);
  const json::value& said = answer.at("choices").at(0).at("message");
  EXPECT_EQ(said.at("reasoning_content"), "Is it so?\n\nIt is.");
  EXPECT_EQ(said.at("reasoning"), "Is it so?\n\nIt is.");
  EXPECT_EQ(said.at("content"), "Yes.");
  const size_t reasoning = tokenizer->encode("Is it so?\n\nIt is.</think>", false).size();
  EXPECT_EQ(answer.at("usage").at("completion_tokens_details").at("reasoning_tokens"), reasoning);
  const Joined joined = join(chunks(thinking));
  EXPECT_EQ(joined.reasoning, "Is it so?\n\nIt is.");
  EXPECT_EQ(joined.content, "Yes.");
  EXPECT_EQ(joined.finish, "stop");

  EXPECT_FALSE(message(thinking + R"(,"include_reasoning":false)").as_object().contains("reasoning"));
  EXPECT_EQ(join(chunks(thinking + R"(,"include_reasoning":false)")).reasoning, "");
  // The prompt has closed it.
  rank_says("Yes.");
  EXPECT_EQ(message(R"("n":1)").at("content"), "Yes.");
  EXPECT_EQ(chat(R"("n":1)").at("usage").at("completion_tokens_details").at("reasoning_tokens"), 0);
  // It never ends.
  rank_says("Is it");
  EXPECT_TRUE(message(thinking).at("content").is_null());
}

TEST_F(ToolCalls, ResultsAndEarlierCallsReachTheTemplate) {
  const Answer answer = call(frontend->port(), "POST", "/tokenize", R"({"messages":[
    {"role":"user","content":"Weather?"},
    {"role":"assistant","content":null,"reasoning":"Hm.","tool_calls":[{"id":"call_1","type":"function","function":{
      "name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}]},
    {"role":"tool","tool_call_id":"call_1","content":[{"type":"text","text":"sunny"}]}]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const auto ids = json::value_to<std::vector<int32_t>>(json::parse(answer.body).at("tokens"));
  EXPECT_EQ(tokenizer->decode(ids, false),
            "<｜begin▁of▁sentence｜><｜User｜>Weather?<｜Assistant｜><think>Hm.</think><｜tool▁calls▁begin｜>"
            "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Paris\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
            "<｜end▁of▁sentence｜><｜tool▁output▁begin｜>sunny<｜tool▁output▁end｜><｜Assistant｜></think>");
}

class MistralCalls : public ToolCalls {
 protected:
  MistralCalls() : ToolCalls("mistral") {}
};

TEST_F(MistralCalls, HaveTheIdsThatItsTemplateAccepts) {
  rank_says("[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}]");
  const json::value said = message(kTools);
  const std::string id = text_of(said.at("tool_calls").at(0).at("id"));
  EXPECT_EQ(id.size(), 9U);
  EXPECT_EQ(said.at("tool_calls").at(0).at("function").at("arguments"), "{\"city\": \"Paris\"}");
}

class NoCalls : public ToolCalls {
 protected:
  NoCalls() : ToolCalls("none") {}
};

TEST_F(NoCalls, ATurnedOffParserLeavesText) {
  rank_says(kTwoCalls);
  EXPECT_EQ(message(kTools).at("content"), "get_weather{\"city\": \"北京\"}get_time{}");
  EXPECT_EQ(text_of(message(kTools + R"(,"skip_special_tokens":false)").at("content")), kTwoCalls);
}

}  // namespace
}  // namespace switchyard::frontend
