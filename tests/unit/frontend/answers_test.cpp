// Goal: what clients of /v1/chat/completions and /v1/completions get for what the ranks generate. Method: ranks that
// say byte tokens, real sockets, JSON read by boost::json; expected texts, ids and numbers are written out here.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/unit/frontend/fake_cluster.h"
#include "tests/unit/frontend/http_client.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

const std::string kEmoji = "\xF0\x9F\x98\x80";    // U+1F600
const std::string kReplacement = "\xEF\xBF\xBD";  // U+FFFD

class Answers : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(frontend.wait_ready()); }

  void rank_says(std::vector<wire::Output> outputs) {
    cluster.rank().answer_with([outputs](const wire::Generate&) { return outputs; });
  }
  json::value post(const std::string& path, const std::string& body) {
    const Answer answer = call(frontend.port(), "POST", path, body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.header("content-type"), "application/json");
    boost::system::error_code error;
    json::value value = json::parse(answer.body, error);
    EXPECT_FALSE(error) << answer.body;
    return value;
  }
  json::value chat(const std::string& fields = "") {
    return post("/v1/chat/completions", R"({"model":"tiny","messages":[{"role":"user","content":"Q"}])" +
                                            (fields.empty() ? "" : "," + fields) + "}");
  }
  json::value complete(const std::string& fields) {
    return post("/v1/completions", R"({"prompt":"Q",)" + fields + "}");
  }

  // All events of a stream before [DONE], which must come and be the last.
  std::vector<json::value> stream(const std::string& path, const std::string& body) {
    Client client(frontend.port());
    client.send(request_text("POST", path, body));
    const Answer head = client.read_head();
    EXPECT_EQ(head.status, 200);
    EXPECT_TRUE(head.header("content-type").starts_with("text/event-stream")) << head.header("content-type");
    EXPECT_EQ(head.header("cache-control"), "no-cache");
    std::vector<json::value> events;
    bool done = false;
    while (const auto event = client.next_event()) {
      EXPECT_FALSE(done) << *event;
      done = *event == "[DONE]";
      boost::system::error_code error;
      if (!done) events.push_back(json::parse(*event, error));
      EXPECT_FALSE(error) << *event;
    }
    EXPECT_TRUE(done);
    EXPECT_TRUE(client.stream_complete());
    return events;
  }
  std::vector<json::value> chat_stream(const std::string& fields = "") {
    return stream("/v1/chat/completions",
                  R"({"model":"tiny","stream":true,"messages":[{"role":"user","content":"Q"}])" +
                      (fields.empty() ? "" : "," + fields) + "}");
  }
  std::vector<json::value> complete_stream(const std::string& fields) {
    return stream("/v1/completions", R"({"prompt":"Q","stream":true,)" + fields + "}");
  }

  FakeCluster cluster;
  TestFrontend frontend{cluster};
};

std::vector<int32_t> ids_of(const json::value& value) { return json::value_to<std::vector<int32_t>>(value); }
std::string text_of(const json::value& value) { return json::value_to<std::string>(value); }

// "<|bos|><|user|>\nQ<|end|>\n<|assistant|>\n", as the model's template writes it.
const std::vector<int32_t> kChatPrompt = {0, 4, 208, 58, 6, 208, 5, 208};

