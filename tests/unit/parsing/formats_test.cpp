// Goal: formats are found by name and by what chat templates contain, and configuration offers exactly those there are.
#include "frontend/parsing/formats.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/config/schema.h"

namespace switchyard::parsing {
namespace {

std::string call_name(std::string_view chat_template, std::string_view architecture = "") {
  const CallFormat* format = detect_call_format(chat_template, architecture);
  return format == nullptr ? "none" : std::string(format->name);
}
std::string reasoning_name(std::string_view chat_template, std::string_view architecture = "") {
  const ReasoningFormat* format = detect_reasoning_format(chat_template, architecture);
  return format == nullptr ? "none" : std::string(format->name);
}

TEST(Formats, ConfigurationOffersThemAll) {
  const auto check = [](std::string_view key, const auto& formats) {
    std::vector<std::string_view> names = {"auto", "none"};
    for (const auto& format : formats) names.push_back(format.name);
    EXPECT_EQ(config::find_key("frontend", key)->check.choices, names);
  };
  check("tool_call_parser", call_formats());
  check("reasoning_parser", reasoning_formats());
}

// The strings are those of the published templates, as far as they matter.
TEST(Formats, AreToldByTheChatTemplate) {
  EXPECT_EQ(call_name("{{ messages }}"), "none");
  EXPECT_EQ(call_name("'<tool_call>\\n{\"name\": \"'"), "hermes");
  EXPECT_EQ(call_name("'<tool_call>\\n<function=' + name"), "qwen3_coder");
  EXPECT_EQ(call_name("<tool_call>{function-name}\n<arg_key>"), "glm45");
  EXPECT_EQ(call_name("\"[TOOL_CALLS][\""), "mistral");
  EXPECT_EQ(call_name("'<｜tool▁call▁begin｜>' + type + '<｜tool▁sep｜>' + name + '\\n' + '```json'"), "deepseek_v3");
  EXPECT_EQ(call_name("'<｜tool▁call▁begin｜>' + name + '<｜tool▁sep｜>'"), "deepseek_v31");
  EXPECT_EQ(call_name("dsml_token = '｜DSML｜' 'function_calls>'"), "deepseek_v32");
  EXPECT_EQ(call_name("dsml_token = '｜DSML｜' 'tool_calls>'"), "deepseek_v4");
  EXPECT_EQ(call_name("<|start|>assistant<|channel|>final"), "openai");
  EXPECT_EQ(call_name("a template of one's own", "GptOssForCausalLM"), "openai");

  EXPECT_EQ(reasoning_name("{{ messages }}"), "none");
  EXPECT_EQ(reasoning_name("<|im_start|> '</think>' in content"), "qwen3");
  EXPECT_EQ(reasoning_name("'<｜Assistant｜>' content.split('</think>')"), "deepseek_r1");
  EXPECT_EQ(reasoning_name("'<｜Assistant｜>' + ('<think>' if thinking else '</think>')"), "deepseek_v3");
  EXPECT_EQ(reasoning_name("<arg_key> <think></think>"), "glm45");
  EXPECT_EQ(reasoning_name("[THINK] [/THINK]"), "mistral");
  EXPECT_EQ(reasoning_name("<|start|>assistant<|channel|>final"), "openai_gptoss");
}

TEST(Formats, NameTheMarkersThatTheyNeed) {
  const CallFormat& v31 = *find_call_format("deepseek_v31");
  EXPECT_TRUE(needs_marker(v31, "<｜tool▁sep｜>"));
  EXPECT_TRUE(needs_marker(*find_call_format("deepseek_v3"), "<｜tool▁call▁end｜>"));  // behind ``` in one literal
  EXPECT_TRUE(needs_marker(*find_call_format("deepseek_v32"), "｜DSML｜"));
  EXPECT_TRUE(needs_marker(*find_call_format("openai"), "<|call|>"));
  EXPECT_FALSE(needs_marker(v31, "<｜end▁of▁sentence｜>"));
  EXPECT_FALSE(needs_marker(v31, "<think>"));
  EXPECT_TRUE(needs_marker(*find_reasoning_format("qwen3"), "</think>"));
  EXPECT_FALSE(needs_marker(*find_reasoning_format("qwen3"), "<|im_end|>"));
}

TEST(Formats, OthersAreNotFound) {
  EXPECT_EQ(find_call_format("none"), nullptr);
  EXPECT_EQ(find_reasoning_format(""), nullptr);
  EXPECT_EQ(find_call_format("hermes")->name, "hermes");
}

}  // namespace
}  // namespace switchyard::parsing
