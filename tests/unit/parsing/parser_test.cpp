// Goal: what each format's texts mean, whatever pieces they come in, and that malformed calls are left as text. Method:
// samples written after the published forms, with what they mean beside them; every split of every one of them.
#include "frontend/parsing/parser.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/parsing/support.h"

namespace switchyard::parsing {
namespace {

using Kind = Event::Kind;

class ParserSamples : public testing::TestWithParam<Sample> {};

TEST_P(ParserSamples, MeanWhatTheyWereWrittenToMean) {
  const Sample& sample = GetParam();
  EXPECT_EQ(to_text(message_of(options_for(sample), sample.text)), to_text(sample.expected));
}

TEST_P(ParserSamples, GiveTheSameEventsAtEverySplit) {
  const Sample& sample = GetParam();
  const auto options = options_for(sample);
  const std::string whole = to_text(events_of(options, sample.text));
  for (size_t cut = 0; cut <= sample.text.size(); ++cut)
    ASSERT_EQ(to_text(events_of(options, sample.text, {cut})), whole) << "cut at " << cut;
  std::vector<size_t> all;
  for (size_t cut = 1; cut < sample.text.size(); ++cut) all.push_back(cut);
  EXPECT_EQ(to_text(events_of(options, sample.text, all)), whole);
}

TEST_P(ParserSamples, AreTheSameStreamedAndWhole) {
  const Sample& sample = GetParam();
  EXPECT_EQ(to_text(streamed(events_of(options_for(sample), sample.text))), to_text(sample.expected));
}

// An answer that ends early, at every place: the same events at any split, and a stream has every letter that the whole
// answer has of a call's arguments.
TEST_P(ParserSamples, CutShortAnywhereKeepWhatWasComplete) {
  const Sample& sample = GetParam();
  const auto options = options_for(sample);
  for (size_t end = 0; end < sample.text.size(); ++end) {
    const std::string_view text = std::string_view(sample.text).substr(0, end);
    const auto events = events_of(options, text);
    ASSERT_EQ(to_text(events_of(options, text, {end / 2})), to_text(events)) << "ends at " << end;
    Message message;
    for (const Event& event : events) message.add(event);
    ASSERT_LE(message.calls.size(), sample.expected.calls.size());
    for (size_t i = 0; i < message.calls.size(); ++i) {
      EXPECT_TRUE(message.calls[i].complete) << "ends at " << end;
      EXPECT_EQ(message.calls[i].name, sample.expected.calls[i].name);
      EXPECT_EQ(message.calls[i].arguments, sample.expected.calls[i].arguments);
    }
  }
}

// Any damage: no crash, the same events at any split.
TEST_P(ParserSamples, DamagedAreReadTheSameAtAnySplit) {
  const Sample& sample = GetParam();
  const auto options = options_for(sample);
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string text = sample.text;
    const auto at = [&] { return random() % text.size(); };
    for (int i = 0; i < 3 && !text.empty(); ++i) {
      switch (random() % 4) {
        case 0: text.erase(at(), 1 + random() % 9); break;
        case 1: text.insert(at(), std::string(text, at(), 12)); break;
        case 2: text[at()] = "<>{}\"\\, \n"[random() % 9]; break;
        default: text.resize(at()); break;
      }
    }
    const std::string whole = to_text(events_of(options, text));
    std::vector<size_t> cuts;
    for (size_t cut = random() % 5; cut < text.size(); cut += 1 + random() % 7) cuts.push_back(cut);
    ASSERT_EQ(to_text(events_of(options, text, cuts)), whole) << "round " << round << ": " << text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, ParserSamples, testing::ValuesIn(samples()), [](const auto& sample) {
  std::string name;
  for (const char c : sample.param.name) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

std::string read(std::string_view calls, std::string_view text) {
  return to_text(message_of(options_for(calls, ""), text));
}

TEST(Parser, ArgumentsComeAsTheModelWritesThem) {
  Parser parser(options_for("hermes", ""));
  EXPECT_EQ(to_text(parser.push("<tool_call>\n{\"name\": \"f\"")), "");
  EXPECT_EQ(to_text(parser.push(", \"arguments\": {\"a\"")), "begin 0 [f] 0\narguments 0 [{\"a\"] 0\n");
  EXPECT_EQ(to_text(parser.push(":1")), "arguments 0 [:1] 0\n");
  EXPECT_EQ(to_text(parser.push("}")), "arguments 0 [}] 0\n");
  EXPECT_EQ(to_text(parser.push("}\n</tool_call>")), "end 0 [] 0\n");
  EXPECT_EQ(parser.complete_calls(), 1U);
  EXPECT_EQ(to_text(parser.finish()), "");
}

TEST(Parser, ParametersComeWhenTheyAreComplete) {
  Parser parser(options_for("qwen3_coder", ""));
  EXPECT_EQ(to_text(parser.push("<tool_call>\n<function=f>")), "");
  EXPECT_EQ(to_text(parser.push("<parameter=a>x")), "begin 0 [f] 0\n");
  EXPECT_EQ(to_text(parser.push("</parameter>")), "arguments 0 [{\"a\": \"x\"] 0\n");
  EXPECT_EQ(to_text(parser.push("</function>")), "arguments 0 [}] 0\nend 0 [] 0\n");
}

TEST(Parser, WhatIsNoCallIsText) {
  for (const std::string& text : std::vector<std::string>{
           "<tool_call>", "<tool_call>\nnot json\n</tool_call>", "a <tool_call> tag",
           "<tool_call>{\"nome\": \"f\"}</tool_call>", "<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>",
           "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
           "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 01}}</tool_call>",
           "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\":",
           "<tool_call>{\"name\": \"a b\", \"arguments\": {}}</tool_call>",
           "\n<tool_call>{\"name\": \"\", \"arguments\": {}}</tool_call>\n"})
    EXPECT_EQ(read("hermes", text), "content [" + text + "] reasoning []");
  for (const std::string& text :
       std::vector<std::string>{"<tool_call>a name\n</tool_call>", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>5",
                                "<tool_call>f\n<arg_key>a</arg_key>\nx</tool_call>"})
    EXPECT_EQ(read("glm45", text), "content [" + text + "] reasoning []");
  for (const std::string& text : std::vector<std::string>{"[TOOL_CALLS]", "[TOOL_CALLS] none", "[TOOL_CALLS][5]",
                                                          "[TOOL_CALLS]f[ARGS]5", "[TOOL_CALLS]f{\"a\"}"})
    EXPECT_EQ(read("mistral", text), "content [" + text + "] reasoning []");
  for (const std::string& text : std::vector<std::string>{
           "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>x<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
           "<｜tool▁calls▁begin｜>hello<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>f"})
    EXPECT_EQ(read("deepseek_v31", text), "content [" + text + "] reasoning []");
}

TEST(Parser, ACallBehindABrokenOneIsFound) {
  EXPECT_EQ(read("hermes", "<tool_call>{oh<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"),
            "content [<tool_call>{oh] reasoning [] f ({})");
  EXPECT_EQ(read("hermes", "<tool_call><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>"),
            "content [<tool_call>] reasoning [] f ({})");
  EXPECT_EQ(read("glm45", "<tool_call>a b <tool_call>f\n</tool_call>"), "content [<tool_call>a b] reasoning [] f ({})");
}

TEST(Parser, ACallWithCompleteArgumentsNeedsNoClosingMarker) {
  const std::string call = "<tool_call>{\"name\": \"f\", \"arguments\": {}}";
  EXPECT_EQ(read("hermes", call), "content [] reasoning [] f ({})");
  EXPECT_EQ(read("hermes", call + "\n</tool_c"), "content [] reasoning [] f ({})");
  EXPECT_EQ(read("hermes", call + call + " and so on"), "content [and so on] reasoning [] f ({}) f ({})");
}

TEST(Parser, ACallThatIsMalformedBeforeItsFirstKeyIsTextInAStreamToo) {
  const std::vector<std::pair<const char*, std::string>> texts = {
      {"hermes", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {bad}\n</tool_call>"},
      {"hermes", "<tool_call>{\"name\": \"f\", \"arguments\": { 'a': 1}}</tool_call>"},
      {"hermes", "<tool_call>{\"name\": \"f\", \"arguments\": { "},
      {"hermes", "<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"f g\"}</tool_call>"},
      {"mistral", "[TOOL_CALLS]f[ARGS]{bad}"},
      {"mistral", "[TOOL_CALLS]f{,}"},
      {"mistral", "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {bad}}]"},
      {"deepseek_v31", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{x<｜tool▁call▁end｜>"},
      {"qwen3_coder", "<tool_call>\n<function=f>\nno parameter</function>"},
      {"glm45", "<tool_call>f\nno key</tool_call>"}};
  for (const auto& [format, text] : texts) {
    const auto events = events_of(options_for(format, ""), text);
    EXPECT_EQ(to_text(streamed(events)), "content [" + text + "] reasoning []") << format;
    EXPECT_EQ(to_text(message_of(options_for(format, ""), text)), "content [" + text + "] reasoning []") << format;
  }
  const std::string header = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>";
  for (const char* arguments : {"{bad}", "{ ", "{\n'a'}"}) {
    EXPECT_EQ(to_text(streamed(events_of(options_for("openai", "openai_gptoss"), header + arguments + "<|call|>"))),
              "content [" + header + arguments + "] reasoning []");
  }
}

TEST(Parser, ABrokenCallSaysWhatOfItWasNotSent) {
  auto events = events_of(options_for("hermes", ""), "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1,,}} b");
  EXPECT_EQ(to_text(events),
            "begin 0 [f] 0\narguments 0 [{\"a\": 1,] 0\n"
            "broken 0 [<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1,] 0\ncontent 0 [,}} b] 0\n");
  EXPECT_EQ(to_text(streamed(events)), "content [,}} b] reasoning [] f ({\"a\": 1,) incomplete");

  events =
      events_of(options_for("glm45", ""), "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>5</arg_value><arg_key>b");
  EXPECT_EQ(to_text(streamed(events)), "content [<arg_key>b] reasoning [] f ({\"a\": 5) incomplete");
  events = events_of(options_for("glm45", ""), "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>5");
  EXPECT_EQ(to_text(streamed(events)), "content [<arg_key>a</arg_key>\n<arg_value>5] reasoning [] f () incomplete");
}

TEST(Parser, ArgumentsMayBeAbsentNullOrText) {
  EXPECT_EQ(read("hermes", "<tool_call>{\"name\": \"f\"}</tool_call>"), "content [] reasoning [] f ({})");
  EXPECT_EQ(read("hermes", "<tool_call>{\"name\": \"f\", \"arguments\": null}</tool_call>"),
            "content [] reasoning [] f ({})");
  EXPECT_EQ(read("hermes", R"(<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>)"),
            "content [] reasoning [] f ({\"a\": 1})");
  EXPECT_EQ(read("hermes", R"(<tool_call>{"name": "f", "parameters": {"a": 1}}</tool_call>)"),
            "content [] reasoning [] f ({\"a\": 1})");
}

TEST(Parser, WithoutToolsCallsStayText) {
  for (const Sample& sample : samples()) {
    if (sample.calls == "openai") continue;
    auto options = options_for(sample);
    options->call_mode = CallMode::kNone;
    options->reasoning = nullptr;
    EXPECT_EQ(message_of(options, sample.text).content, sample.text);
  }
  auto options = options_for("openai", "openai_gptoss");
  options->call_mode = CallMode::kNone;
  EXPECT_EQ(to_text(message_of(options,
                               "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>commentary "
                               "to=functions.f json<|message|>{}<|call|>")),
            "content [<|start|>assistant<|channel|>commentary to=functions.f json<|message|>{}] reasoning [A.]");
}

TEST(Parser, OneCallIsKeptWhereOneIsWanted) {
  for (const Sample& sample : samples()) {
    auto options = options_for(sample);
    options->one_call_only = true;
    Message expected = sample.expected;
    if (expected.calls.size() > 1) expected.calls.resize(1);
    EXPECT_EQ(to_text(message_of(options, sample.text)), to_text(expected)) << sample.name;
  }
}

TEST(Parser, HiddenMarkersAreNeverText) {
  auto options = options_for("deepseek_v31", "deepseek_v3");
  options->hidden = {"<think>",
                     "</think>",
                     "<｜tool▁calls▁begin｜>",
                     "<｜tool▁call▁begin｜>",
                     "<｜tool▁sep｜>",
                     "<｜tool▁call▁end｜>",
                     "<｜tool▁calls▁end｜>"};
  EXPECT_EQ(to_text(message_of(options, "a</think>b<think>c<｜tool▁calls▁end｜> < d")),
            "content [abc < d] reasoning []");
  EXPECT_EQ(
      to_text(message_of(options, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{x<｜tool▁call▁end｜>")),
      "content [f{x] reasoning []");
  EXPECT_EQ(to_text(message_of(options, "<think>r<think>s</think>t</think>u")), "content [tu] reasoning [rs]");
  // What begins like one is shown where it stands.
  EXPECT_EQ(to_text(message_of(options, "<think>r<</think>t<")), "content [t<] reasoning [r<]");
}

TEST(Reasoning, BeginsWhereThePromptOrTheModelOpensIt) {
  const auto read = [](std::string_view format, std::string_view prompt, std::string_view text) {
    auto options = options_for("", format);
    options->inside_reasoning = begins_inside(*options->reasoning, prompt);
    return to_text(message_of(options, text));
  };
  EXPECT_EQ(read("qwen3", "assistant\n", "<think>\na\n</think>\n\nb"), "content [b] reasoning [a]");
  EXPECT_EQ(read("qwen3", "assistant\n", "a</think>b"), "content [a</think>b] reasoning []");
  EXPECT_EQ(read("qwen3", "assistant\n", "b <think>a</think>"), "content [b <think>a</think>] reasoning []");
  EXPECT_EQ(read("qwen3", "assistant\n<think>\n", "a\n</think>\n\nb"), "content [b] reasoning [a]");
  EXPECT_EQ(read("qwen3", "assistant\n<think>\n\n</think>\n\n", "b"), "content [b] reasoning []");
  EXPECT_EQ(read("qwen3", "say <think>, assistant\n", "b"), "content [b] reasoning []");
  EXPECT_EQ(read("deepseek_v3", "<｜Assistant｜><think>", "a</think>b"), "content [b] reasoning [a]");
  EXPECT_EQ(read("deepseek_v3", "<｜Assistant｜></think>", "b"), "content [b] reasoning []");
  EXPECT_EQ(read("deepseek_r1", "<｜Assistant｜>", "a</think>b"), "content [b] reasoning [a]");
  EXPECT_EQ(read("deepseek_r1", "<｜Assistant｜>", "<think>\na</think>b"), "content [b] reasoning [a]");
  EXPECT_EQ(read("deepseek_r1", "<｜Assistant｜><think>\n</think>", "b"), "content [b] reasoning []");
  EXPECT_EQ(read("deepseek_r1", "<｜Assistant｜>", "never closed <think> "),
            "content [] reasoning [never closed <think>]");
  EXPECT_EQ(read("qwen3", "", "<thi"), "content [<thi] reasoning []");
  EXPECT_EQ(read("qwen3", "", "  \n"), "content [  \n] reasoning []");
}

TEST(Reasoning, IsKnownWhileItLasts) {
  Parser parser(options_for("hermes", "qwen3"));
  EXPECT_FALSE(parser.in_reasoning());
  parser.push("<think>");
  EXPECT_TRUE(parser.in_reasoning());
  parser.push("a</think");
  EXPECT_TRUE(parser.in_reasoning());
  parser.push(">");
  EXPECT_FALSE(parser.in_reasoning());
}

TEST(Harmony, TextWithoutHeadersIsContent) {
  const auto options = options_for("openai", "openai_gptoss");
  EXPECT_EQ(to_text(message_of(options, "Plain <text>.")), "content [Plain <text>.] reasoning []");
  EXPECT_EQ(to_text(message_of(options, " to")), "content [ to] reasoning []");
  EXPECT_EQ(to_text(message_of(options, " to=functions.f<|channel|>commentary<|message|>{\"a\": 1}<|call|>")),
            "content [] reasoning [] f ({\"a\": 1})");
  EXPECT_EQ(to_text(message_of(options, "<|channel|>commentary to=functions.f<|message|>five<|call|>")),
            "content [<|channel|>commentary to=functions.f<|message|>five] reasoning []");
  EXPECT_EQ(
      to_text(message_of(options, "<|channel|>final<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b")),
      "content [a\nb] reasoning []");
  EXPECT_EQ(to_text(message_of(options, "<|channel|>" + std::string(2000, 'x'))).size(),
            std::string("content [<|channel|>] reasoning []").size() + 2000);
}

TEST(ConstrainedCalls, AListOfCallsIsReadAsRequiredWritesIt) {
  auto options = options_for("hermes", "qwen3");
  options->call_mode = CallMode::kRequired;
  EXPECT_EQ(to_text(message_of(options,
                               "<think>x</think>\n[{\"name\": \"f\", \"parameters\": {\"a\": [1]}},\n"
                               "{\"name\": \"g\", \"parameters\": {}}]\n")),
            "content [] reasoning [x] f ({\"a\": [1]}) g ({})");
  EXPECT_EQ(to_text(message_of(options, "[]")), "content [] reasoning []");
  EXPECT_EQ(to_text(message_of(options, "no list")), "content [no list] reasoning []");
  EXPECT_EQ(to_text(message_of(options, "[{\"name\": \"f\", \"parameters\": {\"a\": 1}}, {\"name\": \"g\", \"par")),
            "content [, {\"name\": \"g\", \"par] reasoning [] f ({\"a\": 1})");
}

TEST(ConstrainedCalls, ANamedFunctionsArgumentsAreTheWholeAnswer) {
  auto options = options_for("openai", "openai_gptoss");
  options->call_mode = CallMode::kNamed;
  options->function = "get_weather";
  for (const std::string& text : std::vector<std::string>{
           "{\"city\": \"Paris\"}", " {\"city\": \"Paris\"}\n",
           "<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>{\"city\": \"Paris\"}"})
    EXPECT_EQ(to_text(message_of(options, text)), "content [] reasoning [] get_weather ({\"city\": \"Paris\"})");
  EXPECT_EQ(to_text(message_of(options, "{\"city\": \"Pa")), "content [{\"city\": \"Pa] reasoning []");
  EXPECT_EQ(to_text(message_of(options, "Paris")), "content [Paris] reasoning []");
  Parser parser(options);
  EXPECT_EQ(to_text(parser.push("{\"")), "begin 0 [get_weather] 0\narguments 0 [{\"] 0\n");
}

}  // namespace
}  // namespace switchyard::parsing