TEST_F(Answers, AChatIsAnswered) {
  wire::Output first = output_of("Hel");
  first.set_cached_tokens(4);
  rank_says({first, output_of("lo"), output_of_ids({kEnd}, wire::FINISH_STOP)});
  const json::value answer = chat(R"("temperature":0,"max_tokens":9,"priority":3)");
  EXPECT_TRUE(text_of(answer.at("id")).starts_with("chatcmpl-"));
  EXPECT_EQ(answer.at("object"), "chat.completion");
  EXPECT_EQ(answer.at("model"), "tiny");
  EXPECT_GT(answer.at("created").to_number<int64_t>(), 1700000000);
  ASSERT_EQ(answer.at("choices").as_array().size(), 1U);
  const json::value& choice = answer.at("choices").at(0);
  EXPECT_EQ(choice.at("index"), 0);
  EXPECT_EQ(choice.at("message").at("role"), "assistant");
  EXPECT_EQ(choice.at("message").at("content"), "Hello");
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_TRUE(choice.at("stop_reason").is_null());
  EXPECT_TRUE(choice.at("logprobs").is_null());
  const json::value& usage = answer.at("usage");
  EXPECT_EQ(usage.at("prompt_tokens"), 8);
  EXPECT_EQ(usage.at("completion_tokens"), 6);
  EXPECT_EQ(usage.at("total_tokens"), 14);
  EXPECT_EQ(usage.at("prompt_tokens_details").at("cached_tokens"), 4);

  const wire::Generate sent = cluster.rank().wait_generate();
  EXPECT_EQ(std::vector<int32_t>(sent.prompt_token_ids().begin(), sent.prompt_token_ids().end()), kChatPrompt);
  EXPECT_EQ(sent.max_tokens(), 9U);
  EXPECT_EQ(sent.priority(), 3);
  EXPECT_EQ(sent.sampling().temperature(), 0.0F);
  EXPECT_EQ(sent.sampling().top_p(), 0.95F);  // generation_config.json
  EXPECT_EQ(std::vector<int32_t>(sent.sampling().stop_token_ids().begin(), sent.sampling().stop_token_ids().end()),
            (std::vector<int32_t>{6, 1}));
}

TEST_F(Answers, AChatWithoutALimitMayFillTheContext) {
  rank_says({output_of("x", wire::FINISH_LENGTH)});
  EXPECT_EQ(chat().at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(cluster.rank().wait_generate().max_tokens(), uint32_t{kContext} - 8);
  complete(R"("temperature":0)");
  EXPECT_EQ(cluster.rank().wait_generate().max_tokens(), 16U);  // OpenAI's default of completions
}

TEST_F(Answers, AChatIsStreamed) {
  rank_says({output_of("Hel"), output_of("lo"), output_of_ids({kEnd}, wire::FINISH_STOP)});
  const auto events = chat_stream(R"("stream_options":{"include_usage":true})");
  ASSERT_GE(events.size(), 5U);
  std::string text;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].at("object"), "chat.completion.chunk");
    EXPECT_EQ(events[i].at("id"), events[0].at("id"));
    if (i + 1 == events.size()) break;
    EXPECT_TRUE(events[i].at("usage").is_null());
    const json::value& choice = events[i].at("choices").at(0);
    EXPECT_EQ(choice.at("finish_reason").is_null(), i + 2 < events.size());
    EXPECT_EQ(choice.at("delta").as_object().contains("role"), i == 0);
    if (const auto* content = choice.at("delta").as_object().if_contains("content")) text += text_of(*content);
  }
  EXPECT_EQ(text, "Hello");
  EXPECT_EQ(events[0].at("choices").at(0).at("delta").at("role"), "assistant");
  EXPECT_EQ(events[events.size() - 2].at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_TRUE(events.back().at("choices").as_array().empty());
  EXPECT_EQ(events.back().at("usage").at("completion_tokens"), 6);
  EXPECT_EQ(events.back().at("usage").at("prompt_tokens"), 8);
}

TEST_F(Answers, AStreamWithoutUsageDoesNotMentionIt) {
  rank_says({output_of("x", wire::FINISH_LENGTH)});
  for (const auto& event : chat_stream()) EXPECT_FALSE(event.as_object().contains("usage")) << event;
}

TEST_F(Answers, ACompletionIsAnsweredAndStreamed) {
  rank_says({output_of("one "), output_of("two", wire::FINISH_LENGTH)});
  const json::value answer = complete(R"("max_tokens":7)");
  EXPECT_TRUE(text_of(answer.at("id")).starts_with("cmpl-"));
  EXPECT_EQ(answer.at("object"), "text_completion");
  EXPECT_EQ(answer.at("choices").at(0).at("text"), "one two");
  EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 1);
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 7);

  const auto events = complete_stream(R"("max_tokens":7)");
  std::string text;
  for (const auto& event : events) text += text_of(event.at("choices").at(0).at("text"));
  EXPECT_EQ(text, "one two");
  EXPECT_EQ(events.back().at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(events[0].at("object"), "text_completion");
}

