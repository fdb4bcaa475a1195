// Goal: whatever a model draws through the masks of tool_choice, or of a form behind its reasoning, our own parser
// reads as complete calls with valid arguments, or as that form alone. Method: random walks through the masks, over a
// vocabulary of all bytes, pieces of JSON and every format's markers as special tokens; what is valid is checked here
// by hand.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

#include "common/structured/constraint.h"
#include "common/structured/matcher.h"
#include "frontend/answers/answer_parsing.h"
#include "frontend/parsing/harmony_stage.h"
#include "frontend/parsing/message.h"
#include "frontend/requests/constraint_fields.h"
#include "frontend/requests/request_fields.h"
#include "frontend/requests/request_parsing.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;
using structured::Vocabulary;

constexpr const char* kMarkers[] = {"<|start|>",
                                    "<|channel|>",
                                    "<|constrain|>",
                                    "<|message|>",
                                    "<|end|>",
                                    "<|call|>",
                                    "<|return|>",
                                    "<think>",
                                    "</think>",
                                    "[THINK]",
                                    "[/THINK]",
                                    "[TOOL_CALLS]",
                                    "[ARGS]",
                                    "[CALL_ID]",
                                    "<tool_call>",
                                    "</tool_call>",
                                    "<arg_key>",
                                    "</arg_key>",
                                    "<arg_value>",
                                    "</arg_value>",
                                    "<｜tool▁calls▁begin｜>",
                                    "<｜tool▁calls▁end｜>",
                                    "<｜tool▁call▁begin｜>",
                                    "<｜tool▁call▁end｜>",
                                    "<｜tool▁sep｜>",
                                    "｜DSML｜",
                                    "<|endoftext|>"};
constexpr size_t kPlainCount = 256 + 12;

const std::shared_ptr<const Vocabulary>& vocabulary() {
  static const auto kAll = [] {
    std::vector<std::string> tokens;
    for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
    for (const char* piece :
         {"{\"", "\":", "\",\"", "\"}", "}}", "],", "[{\"", "}]", "analysis", "final", " json", "assistant"})
      tokens.emplace_back(piece);
    std::vector<bool> specials(tokens.size(), false);
    for (const char* marker : kMarkers) {
      tokens.emplace_back(marker);
      specials.push_back(true);
    }
    const std::vector<std::string_view> views(tokens.begin(), tokens.end());
    return std::make_shared<const Vocabulary>(views, specials);
  }();
  return kAll;
}

ModelFacts facts() {
  ModelFacts facts;
  facts.name = "m";
  facts.vocab_size = static_cast<int32_t>(vocabulary()->size());
  facts.max_model_len = 4096;
  return facts;
}

ModelParsing model_of(const parsing::CallFormat* calls, const parsing::ReasoningFormat* reasoning) {
  ModelParsing model{.calls = calls, .reasoning = reasoning, .markers = {}};
  for (size_t i = 0; i < std::size(kMarkers); ++i) {
    const bool of_calls = calls != nullptr && parsing::needs_marker(*calls, kMarkers[i]);
    const bool of_reasoning = reasoning != nullptr && parsing::needs_marker(*reasoning, kMarkers[i]);
    if (of_calls || of_reasoning)
      model.markers.push_back({static_cast<int32_t>(kPlainCount + i), kMarkers[i], of_calls, of_reasoning});
  }
  return model;
}

// A chat as it is made ready for a rank (frontend/api/preparation.h).
struct Prepared {
  Prepared(const ModelParsing& model, const std::string& fields, const std::string& prompt) {
    json::object body;
    EXPECT_FALSE(parse_object(R"({"messages":[{"role":"user","content":"Q"}],)" + fields + "}", body)) << fields;
    const auto error = parse_chat(body, facts(), request);
    EXPECT_FALSE(error) << error->message;
    parsing = parsing_of_chat(model, request, prompt);
    if (model.reasoning != nullptr) begin_behind_reasoning(*model.reasoning, prompt, request.sampling);
    constraint = request.check->constraint;
    constraint.begins_after = request.sampling.constraint().begins_after();
    constraint.reasoning_opens = request.sampling.constraint().reasoning_opens();
    constraint.in_harmony = request.sampling.constraint().in_harmony();
  }
  ChatRequest request;
  std::shared_ptr<const AnswerParsing> parsing;
  structured::Constraint constraint;
};

