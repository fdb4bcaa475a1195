// What is accepted, with which values, and which field a refusal names.
#include "frontend/requests/request_parsing.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "frontend/requests/request_fields.h"

namespace switchyard::frontend {
namespace {

ModelFacts facts() {
  ModelFacts model;
  model.name = "tiny";
  model.vocab_size = 100;
  model.max_model_len = 50;
  model.eos_token_ids = {6, 1};
  model.temperature = 0.6;
  model.top_p = 0.95;
  return model;
}

// A chat request with fields put behind a valid beginning.
std::optional<ApiError> chat(const std::string& fields, ChatRequest& request) {
  boost::json::object body;
  const std::string text =
      R"({"model":"tiny","messages":[{"role":"user","content":"hi"}])" + (fields.empty() ? "" : "," + fields) + "}";
  if (auto error = parse_object(text, body)) return error;
  return parse_chat(body, facts(), request);
}

std::optional<ApiError> completion(const std::string& fields, CompletionRequest& request) {
  boost::json::object body;
  if (auto error = parse_object("{" + fields + "}", body)) return error;
  return parse_completion(body, facts(), request);
}

struct Refusal {
  const char* fields;
  const char* param;
};

TEST(RequestParsing, ARefusalOfAChatNamesTheField) {
  const std::vector<Refusal> refusals = {
      {R"("temperature":2.1)", "temperature"},
      {R"("temperature":-0.1)", "temperature"},
      {R"("temperature":"hot")", "temperature"},
      {R"("temperature":true)", "temperature"},
      {R"("top_p":0)", "top_p"},
      {R"("top_p":1.01)", "top_p"},
      {R"("top_k":-2)", "top_k"},
      {R"("top_k":1.5)", "top_k"},
      {R"("min_p":-0.5)", "min_p"},
      {R"("min_p":2)", "min_p"},
      {R"("presence_penalty":3)", "presence_penalty"},
      {R"("frequency_penalty":-3)", "frequency_penalty"},
      {R"("repetition_penalty":0)", "repetition_penalty"},
      {R"("n":0)", "n"},
      {R"("n":129)", "n"},
      {R"("n":"1")", "n"},
      {R"("seed":1.5)", "seed"},
      {R"("stop":"")", "stop"},
      {R"("stop":[1])", "stop"},
      {R"("stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"])", "stop"},
      {R"("stop_token_ids":[100])", "stop_token_ids"},
      {R"("stop_token_ids":7)", "stop_token_ids"},
      {R"("logit_bias":{"100":1})", "logit_bias"},
      {R"("logit_bias":{"x":1})", "logit_bias"},
      {R"("logit_bias":{"5":101})", "logit_bias"},
      {R"("logit_bias":[1])", "logit_bias"},
      {R"("max_tokens":0)", "max_tokens"},
      {R"("max_completion_tokens":-1)", "max_completion_tokens"},
      {R"("min_tokens":9,"max_tokens":8)", "min_tokens"},
      {R"("top_logprobs":3)", "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
      {R"("logprobs":3)", "logprobs"},
      {R"("stream":"yes")", "stream"},
      {R"("stream_options":{"include_usage":true})", "stream_options"},
      {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options"},
      {R"("messages":"hi")", "messages"},
      {R"("messages":[])", "messages"},
      {R"("messages":[7])", "messages[0]"},
      {R"("messages":[{"content":"x"}])", "messages[0].role"},
      {R"("messages":[{"role":"user"}])", "messages[0].content"},
      {R"("messages":[{"role":"user","content":7}])", "messages[0].content"},
      {R"("messages":[{"role":"user","content":[{"type":"image_url"}]}])", "messages[0].content"},
      {R"("tools":{})", "tools"},
      {R"("tools":[{"type":"function"}])", "tools[0].function"},
      {R"("messages":[{"role":"assistant","tool_calls":[{"function":{}}]}])",
       "messages[0].tool_calls[0].function.name"},
      {R"("parallel_tool_calls":"no")", "parallel_tool_calls"},
      {R"("include_reasoning":1)", "include_reasoning"},
      {R"("reasoning_effort":3)", "reasoning_effort"},
      {R"("chat_template_kwargs":[])", "chat_template_kwargs"},
      {R"("chat_template_kwargs":{"messages":[]})", "chat_template_kwargs"},
      {R"("chat_template_kwargs":{"tools":[]})", "chat_template_kwargs"},
      {R"("tool_choice":"required")", "tool_choice"},
      {R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"always")", "tool_choice"},
      {R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}})",
       "tool_choice"},
      {R"("tools":[{"type":"function"}],"tool_choice":"required")", "tools[0].function"},
      {R"("structured_outputs":{"regex":7})", "structured_outputs.regex"},
      {R"("structured_outputs":{"structural_tag":"a"})", "structured_outputs"},
      {R"("structured_outputs":{})", "structured_outputs"},
      {R"("structured_outputs":{"regex":"a","choice":["b"]})", "structured_outputs"},
      {R"("response_format":{"type":"json_object"},"guided_regex":"a")", "guided_regex"},
      {R"("response_format":{"type":"xml"})", "response_format"},
      {R"("response_format":{"type":"json_schema"})", "response_format"},
      {R"("model":"other")", "model"},
      {R"("priority":"high")", "priority"},
  };
  for (const Refusal& refusal : refusals) {
    ChatRequest request;
    const auto error = chat(refusal.fields, request);
    ASSERT_TRUE(error) << refusal.fields;
    EXPECT_EQ(error->param, refusal.param) << refusal.fields << ": " << error->message;
    EXPECT_EQ(error->status, std::string(refusal.param) == "model" ? 404 : 400) << refusal.fields;
    EXPECT_FALSE(error->message.empty());
  }
}

TEST(RequestParsing, ARefusalOfACompletionNamesTheField) {
  const std::vector<Refusal> refusals = {
      {R"("max_tokens":3)", "prompt"},
      {R"("prompt":7)", "prompt"},
      {R"("prompt":[])", "prompt"},
      {R"("prompt":[1,"a"])", "prompt"},
      {R"("prompt":["a",1])", "prompt"},
      {R"("prompt":["a",[1]])", "prompt"},
      {R"("prompt":[[1],[100]])", "prompt"},
      {R"("prompt":[-1])", "prompt"},
      {R"("prompt":[4294967297])", "prompt"},
      {R"("prompt":"a","logprobs":21)", "logprobs"},
      {R"("prompt":"a","logprobs":-1)", "logprobs"},
      {R"("prompt":"a","logprobs":true)", "logprobs"},
      {R"("prompt":"a","max_tokens":0)", "max_tokens"},
      {R"("prompt":"a","suffix":"b")", "suffix"},
      {R"("prompt":"a","best_of":2)", "best_of"},
      {R"("prompt":"a","echo":1)", "echo"},
      {R"("prompt":"a","guided_choice":"b")", "guided_choice"},
      {R"("prompt":"a","allowed_token_ids":[1])", "allowed_token_ids"},
      {R"("prompt":"a","prompt_logprobs":1)", "prompt_logprobs"},
      {R"("prompt":"a","use_beam_search":true)", "use_beam_search"},
  };
  for (const Refusal& refusal : refusals) {
    CompletionRequest request;
    const auto error = completion(refusal.fields, request);
    ASSERT_TRUE(error) << refusal.fields;
    EXPECT_EQ(error->param, refusal.param) << refusal.fields << ": " << error->message;
  }
}

TEST(RequestParsing, GapsAreFilledFromTheModelsGenerationConfig) {
  ChatRequest request;
  ASSERT_FALSE(
      chat(R"("temperature":null,"unknown_field":[{}],"bad_words":[],"use_beam_search":false,"top_k":-1)", request));
  EXPECT_FLOAT_EQ(request.sampling.temperature(), 0.6F);
  EXPECT_FLOAT_EQ(request.sampling.top_p(), 0.95F);
  EXPECT_EQ(request.sampling.top_k(), 0);
  EXPECT_FLOAT_EQ(request.sampling.repetition_penalty(), 1.0F);
  EXPECT_EQ(request.sampling.stop_token_ids_size(), 2);
  EXPECT_FALSE(request.max_tokens);
  EXPECT_EQ(request.n, 1U);
}

TEST(RequestParsing, ValuesArriveAsTheyWereGiven) {
  ChatRequest request;
  ASSERT_FALSE(chat(R"("temperature":0,"top_p":0.5,"top_k":7,"min_p":0.1,"presence_penalty":1,"frequency_penalty":-1,
      "repetition_penalty":1.5,"seed":-3,"n":2,"stop":["a","b"],"stop_token_ids":[9],"ignore_eos":true,"max_tokens":5,
      "max_completion_tokens":6.0,"min_tokens":2,"logit_bias":{"3":-100,"99":2.5},"logprobs":true,"top_logprobs":4,"priority":-2,
      "stream":true,"stream_options":{"include_usage":true},"return_token_ids":true)",
                    request));
  const wire::Sampling& s = request.sampling;
  EXPECT_EQ(s.temperature(), 0.0F);
  EXPECT_EQ(s.top_p(), 0.5F);
  EXPECT_EQ(s.top_k(), 7);
  EXPECT_EQ(s.min_p(), 0.1F);
  EXPECT_EQ(s.presence_penalty(), 1.0F);
  EXPECT_EQ(s.frequency_penalty(), -1.0F);
  EXPECT_EQ(s.repetition_penalty(), 1.5F);
  EXPECT_EQ(request.seed, static_cast<uint64_t>(-3));
  EXPECT_EQ(request.n, 2U);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(s.stop_token_ids_size(), 1);
  EXPECT_EQ(s.stop_token_ids(0), 9);
  EXPECT_EQ(request.max_tokens, 6U);
  EXPECT_EQ(s.min_tokens(), 2U);
  ASSERT_EQ(s.logit_bias_size(), 2);
  EXPECT_TRUE(s.logprobs());
  EXPECT_EQ(s.top_logprobs(), 4U);
  EXPECT_EQ(request.priority, -2);
  EXPECT_TRUE(request.include_usage);
}

