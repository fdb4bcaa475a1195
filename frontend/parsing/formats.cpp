#include "frontend/parsing/formats.h"

#include <algorithm>

#include "frontend/parsing/harmony_stage.h"

namespace switchyard::parsing {
namespace {

const CallFormat kCallFormats[] = {
    {.name = "deepseek_v3", .grammar = &deepseek_v3_grammar()},
    {.name = "deepseek_v31", .grammar = &deepseek_v31_grammar()},
    {.name = "deepseek_v32", .grammar = &deepseek_v32_grammar()},
    {.name = "deepseek_v4", .grammar = &deepseek_v4_grammar()},
    {.name = "glm45", .grammar = &glm45_grammar()},
    {.name = "hermes", .grammar = &hermes_grammar()},
    {.name = "mistral", .grammar = &mistral_grammar(), .short_ids = true},
    {.name = "openai", .grammar = nullptr},
    {.name = "qwen3_coder", .grammar = &qwen3_coder_grammar()},
};

constexpr ReasoningFormat kReasoningFormats[] = {
    {.name = "deepseek_r1", .open = "<think>", .close = "</think>", .begins_inside = true},
    {.name = "deepseek_v3", .open = "<think>", .close = "</think>"},
    {.name = "glm45", .open = "<think>", .close = "</think>"},
    {.name = "mistral", .open = "[THINK]", .close = "[/THINK]"},
    {.name = "openai_gptoss", .open = "", .close = ""},
    {.name = "qwen3", .open = "<think>", .close = "</think>"},
};

template <typename Formats>
auto find_in(const Formats& formats, std::string_view name) {
  const auto found =
      std::find_if(std::begin(formats), std::end(formats), [&](const auto& f) { return f.name == name; });
  return found == std::end(formats) ? nullptr : &*found;
}

bool is_harmony(std::string_view chat_template, std::string_view architecture) {
  return architecture == "GptOssForCausalLM" || chat_template.find("<|channel|>") != std::string_view::npos;
}

bool harmony_needs(std::string_view text) {
  const auto& markers = HarmonyStage::markers();
  return std::find(markers.begin(), markers.end(), text) != markers.end();
}

}  // namespace

std::span<const CallFormat> call_formats() { return kCallFormats; }
std::span<const ReasoningFormat> reasoning_formats() { return kReasoningFormats; }
const CallFormat* find_call_format(std::string_view name) { return find_in(kCallFormats, name); }
const ReasoningFormat* find_reasoning_format(std::string_view name) { return find_in(kReasoningFormats, name); }

const CallFormat* detect_call_format(std::string_view chat_template, std::string_view architecture) {
  const auto has = [&](std::string_view text) { return chat_template.find(text) != std::string_view::npos; };
  if (is_harmony(chat_template, architecture)) return find_call_format("openai");
  if (has("｜DSML｜")) return find_call_format(has("function_calls") ? "deepseek_v32" : "deepseek_v4");
  if (has("<｜tool▁call▁begin｜>")) return find_call_format(has("```json") ? "deepseek_v3" : "deepseek_v31");
  if (has("<arg_key>")) return find_call_format("glm45");
  if (has("<function=")) return find_call_format("qwen3_coder");
  if (has("[TOOL_CALLS]")) return find_call_format("mistral");
  if (has("<tool_call>")) return find_call_format("hermes");
  return nullptr;
}

const ReasoningFormat* detect_reasoning_format(std::string_view chat_template, std::string_view architecture) {
  const auto has = [&](std::string_view text) { return chat_template.find(text) != std::string_view::npos; };
  if (is_harmony(chat_template, architecture)) return find_reasoning_format("openai_gptoss");
  if (has("[THINK]")) return find_reasoning_format("mistral");
  if (!has("</think>")) return nullptr;
  // A DeepSeek template that never opens reasoning, as R1's first one, leaves that to a model that always reasons.
  if (has("<｜Assistant｜>")) return find_reasoning_format(has("<think>") ? "deepseek_v3" : "deepseek_r1");
  return find_reasoning_format(has("<arg_key>") ? "glm45" : "qwen3");
}

bool needs_marker(const CallFormat& format, std::string_view text) {
  if (format.grammar == nullptr) return harmony_needs(text);
  const auto in = [&](std::string_view literal) { return literal.find(text) != std::string_view::npos; };
  for (const auto& opening : format.grammar->openings)
    if (in(opening.literal)) return true;
  for (const CallState& state : format.grammar->states)
    for (const CallEdge& edge : state.edges)
      if (in(edge.literal)) return true;
  return false;
}

bool needs_marker(const ReasoningFormat& format, std::string_view text) {
  return format.open.empty() ? harmony_needs(text) : text == format.open || text == format.close;
}

}  // namespace switchyard::parsing