TEST_F(Answers, EveryPromptOfAListIsAnsweredInItsPlace) {
  // Each answer is the prompt's own last token; the first prompt is answered last.
  wire::Generate kept;
  cluster.rank().answer_with([&](const wire::Generate& g) -> std::vector<wire::Output> {
    const auto answer = [](const wire::Generate& to) {
      wire::Output output = output_of_ids({*to.prompt_token_ids().rbegin()}, wire::FINISH_LENGTH);
      output.set_request_id(to.request_id());
      return output;
    };
    if (g.prompt_token_ids_size() == 1) {
      kept = g;
      return {};
    }
    if (g.prompt_token_ids_size() < 3) return {answer(g)};
    return {answer(g), answer(kept)};
  });
  const json::value answer =
      post("/v1/completions", R"({"prompt":[[74],[74,75],[74,75,76]],"max_tokens":1})");  // a, ab, abc
  ASSERT_EQ(answer.at("choices").as_array().size(), 3U);
  for (const int i : {0, 1, 2}) {
    EXPECT_EQ(answer.at("choices").at(static_cast<size_t>(i)).at("index"), i);
    EXPECT_EQ(text_of(answer.at("choices").at(static_cast<size_t>(i)).at("text")),
              std::string(1, static_cast<char>('a' + i)));
  }
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 6);
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 3);
}

TEST_F(Answers, EveryChoiceHasItsOwnSeedAndItsPlace) {
  // Answers in the order 2, 0, 1: the text is the seed's last digit.
  std::vector<wire::Generate> got;
  cluster.rank().answer_with([&](const wire::Generate& g) {
    got.push_back(g);
    std::vector<wire::Output> outputs;
    if (got.size() < 3) return outputs;
    for (const size_t i : {size_t{2}, size_t{0}, size_t{1}}) {
      outputs.push_back(output_of(std::to_string(got[i].sampling().seed() % 10), wire::FINISH_LENGTH));
      outputs.back().set_request_id(got[i].request_id());
    }
    got.clear();
    return outputs;
  });
  const json::value answer = chat(R"("n":3,"seed":41)");
  for (const size_t i : {0U, 1U, 2U}) {
    EXPECT_EQ(answer.at("choices").at(i).at("index"), static_cast<int>(i));
    EXPECT_EQ(text_of(answer.at("choices").at(i).at("message").at("content")), std::to_string(1 + i));
  }
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 8);  // once, as OpenAI counts it
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 3);

  std::vector<std::string> texts(3);
  std::vector<std::string> finishes(3);
  for (const auto& event : chat_stream(R"("n":3,"seed":41)")) {
    const json::value& choice = event.at("choices").at(0);
    const auto index = choice.at("index").to_number<size_t>();
    ASSERT_LT(index, 3U);
    EXPECT_EQ(finishes[index], "");  // nothing after a choice's end
    if (const auto* content = choice.at("delta").as_object().if_contains("content")) texts[index] += text_of(*content);
    if (!choice.at("finish_reason").is_null()) finishes[index] = text_of(choice.at("finish_reason"));
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(finishes, (std::vector<std::string>{"length", "length", "length"}));
}

TEST_F(Answers, SeedsOfAllSixtyFourBitsReachTheRank) {
  rank_says({output_of("x", wire::FINISH_LENGTH)});
  const std::vector<std::pair<std::string, uint64_t>> seeds = {{"0", 0},
                                                               {"-1", UINT64_MAX},
                                                               {"9223372036854775807", 9223372036854775807U},
                                                               {"9223372036854775808", 9223372036854775808U},
                                                               {"18446744073709551615", UINT64_MAX}};
  for (const auto& [text, seed] : seeds) {
    chat(R"("seed":)" + text);
    EXPECT_EQ(cluster.rank().wait_generate().sampling().seed(), seed) << text;
  }
}

TEST_F(Answers, AStopStringEndsTheTextAndFreesTheSequence) {
  // Split over outputs; the rank does not know of it and goes on.
  rank_says({output_of("say E"), output_of("N"), output_of("D and more"), output_of(" and more")});
  for (const bool streamed : {false, true}) {
    std::string text;
    json::value last;
    if (streamed) {
      for (const auto& event : chat_stream(R"("stop":["never","END"],"stream_options":{"include_usage":true})")) {
        if (event.at("choices").as_array().empty()) {
          EXPECT_EQ(event.at("usage").at("completion_tokens"), 7);
          continue;
        }
        last = event.at("choices").at(0);
        if (const auto* content = last.at("delta").as_object().if_contains("content")) text += text_of(*content);
      }
    } else {
      const json::value answer = chat(R"("stop":["never","END"])");
      last = answer.at("choices").at(0);
      text = text_of(last.at("message").at("content"));
      EXPECT_EQ(answer.at("usage").at("completion_tokens"), 7);  // up to and with the token that completed it
    }
    EXPECT_EQ(text, "say ");
    EXPECT_EQ(last.at("finish_reason"), "stop");
    EXPECT_EQ(last.at("stop_reason"), "END");
    EXPECT_EQ(cluster.rank().wait_cancel(), cluster.rank().wait_generate().request_id());
  }
}