TEST(RequestParsing, PromptsComeInFourForms) {
  const std::vector<std::pair<const char*, size_t>> forms = {
      {R"("prompt":"a")", 1}, {R"("prompt":["a","b"])", 2}, {R"("prompt":[1,2,3])", 1}, {R"("prompt":[[1,2],[3]])", 2}};
  for (const auto& [fields, count] : forms) {
    CompletionRequest request;
    ASSERT_FALSE(completion(fields, request)) << fields;
    EXPECT_EQ(request.prompts.size(), count) << fields;
  }
}

TEST(RequestParsing, TextPartsBecomeTheLinesOfOneText) {
  ChatRequest request;
  ASSERT_FALSE(
      chat(R"("messages":[{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])",
           request));
  EXPECT_EQ(request.messages.at(0).at("content").as_string(), "a\nb");
  EXPECT_EQ(request.messages.at(0).at("role").as_string(), "developer");
}

TEST(RequestParsing, ReasoningEffortIsTheTemplatesUnlessItHasOne) {
  ChatRequest request, both;
  ASSERT_FALSE(chat(R"("reasoning_effort":"high")", request));
  EXPECT_EQ(request.chat_template_kwargs.at("reasoning_effort"), "high");
  ASSERT_FALSE(chat(R"("reasoning_effort":"high","chat_template_kwargs":{"reasoning_effort":"low"})", both));
  EXPECT_EQ(both.chat_template_kwargs.at("reasoning_effort"), "low");
}

