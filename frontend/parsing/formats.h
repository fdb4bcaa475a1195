// The formats that models write reasoning and calls in, by name, and which of them a model uses. A format is an entry
// of a list in formats.cpp and a file of formats/; names are those of vLLM's --tool-call-parser and --reasoning-parser.
//
// Thread: any; everything is constant.
#pragma once

#include <span>
#include <string_view>

#include "frontend/parsing/call_grammar.h"

namespace switchyard::parsing {

struct CallFormat {
  std::string_view name;
  const CallGrammar* grammar = nullptr;  // null: harmony (harmony_stage.h)
  // Mistral's templates accept ids of nine letters and digits alone.
  bool short_ids = false;
};

struct ReasoningFormat {
  std::string_view name;
  std::string_view open;  // empty: harmony
  std::string_view close;
  // The text begins inside, though nothing has opened it: unless the prompt has closed it.
  bool begins_inside = false;
};

std::span<const CallFormat> call_formats();
std::span<const ReasoningFormat> reasoning_formats();
// Null for a name that is none.
const CallFormat* find_call_format(std::string_view name);
const ReasoningFormat* find_reasoning_format(std::string_view name);

// What a model writes, told by the strings that its chat template has (as llama.cpp does), and by its architecture
// where that leaves no choice. Null for none.
const CallFormat* detect_call_format(std::string_view chat_template, std::string_view architecture);
const ReasoningFormat* detect_reasoning_format(std::string_view chat_template, std::string_view architecture);

// Whether the format's markers contain text: a special token of such a text must not be dropped on the way to a parser.
bool needs_marker(const CallFormat& format, std::string_view text);
bool needs_marker(const ReasoningFormat& format, std::string_view text);

// One file each in formats/.
const CallGrammar& deepseek_v3_grammar();
const CallGrammar& deepseek_v31_grammar();
const CallGrammar& deepseek_v32_grammar();
const CallGrammar& deepseek_v4_grammar();
const CallGrammar& glm45_grammar();
const CallGrammar& hermes_grammar();
const CallGrammar& mistral_grammar();
const CallGrammar& qwen3_coder_grammar();
// Not what models write of themselves, but what tool_choice makes them write.
const CallGrammar& call_list_grammar();  // required: [{"name": ..., "parameters": {...}}, ...]
const CallGrammar& arguments_grammar();  // a named function: its arguments

}  // namespace switchyard::parsing