TEST_F(Answers, AStopStringCountsOnlyBehindTheLeastNumberOfTokens) {
  rank_says({output_of("ab "), output_of("ab ab")});
  const json::value answer = complete(R"("stop":"ab","min_tokens":4)");  // as vLLM: the 4th token cannot end it either
  EXPECT_EQ(answer.at("choices").at(0).at("text"), "ab ");
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 5);
  EXPECT_EQ(complete(R"("stop":"ab","min_tokens":5)").at("choices").at(0).at("text"), "ab ab ");
  EXPECT_EQ(complete(R"("stop":"ab")").at("choices").at(0).at("text"), "");
}

TEST_F(Answers, AStopStringCanBeKeptInTheText) {
  rank_says({output_of("a STOP b")});
  EXPECT_EQ(complete(R"("stop":"STOP","include_stop_str_in_output":true)").at("choices").at(0).at("text"), "a STOP");
}

TEST_F(Answers, TheBeginningOfAStopStringIsTextWhenTheAnswerEnds) {
  rank_says({output_of("a ST"), output_of_ids({kEnd}, wire::FINISH_STOP)});
  EXPECT_EQ(complete(R"("stop":"STOP")").at("choices").at(0).at("text"), "a ST");
  rank_says({output_of("a ST"), output_of("O", wire::FINISH_LENGTH)});
  std::string text;
  for (const auto& event : complete_stream(R"("stop":"STOP")")) text += text_of(event.at("choices").at(0).at("text"));
  EXPECT_EQ(text, "a STO");
}

TEST_F(Answers, AStopTokenOfTheRequestIsNamed) {
  rank_says({output_of("ab", wire::FINISH_STOP)});
  const json::value choice = complete(R"("stop_token_ids":[75])").at("choices").at(0);  // b
  EXPECT_EQ(choice.at("text"), "a");
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_EQ(choice.at("stop_reason"), 75);
}

TEST_F(Answers, ACharacterIsStreamedWhenItIsWhole) {
  std::vector<wire::Output> outputs;
  for (const char byte : "a" + kEmoji + "b") outputs.push_back(output_of(std::string(1, byte)));
  outputs.back().set_finish(wire::FINISH_LENGTH);
  rank_says(outputs);
  std::string text;
  for (const auto& event : complete_stream(R"("max_tokens":6)")) {
    const std::string piece = text_of(event.at("choices").at(0).at("text"));
    EXPECT_TRUE(piece.empty() || piece == "a" || piece == kEmoji || piece == "b") << piece;
    text += piece;
  }
  EXPECT_EQ(text, "a" + kEmoji + "b");
}

TEST_F(Answers, ACharacterThatStaysIncompleteBecomesAReplacement) {
  rank_says({output_of("a" + kEmoji.substr(0, 3), wire::FINISH_LENGTH)});
  EXPECT_EQ(text_of(complete(R"("max_tokens":4)").at("choices").at(0).at("text")), "a" + kReplacement);
  EXPECT_EQ(text_of(chat().at("choices").at(0).at("message").at("content")), "a" + kReplacement);
}

TEST_F(Answers, SpecialTokensAreSkippedUnlessAskedFor) {
  rank_says({output_of_ids({74, 7, 75}, wire::FINISH_LENGTH)});  // a <|tool|> b
  EXPECT_EQ(complete(R"("max_tokens":3)").at("choices").at(0).at("text"), "ab");
  EXPECT_EQ(complete(R"("max_tokens":3,"skip_special_tokens":false)").at("choices").at(0).at("text"), "a<|tool|>b");
}

wire::TokenLogprob logprob(int32_t id, float value, const std::vector<std::pair<int32_t, float>>& top) {
  wire::TokenLogprob result;
  result.set_token_id(id);
  result.set_logprob(value);
  for (const auto& [top_id, top_value] : top) {
    result.add_top_ids(top_id);
    result.add_top_logprobs(top_value);
  }
  return result;
}