class Walk {
 public:
  explicit Walk(const std::shared_ptr<structured::Masks>& masks) : matcher_(masks), mask_(vocabulary()->mask_words()) {}

  // False: cut off.
  bool run(std::mt19937& random) {
    for (size_t n = 0; n < 400; ++n) {
      if (matcher_.must_end() || (matcher_.may_end() && random() % 2 == 0)) return true;
      EXPECT_TRUE(matcher_.fill_mask(mask_).ok());
      std::vector<int32_t> allowed, closing;
      for (int32_t id = 0; id < static_cast<int32_t>(vocabulary()->size()); ++id) {
        if (!structured::test_bit(mask_, id)) continue;
        allowed.push_back(id);
        const std::string_view bytes = vocabulary()->bytes(id);
        if (bytes.find_first_of("\"]}") != std::string_view::npos || bytes[0] == Vocabulary::kSpecial)
          closing.push_back(id);
      }
      if (allowed.empty()) {
        ADD_FAILURE() << "nothing may follow";
        return false;
      }
      const auto& from = !closing.empty() && random() % 2 == 0 ? closing : allowed;
      ids.push_back(from[random() % from.size()]);
      EXPECT_TRUE(matcher_.accept(ids.back()).ok());
    }
    return false;
  }

  std::vector<int32_t> ids;

 private:
  structured::Matcher matcher_;
  std::vector<uint32_t> mask_;
};

// As an answer is read: special tokens are skipped but for those that the parser needs.
parsing::Message read(const AnswerParsing& parsing, const std::vector<int32_t>& ids, std::string& text) {
  for (const int32_t id : ids) {
    const std::string_view bytes = vocabulary()->bytes(id);
    if (bytes[0] != Vocabulary::kSpecial)
      text += bytes;
    else if (parsing.keeps(id))
      text += bytes.substr(1, bytes.size() - 2);
  }
  parsing::Parser parser(parsing.options);
  parsing::Message message;
  for (const auto& event : parser.push(text)) message.add(event);
  for (const auto& event : parser.finish()) message.add(event);
  return message;
}

struct Prompt {
  const char* what;
  std::string text;
};
std::vector<Prompt> prompts_of(const parsing::ReasoningFormat* reasoning) {
  if (reasoning == nullptr) return {{"plain", "Q"}};
  if (reasoning->open.empty()) return {{"harmony", "<|end|><|start|>assistant"}};
  const std::string open(reasoning->open), close(reasoning->close);
  return {{"opened", "Q" + open + "\n"}, {"closed", "Q" + open + "\n\n" + close + "\n\n"}, {"left to the model", "Q"}};
}

std::vector<const parsing::ReasoningFormat*> all_reasoning() {
  std::vector<const parsing::ReasoningFormat*> all{nullptr};
  for (const auto& format : parsing::reasoning_formats()) all.push_back(&format);
  return all;
}

constexpr const char* kTools = R"("tools":[
  {"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string","maxLength":5},
    "days":{"type":"integer","minimum":1,"maximum":10},"unit":{"enum":["C","F",null]},"at":{"$ref":"#/$defs/at"}},"required":["city"],
    "$defs":{"at":{"type":"array","items":{"type":"number"},"maxItems":2}}}}},
  {"type":"function","function":{"name":"time"}}])";

bool valid(const std::string& name, const json::value& arguments) {
  if (!arguments.is_object()) return false;
  const json::object& object = arguments.get_object();
  if (name == "time") return object.empty();
  if (name != "weather" || !object.contains("city") || !object.at("city").is_string()) return false;
  return std::all_of(object.begin(), object.end(), [](const auto& member) {
    const json::value& value = member.value();
    if (member.key() == "city") return true;
    if (member.key() == "days") return value.is_int64() && value.get_int64() >= 1 && value.get_int64() <= 10;
    if (member.key() == "unit") return value == "C" || value == "F" || value.is_null();
    return member.key() == "at" && value.is_array() && value.get_array().size() <= 2 &&
           std::all_of(value.get_array().begin(), value.get_array().end(), [](const auto& v) { return v.is_number(); });
  });
}