TEST(RequestParsing, ToolChoiceNoneLeavesTheToolsOut) {
  ChatRequest with, without;
  ASSERT_FALSE(chat(R"("tools":[{"type":"function","function":{"name":"f"}}])", with));
  ASSERT_FALSE(chat(R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none")", without));
  EXPECT_TRUE(with.tools.is_array());
  EXPECT_TRUE(without.tools.is_null());
  ChatRequest none_given;
  const auto error = chat(R"("tool_choice":"auto")", none_given);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->param, "tool_choice");
}

TEST(RequestParsing, AConstraintGoesOnTheWire) {
  const auto constraint = [](const std::string& fields) {
    ChatRequest request;
    const auto error = chat(fields, request);
    EXPECT_FALSE(error) << fields << ": " << error->message;
    return request.sampling.constraint();
  };
  EXPECT_EQ(constraint("").kind(), wire::CONSTRAINT_NONE);
  EXPECT_EQ(constraint(R"("response_format":{"type":"text"})").kind(), wire::CONSTRAINT_NONE);
  EXPECT_EQ(constraint(R"("response_format":{"type":"json_object"})").kind(), wire::CONSTRAINT_JSON_OBJECT);
  const auto schema =
      constraint(R"("response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"null"}}})");
  EXPECT_EQ(schema.kind(), wire::CONSTRAINT_JSON_SCHEMA);
  EXPECT_EQ(schema.text(), R"({"type":"null"})");
  EXPECT_FALSE(schema.open_objects());
  EXPECT_TRUE(constraint(R"("response_format":{"type":"json_schema","json_schema":{"schema":{},"strict":false}})")
                  .open_objects());
  EXPECT_EQ(constraint(R"("structured_outputs":{"regex":"a+"})").text(), "a+");
  EXPECT_EQ(constraint(R"("structured_outputs":{"choice":["x","y"]})").kind(), wire::CONSTRAINT_CHOICE);
  EXPECT_EQ(constraint(R"("structured_outputs":{"json_object":true})").kind(), wire::CONSTRAINT_JSON_OBJECT);
  EXPECT_EQ(constraint(R"("guided_choice":["x","y"])").text(), R"(["x","y"])");
  EXPECT_EQ(constraint(R"("guided_json":{"type":"null"})").text(), R"({"type":"null"})");
  EXPECT_EQ(constraint(R"("guided_grammar":"root ::= \"a\"")").kind(), wire::CONSTRAINT_GRAMMAR);
}