float as_float(const json::value& value) { return static_cast<float>(value.to_number<double>()); }

TEST_F(Answers, LogProbabilitiesOfAChatComeBackBitForBit) {
  const float a = -0.1234567F, b = -1.0e-7F, c = -17.25F;
  wire::Output output = output_of("xy", wire::FINISH_LENGTH);
  *output.add_logprobs() = logprob(byte_token('x'), a, {{byte_token('x'), a}, {byte_token('z'), c}});
  *output.add_logprobs() = logprob(byte_token('y'), c, {{byte_token('\n'), b}, {byte_token(0xF0), c}});
  rank_says({output});
  const json::value choice = chat(R"("logprobs":true,"top_logprobs":2)").at("choices").at(0);
  const json::array& content = choice.at("logprobs").at("content").as_array();
  ASSERT_EQ(content.size(), 2U);
  EXPECT_EQ(content[0].at("token"), "x");
  EXPECT_EQ(as_float(content[0].at("logprob")), a);
  EXPECT_EQ(ids_of(content[0].at("bytes")), std::vector<int32_t>{'x'});
  ASSERT_EQ(content[1].at("top_logprobs").as_array().size(), 2U);
  EXPECT_EQ(content[1].at("top_logprobs").at(0).at("token"), "\n");
  EXPECT_EQ(as_float(content[1].at("top_logprobs").at(0).at("logprob")), b);
  EXPECT_EQ(text_of(content[1].at("top_logprobs").at(1).at("token")), kReplacement);
  EXPECT_EQ(ids_of(content[1].at("top_logprobs").at(1).at("bytes")), std::vector<int32_t>{0xF0});
  const wire::Generate sent = cluster.rank().wait_generate();
  EXPECT_TRUE(sent.sampling().logprobs());
  EXPECT_EQ(sent.sampling().top_logprobs(), 2U);
}

TEST_F(Answers, LogProbabilitiesOfACompletionAndOfItsPrompt) {
  const float p1 = -2.5F, p2 = -0.5F, g = -0.001F;
  wire::Output output = output_of("c", wire::FINISH_LENGTH);
  *output.add_prompt_logprobs() = logprob(byte_token('a'), p1, {{byte_token('q'), -0.1F}});
  *output.add_prompt_logprobs() = logprob(byte_token('b'), p2, {{byte_token('b'), p2}});
  *output.add_logprobs() = logprob(byte_token('c'), g, {{byte_token('c'), g}});
  rank_says({output});
  const std::string body = R"({"prompt":[58,74,75],"max_tokens":1,"logprobs":1,"echo":true)";  // Qab
  const auto check = [&](const json::value& logprobs) {
    EXPECT_EQ(json::value_to<std::vector<std::string>>(logprobs.at("tokens")),
              (std::vector<std::string>{"Q", "a", "b", "c"}));
    EXPECT_EQ(ids_of(logprobs.at("text_offset")), (std::vector<int32_t>{0, 1, 2, 3}));
    const json::array& values = logprobs.at("token_logprobs").as_array();
    ASSERT_EQ(values.size(), 4U);
    EXPECT_TRUE(values[0].is_null());
    EXPECT_EQ(as_float(values[1]), p1);
    EXPECT_EQ(as_float(values[2]), p2);
    EXPECT_EQ(as_float(values[3]), g);
    const json::array& top = logprobs.at("top_logprobs").as_array();
    ASSERT_EQ(top.size(), 4U);
    EXPECT_TRUE(top[0].is_null());
    EXPECT_EQ(as_float(top[1].at("a")), p1);  // the token itself, though it is not among the likeliest
    EXPECT_EQ(as_float(top[1].at("q")), -0.1F);
    EXPECT_EQ(top[2].as_object().size(), 1U);
  };
  const json::value choice = post("/v1/completions", body + "}").at("choices").at(0);
  EXPECT_EQ(choice.at("text"), "Qabc");
  check(choice.at("logprobs"));
  EXPECT_TRUE(cluster.rank().wait_generate().sampling().prompt_logprobs());

  // The same, put together from a stream.
  json::object joined;
  for (const char* name : {"tokens", "text_offset", "token_logprobs", "top_logprobs"}) joined[name] = json::array();
  std::string text;
  for (const auto& event : stream("/v1/completions", body + R"(,"stream":true})")) {
    const json::value& part = event.at("choices").at(0);
    text += text_of(part.at("text"));
    if (part.at("logprobs").is_null()) continue;
    for (auto& [name, list] : joined)
      for (const auto& item : part.at("logprobs").at(name).as_array()) list.as_array().push_back(item);
  }
  EXPECT_EQ(text, "Qabc");
  check(joined);
}

