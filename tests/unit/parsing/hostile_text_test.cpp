// Goal: no text makes a parser slow, large or silent about what the model wrote. Method: a megabyte of what each format
// finds hardest, in small pieces; the work is bounded by ctest's own time limit, which quadratic time would exceed a
// thousandfold.
#include <gtest/gtest.h>

#include "tests/unit/parsing/support.h"

namespace switchyard::parsing {
namespace {

constexpr size_t kBytes = 1 << 20;

std::string repeated(std::string_view unit) {
  std::string text;
  while (text.size() < kBytes) text += unit;
  return text;
}

size_t bytes_in(const std::vector<Event>& events) {
  size_t bytes = 0;
  for (const Event& event : events) bytes += event.kind == Event::Kind::kCallBroken ? event.unsent : event.text.size();
  return bytes;
}

void expect_all_text(const std::string& calls, const std::string& reasoning, const std::string& text) {
  Parser parser(options_for(calls, reasoning));
  size_t bytes = 0;
  for (size_t at = 0; at < text.size(); at += 7) bytes += bytes_in(parser.push(std::string_view(text).substr(at, 7)));
  bytes += bytes_in(parser.finish());
  EXPECT_EQ(bytes, text.size()) << calls << " " << text.substr(0, 40);
}

TEST(HostileText, AMegabyteOfMarkersAndTheirBeginningsIsText) {
  for (const CallFormat& format : call_formats()) {
    if (format.grammar == nullptr) continue;
    const std::string calls(format.name);
    expect_all_text(calls, "qwen3", repeated("<"));
    expect_all_text(calls, "", repeated("<|"));
    expect_all_text(calls, "", repeated("[TOOL_CALLS"));
    for (const auto& opening : format.grammar->openings) {
      expect_all_text(calls, "", repeated(opening.literal));
      expect_all_text(calls, "", repeated(opening.literal.substr(0, opening.literal.size() - 1)));
      expect_all_text(calls, "", std::string(opening.literal) + repeated("x"));
      expect_all_text(calls, "", std::string(opening.literal) + repeated(" "));
    }
  }
}

TEST(HostileText, AMegabyteOfWhiteSpaceOrTagsAroundReasoningIsRead) {
  expect_all_text("hermes", "qwen3", repeated(" \n"));
  const std::string text = "<think>" + repeated("<think></thin") + "</think>";
  EXPECT_EQ(message_of(options_for("", "qwen3"), text).reasoning.size(), text.size() - 15);
  EXPECT_EQ(message_of(options_for("", "qwen3"), "<think>" + repeated("\n") + "x").reasoning, "x");
}

TEST(HostileText, AMegabyteOfHarmonyMarkersIsRead) {
  for (const std::string_view marker : {"<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>"}) {
    Parser parser(options_for("openai", "openai_gptoss"));
    const std::string text = repeated(marker);
    EXPECT_LE(bytes_in(parser.push(text)), text.size());
    parser.finish();
  }
}

TEST(HostileText, AnEndlessCallIsGivenBackWhenTheAnswerEnds) {
  const std::string head = "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"";
  const Message message = message_of(options_for("hermes", ""), head + repeated("x"));
  EXPECT_TRUE(message.calls.empty());
  EXPECT_EQ(message.content.size(), head.size() + kBytes);
  const std::string deep = "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": " + repeated("[");
  EXPECT_EQ(message_of(options_for("hermes", ""), deep).content, deep);
}

TEST(HostileText, AHundredThousandCallsAreRead) {
  constexpr size_t kCalls = 100000;
  std::string text = "<｜tool▁calls▁begin｜>";
  for (size_t i = 0; i < kCalls; ++i) text += "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"i\":1}<｜tool▁call▁end｜>";
  const Message message = message_of(options_for("deepseek_v31", ""), text);
  ASSERT_EQ(message.calls.size(), kCalls);
  EXPECT_EQ(message.calls.back().arguments, "{\"i\":1}");
  EXPECT_EQ(message.content, "");
}

}  // namespace
}  // namespace switchyard::parsing
