// Goal: the calls that a published template writes into a prompt are the calls that its format reads. Method: each
// template of tests/data/text renders a conversation with calls; what stands behind the question is parsed with the
// format that the template is told to have.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <iterator>

#include "common/text/chat_template.h"
#include "frontend/parsing/message.h"
#include "frontend/parsing/parser.h"
#include "frontend/requests/chat_messages.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

const char* const kTools =
    R"([{"type":"function","function":{"name":"get_weather","description":"d","parameters":{"type":"object",
  "properties":{"city":{"type":"string"},"days":{"type":"integer"},"metric":{"type":"boolean"},"tags":{"type":"array"},
    "note":{"type":"string"}},"required":["city"]}}},
  {"type":"function","function":{"name":"get_time","description":"d","parameters":{"type":"object","properties":{}}}}])";
const char* const kArguments =
    R"({"city":"Zürich","days":3,"metric":true,"tags":["a",{"b":-1.5}],"note":"two\n\"lines\" </b> {"})";
const std::string kQuestion = "The question?";

class WrittenCalls : public testing::TestWithParam<std::string> {};

TEST_P(WrittenCalls, AreReadBack) {
  const std::string file = SWITCHYARD_TEST_DATA "/text/chat_templates/" + GetParam() + ".jinja";
  std::ifstream in(file);
  const std::string source(std::istreambuf_iterator<char>(in), {});
  const auto chat_template = text::ChatTemplate::parse(source);
  ASSERT_TRUE(chat_template.ok()) << file;
  const Render render = [&](const json::value& messages, const json::value& tools) {
    return (*chat_template)->render(messages, tools, {{"bos_token", ""}, {"eos_token", ""}});
  };
  const auto call = [](const char* name, const char* arguments) {
    return json::object{
        {"id", "abcdefghi"}, {"type", "function"}, {"function", {{"name", name}, {"arguments", arguments}}}};
  };
  json::array calls = {call("get_weather", kArguments), call("get_time", "{}")};
  const parsing::CallFormat* format = parsing::detect_call_format(source, "");
  ASSERT_NE(format, nullptr);
  if (format->grammar == nullptr) calls.pop_back();  // harmony's template writes one
  json::value messages = {{{"role", "user"}, {"content", kQuestion}},
                          {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", calls}}};
  for (size_t i = 0; i < 2; ++i) ASSERT_FALSE(check_message(messages.get_array()[i], i));
  shape_messages(messages, form_of_template(render));
  const auto prompt = render(messages, json::parse(kTools));
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  const size_t behind = prompt->rfind(kQuestion);
  ASSERT_NE(behind, std::string::npos);

  auto options = std::make_shared<parsing::ParserOptions>();
  options->calls = format;
  options->call_mode = parsing::CallMode::kWritten;
  options->types = parsing::ParameterTypes(json::parse(kTools));
  parsing::Parser parser(options);
  parsing::Message message;
  for (const auto& event : parser.push(std::string_view(*prompt).substr(behind + kQuestion.size()))) message.add(event);
  for (const auto& event : parser.finish()) message.add(event);

  ASSERT_EQ(message.calls.size(), calls.size()) << *prompt;
  EXPECT_EQ(message.calls[0].name, "get_weather");
  EXPECT_EQ(json::parse(message.calls[0].arguments), json::parse(kArguments)) << message.calls[0].arguments;
  if (calls.size() > 1) {
    EXPECT_EQ(message.calls[1].name, "get_time");
    EXPECT_EQ(message.calls[1].arguments, "{}");
  }
}

INSTANTIATE_TEST_SUITE_P(Templates, WrittenCalls,
                         testing::Values("GLM-4.6", "Qwen-QwQ-32B", "Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B",
                                         "Qwen3-Coder", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
                                         "deepseek-ai-DeepSeek-V3.1", "deepseek-ai-DeepSeek-V3.2",
                                         "deepseek-ai-DeepSeek-V4", "mistralai-Mistral-Nemo-Instruct-2407",
                                         "openai-gpt-oss-120b"));

}  // namespace
}  // namespace switchyard::frontend