TEST_F(Answers, ThePromptsLogProbabilitiesAloneNeedNoToken) {
  wire::Output output = output_of("", wire::FINISH_LENGTH);
  *output.add_prompt_logprobs() = logprob(byte_token('a'), -2.0F, {{byte_token('a'), -2.0F}});
  rank_says({output});
  const json::value answer = post("/v1/completions", R"({"prompt":"Qa","max_tokens":0,"logprobs":1,"echo":true})");
  const json::value& choice = answer.at("choices").at(0);
  EXPECT_EQ(choice.at("text"), "Qa");
  EXPECT_EQ(choice.at("finish_reason"), "length");
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 0);
  EXPECT_EQ(cluster.rank().wait_generate().max_tokens(), 0U);
}

TEST_F(Answers, AStopStringCutsTheLogProbabilitiesToItsTokens) {
  wire::Output output = output_of("aXYb");
  for (const char c : {'a', 'X', 'Y', 'b'})
    *output.add_logprobs() = logprob(byte_token(static_cast<unsigned char>(c)), -1.0F, {});
  rank_says({output});
  const json::value choice = complete(R"("stop":"XY","logprobs":0,"max_tokens":9)").at("choices").at(0);
  EXPECT_EQ(choice.at("text"), "a");
  EXPECT_EQ(choice.at("logprobs").at("tokens").as_array().size(), 3U);
}

TEST_F(Answers, TokenIdsAreReturnedWhenAskedFor) {
  rank_says({output_of("ab"), output_of_ids({76, kEnd}, wire::FINISH_STOP)});
  const std::vector<int32_t> generated = {74, 75, 76, kEnd};
  const json::value whole = complete(R"("return_token_ids":true)").at("choices").at(0);
  EXPECT_EQ(ids_of(whole.at("prompt_token_ids")), std::vector<int32_t>{58});
  EXPECT_EQ(ids_of(whole.at("token_ids")), generated);
  const json::value chat_whole = chat(R"("return_token_ids":true)").at("choices").at(0);
  EXPECT_EQ(ids_of(chat_whole.at("prompt_token_ids")), kChatPrompt);
  EXPECT_EQ(ids_of(chat_whole.at("token_ids")), generated);
  EXPECT_FALSE(chat().at("choices").at(0).as_object().contains("token_ids"));

  const auto check = [&](const std::vector<json::value>& events, const std::vector<int32_t>& prompt) {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < events.size(); ++i) {
      const json::object& choice = events[i].at("choices").at(0).as_object();
      for (const int32_t id : ids_of(choice.at("token_ids"))) ids.push_back(id);
      EXPECT_EQ(choice.contains("prompt_token_ids"), i == 0);
    }
    EXPECT_EQ(ids_of(events[0].at("choices").at(0).at("prompt_token_ids")), prompt);
    EXPECT_EQ(ids, generated);
  };
  check(complete_stream(R"("return_token_ids":true)"), {58});
  check(chat_stream(R"("return_token_ids":true)"), kChatPrompt);
}

TEST_F(Answers, NulsAndStrangeTextSurviveBothWays) {
  rank_says({output_of(std::string("a\0b\x7F\"\\\n", 7), wire::FINISH_LENGTH)});
  const json::value answer = post("/v1/completions", R"({"prompt":"\u0000\ud83d\ude00\"","max_tokens":7})");
  EXPECT_EQ(text_of(answer.at("choices").at(0).at("text")), std::string("a\0b\x7F\"\\\n", 7));
  const wire::Generate sent = cluster.rank().wait_generate();
  EXPECT_EQ(std::vector<int32_t>(sent.prompt_token_ids().begin(), sent.prompt_token_ids().end()).front(),
            byte_token(0));
}

}  // namespace
}  // namespace switchyard::frontend