class ConstrainedCalls : public testing::TestWithParam<std::string_view> {};

TEST_P(ConstrainedCalls, AreReadBackCompleteAndValid) {
  const parsing::CallFormat* calls = parsing::find_call_format(GetParam());
  ASSERT_NE(calls, nullptr);
  size_t finished = 0, reasoned = 0, several = 0;
  for (const parsing::ReasoningFormat* reasoning : all_reasoning()) {
    const ModelParsing model = model_of(calls, reasoning);
    for (const Prompt& prompt : prompts_of(reasoning)) {
      for (const char* choice :
           {R"(,"tool_choice":"required")", R"(,"tool_choice":"required","parallel_tool_calls":false)",
            R"(,"tool_choice":{"type":"function","function":{"name":"weather"}})"}) {
        const Prepared chat(model, kTools + std::string(choice), prompt.text);
        auto automaton = structured::compile(chat.constraint);
        ASSERT_TRUE(automaton.ok()) << automaton.error().message;
        const auto masks = std::make_shared<structured::Masks>(std::move(*automaton), vocabulary());
        for (uint32_t seed = 0; seed < 40; ++seed) {
          std::mt19937 random(seed);
          Walk walk(masks);
          if (!walk.run(random)) continue;
          ++finished;
          std::string text;
          const parsing::Message message = read(*chat.parsing, walk.ids, text);
          const std::string where = std::string(reasoning == nullptr ? "no reasoning" : reasoning->name) + ", " +
                                    prompt.what + choice + ", seed " + std::to_string(seed) + "\n" + text;
          EXPECT_EQ(message.content, "") << where;
          ASSERT_FALSE(message.calls.empty()) << where;
          if (!chat.request.parallel_tool_calls || !chat.request.must_call_function.empty()) {
            EXPECT_EQ(message.calls.size(), 1U) << where;
          }
          for (const parsing::Call& call : message.calls) {
            boost::system::error_code error;
            const json::value arguments = json::parse(call.arguments, error);
            EXPECT_TRUE(call.complete && !error && valid(call.name, arguments)) << call.arguments << "\n" << where;
          }
          reasoned += message.reasoning.empty() ? 0 : 1;
          several += message.calls.size() > 1 ? 1 : 0;
        }
      }
    }
  }
  EXPECT_GT(finished, 400U);
  EXPECT_GT(reasoned, 50U);
  EXPECT_GT(several, 20U);
}

INSTANTIATE_TEST_SUITE_P(Formats, ConstrainedCalls,
                         testing::Values("deepseek_v3", "deepseek_v31", "deepseek_v32", "deepseek_v4", "glm45",
                                         "hermes", "mistral", "openai", "qwen3_coder"));

// With tools that the model may call, too: the form leaves no room for calls.
TEST(ConstrainedAnswers, HaveTheirFormInTheContentAlone) {
  size_t finished = 0, reasoned = 0;
  const parsing::CallFormat* const formats[] = {nullptr, parsing::find_call_format("hermes"),
                                                parsing::find_call_format("openai")};
  for (const parsing::CallFormat* calls : formats) {
    for (const parsing::ReasoningFormat* reasoning : all_reasoning()) {
      const ModelParsing model = model_of(calls, reasoning);
      for (const Prompt& prompt : prompts_of(reasoning)) {
        const Prepared chat(
            model, std::string(kTools) + R"(,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":
            {"type":"object","properties":{"x":{"type":"string","maxLength":40},"y":{"enum":["<tool_call>","</think>"]}},"required":["x","y"]}}})",
            prompt.text);
        auto automaton = structured::compile(chat.constraint);
        ASSERT_TRUE(automaton.ok()) << automaton.error().message;
        const auto masks = std::make_shared<structured::Masks>(std::move(*automaton), vocabulary());
        for (uint32_t seed = 0; seed < 20; ++seed) {
          std::mt19937 random(seed);
          Walk walk(masks);
          if (!walk.run(random)) continue;
          ++finished;
          std::string text;
          const parsing::Message message = read(*chat.parsing, walk.ids, text);
          boost::system::error_code error;
          const json::value answer = json::parse(message.content, error);
          const std::string where = std::string(reasoning == nullptr ? "no reasoning" : reasoning->name) + ", " +
                                    prompt.what + ", seed " + std::to_string(seed) + "\n" + text;
          ASSERT_FALSE(error) << message.content << "\n" << where;
          EXPECT_TRUE(answer.is_object() && answer.get_object().size() == 2 && answer.at("x").is_string()) << where;
          EXPECT_TRUE(message.calls.empty()) << where;
          reasoned += message.reasoning.empty() ? 0 : 1;
        }
      }
    }
  }
  EXPECT_GT(finished, 500U);
  EXPECT_GT(reasoned, 100U);
}