TEST(RequestParsing, AToolChoiceIsASchemaOfCalls) {
  const std::string tools =
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"$ref":"#/$defs/d"}},"$defs":{"d":{"type":"null"}}}}},
                  {"type":"function","function":{"name":"g"}}])";
  ChatRequest any, named;
  ASSERT_FALSE(chat(tools + R"(,"tool_choice":"required")", any));
  EXPECT_EQ(any.sampling.constraint().kind(), wire::CONSTRAINT_JSON_SCHEMA);
  const auto schema = boost::json::parse(any.sampling.constraint().text());
  EXPECT_EQ(schema.at_pointer("/items/anyOf/1/properties/name/const").as_string(), "g");
  EXPECT_EQ(schema.at_pointer("/$defs/d/type").as_string(), "null");
  ASSERT_FALSE(chat(tools + R"(,"tool_choice":{"type":"function","function":{"name":"g"}})", named));
  EXPECT_TRUE(any.must_call);
  EXPECT_EQ(any.must_call_function, "");
  EXPECT_EQ(named.must_call_function, "g");
  EXPECT_EQ(named.sampling.constraint().text(), R"({"type":"object","properties":{}})");
}

TEST(RequestParsing, AModelWithoutATokenizerRefusesConstraints) {
  ModelFacts model = facts();
  model.has_tokenizer = false;
  boost::json::object body;
  ASSERT_FALSE(parse_object(R"({"prompt":[1],"response_format":{"type":"json_object"}})", body));
  CompletionRequest request;
  const auto error = parse_completion(body, model, request);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->param, "response_format");
}

TEST(RequestParsing, TheContextBoundsPromptAndAnswer) {
  GenerationRequest request;
  uint32_t max_tokens = 0;
  EXPECT_FALSE(resolve_max_tokens(request, facts(), 10, "prompt", max_tokens));
  EXPECT_EQ(max_tokens, 40U);
  request.max_tokens = 40;
  EXPECT_FALSE(resolve_max_tokens(request, facts(), 10, "prompt", max_tokens));
  request.max_tokens = 41;
  const auto too_many = resolve_max_tokens(request, facts(), 10, "prompt", max_tokens);
  ASSERT_TRUE(too_many);
  EXPECT_EQ(too_many->param, "max_tokens");
  EXPECT_EQ(too_many->code, "context_length_exceeded");
  request.max_tokens = 1;
  const auto too_long = resolve_max_tokens(request, facts(), 50, "messages", max_tokens);
  ASSERT_TRUE(too_long);
  EXPECT_EQ(too_long->param, "messages");
  request.max_tokens = 0;  // log-probabilities of the prompt alone
  EXPECT_FALSE(resolve_max_tokens(request, facts(), 50, "prompt", max_tokens));
  EXPECT_TRUE(resolve_max_tokens(request, facts(), 0, "prompt", max_tokens));
}