TEST(ConstrainedAnswers, BeginWhereTheModelsReasoningEnds) {
  struct Case {
    const char* format;
    std::string prompt;
    std::vector<std::string> taken;  // '~' before a special token
    std::vector<std::string> refused;
  };
  const std::string analysis = "~<|channel|>analysis~<|message|>Let me <| see.~<|end|>~<|start|>assistant";
  const std::vector<Case> cases = {
      {"openai_gptoss",
       "<|start|>assistant",
       {"~<|channel|>final~<|message|>7", analysis + "~<|channel|>final~<|message|>7",
        analysis + analysis + "~<|channel|>final ~<|constrain|>json~<|message|>7",
        "~<|channel|>final~<|constrain|>json~<|message|>7"},
       {"7", analysis + "7", "~<|channel|>commentary~<|message|>7", "~<|channel|>final~<|message|>7~<|end|>",
        "~<|channel|>analysis~<|message|>7", "~<|channel|>analysis~<|message|>a~<|return|>",
        "~<|channel|>analysis~<|message|>a<|start|>b~<|end|>~<|start|>assistant~<|channel|>final~<|message|>7",
        "~<|channel|>final to=functions.weather~<|message|>7"}},
      {"openai_gptoss", "<|start|>assistant<|channel|>final<|message|>", {"7"}, {"~<|channel|>final~<|message|>7"}},
      {"qwen3", "Q<think>\n", {"so</think>7", "so~</think>\n\n7"}, {"7", "so", "so~</think>x"}},
      {"qwen3", "Q<think>\n\n</think>\n\n", {"7"}, {"~<think>a~</think>7", "\n7"}},
      {"qwen3",
       "Q",
       {"7", "~<think>a 8~</think>\n\n7", "<think></think>7"},
       {"~</think>7", "a~</think>7", "~<think>7"}},
      {"deepseek_r1", "Q", {"a~</think>7"}, {"7"}},
      {"deepseek_r1", "Q</think>", {"7"}, {"a~</think>7"}},
      {"mistral", "Q", {"7", "~[THINK]a~[/THINK]7"}, {"a~[/THINK]7"}},
  };
  for (const Case& c : cases) {
    const ModelParsing model = model_of(nullptr, parsing::find_reasoning_format(c.format));
    const Prepared chat(model, R"("structured_outputs":{"regex":"[0-9]"})", c.prompt);
    auto automaton = structured::compile(chat.constraint);
    ASSERT_TRUE(automaton.ok()) << automaton.error().message;
    const auto masks = std::make_shared<structured::Masks>(std::move(*automaton), vocabulary());
    const auto accepts = [&](const std::string& text) {
      structured::Matcher matcher(masks);
      for (size_t at = 0; at < text.size();) {
        int32_t token = static_cast<uint8_t>(text[at]);
        size_t length = 1;
        for (size_t i = 0; i < std::size(kMarkers) && text[at] == '~'; ++i) {
          const std::string_view marker = kMarkers[i];
          if (!std::string_view(text).substr(at + 1).starts_with(marker)) continue;
          token = static_cast<int32_t>(kPlainCount + i);
          length = 1 + marker.size();
        }
        if (!matcher.accept(token).ok()) return false;
        at += length;
      }
      return matcher.may_end();
    };
    for (const std::string& text : c.taken) EXPECT_TRUE(accepts(text)) << c.format << ": " << text;
    for (const std::string& text : c.refused) EXPECT_FALSE(accepts(text)) << c.format << ": " << text;
  }
}

}  // namespace
}  // namespace switchyard::frontend