// pydantic, by which vLLM reads its requests, takes a float without a fraction for an integer.
TEST(RequestParsing, AnIntegerMayBeWrittenAsAFloat) {
  for (const char* sixteen : {"16", "16.0", "1.6e1", "160e-1", "16.000000000000000000000000"}) {
    ChatRequest request;
    const auto error =
        chat(fmt::format(R"("max_tokens":{0},"min_tokens":{0},"top_k":{0},"seed":{0},"n":{0},"priority":{0},
        "logprobs":true,"top_logprobs":{0},"stop_token_ids":[{0}])",
                         sixteen),
             request);
    ASSERT_FALSE(error) << sixteen << error->message;
    EXPECT_EQ(request.max_tokens, 16U);
    EXPECT_EQ(request.min_tokens, 16U);
    EXPECT_EQ(request.sampling.top_k(), 16);
    EXPECT_EQ(request.seed, 16U);
    EXPECT_EQ(request.n, 16U);
    EXPECT_EQ(request.priority, 16);
    EXPECT_EQ(request.sampling.top_logprobs(), 16U);
    EXPECT_EQ(request.stop_token_ids, std::vector<int32_t>{16});
  }
  for (const char* name : {"max_tokens", "max_completion_tokens", "min_tokens", "top_k", "seed", "n", "priority"}) {
    for (const char* number : {"16.5", "1e-1", "16.000000000001"}) {
      ChatRequest request;
      const auto error = chat(fmt::format(R"("{}":{})", name, number), request);
      ASSERT_TRUE(error) << name << number;
      EXPECT_EQ(error->param, name);
      EXPECT_EQ(error->code, "invalid_type") << name << number;
    }
  }
}

TEST(RequestParsing, NumbersOfAnySizeAreRefusedByTheFieldThatTheyStandIn) {
  const std::string digits = "1" + std::string(999, '0');
  for (const std::string& number :
       {std::string("1e400"), digits, "-" + digits, digits + "." + digits, digits + "e400"}) {
    for (const char* name : {"max_tokens", "n", "seed", "top_k", "temperature", "top_p", "presence_penalty",
                             "repetition_penalty", "priority"}) {
      ChatRequest request;
      const auto error = chat(fmt::format(R"("{}":{})", name, number), request);
      ASSERT_TRUE(error) << name << number;
      EXPECT_EQ(error->status, 400);
      EXPECT_EQ(error->param, name) << error->message;
    }
    ChatRequest request;
    const auto bias = chat(fmt::format(R"("logit_bias":{{"5":{}}})", number), request);
    ASSERT_TRUE(bias) << number;
    EXPECT_EQ(bias->param, "logit_bias");
  }
  // What rounds to a number that is fine is fine.
  ChatRequest request;
  ASSERT_FALSE(chat(R"("temperature":0.)" + digits + R"(,"top_p":1e-0)", request));
  EXPECT_FLOAT_EQ(request.sampling.temperature(), 0.1F);
}

TEST(RequestParsing, OfAKeyThatComesTwiceTheLastValueCounts) {
  ChatRequest request;
  ASSERT_FALSE(chat(R"("max_tokens":"x","max_tokens":3,"temperature":9,"temperature":0.5)", request));
  EXPECT_EQ(request.max_tokens, 3U);
  EXPECT_FLOAT_EQ(request.sampling.temperature(), 0.5F);
  const auto error = chat(R"("max_tokens":3,"max_tokens":"x")", request);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->param, "max_tokens");
  ASSERT_FALSE(chat(R"("messages":7,"messages":[{"role":"user","role":"system","content":"last"}])", request));
  EXPECT_EQ(request.messages.at(0).at("role"), "system");
}

TEST(RequestParsing, JsonIsTakenToADepthOfAHundred) {
  const auto nested = [](size_t depth) {
    return R"({"x":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  boost::json::object body;
  EXPECT_FALSE(parse_object(nested(100), body));
  const auto error = parse_object(nested(101), body);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "invalid_json");
}

TEST(RequestParsing, OnlyAnObjectOfSaneDepthAndEncodingIsABody) {
  boost::json::object body;
  for (const std::string& text : {std::string("{"), std::string(""), std::string("[]"), std::string("{\"a\":1}x"),
                                  std::string("{\"a\":\"\xFF\"}"), std::string("{\"a\":NaN}"),
                                  "{\"a\":" + std::string(200000, '[') + std::string(200000, ']') + "}"}) {
    const auto error = parse_object(text, body);
    ASSERT_TRUE(error) << text.substr(0, 20);
    EXPECT_EQ(error->status, 400);
    EXPECT_EQ(error->code, "invalid_json");
  }
}

}  // namespace
}  // namespace switchyard::frontend
