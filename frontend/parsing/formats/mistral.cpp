// Mistral, up to its tokenizer's version 7 and from 11 on:
//   [TOOL_CALLS][{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}, ...]
//   [TOOL_CALLS]f{"a": 1}[TOOL_CALLS]g[ARGS]{}      with [CALL_ID]abcdefghi before [ARGS] in some versions
// Source: Mistral-Nemo-Instruct-2407's chat template; vLLM's parser mistral; mistral-common's instruct tokenizers.
#include "frontend/parsing/formats.h"

namespace switchyard::parsing {

const CallGrammar& mistral_grammar() {
  using Kind = CallState::Kind;
  enum : uint8_t { kBegin, kItem, kCall, kComma, kName, kId, kArguments };
  constexpr uint8_t kOutside = CallGrammar::kOutside;
  static const CallGrammar kGrammar = {
      .openings = {{"[TOOL_CALLS]", kBegin}},
      .states = {{Kind::kLiteral, {{"[", kItem}, {.literal = "", .next = kName}}},
                 {Kind::kLiteral, {{"]", kOutside}, {.literal = "", .next = kCall}}},
                 {Kind::kObject, {{"", kComma, CallAction::kEnd}}},
                 {Kind::kLiteral, {{",", kItem}, {"]", kOutside}}},
                 {Kind::kName,
                  {{"[ARGS]", kArguments, CallAction::kName},
                   {"[CALL_ID]", kId, CallAction::kName},
                   {"{", kArguments, CallAction::kName, true}}},
                 {Kind::kName, {{"[ARGS]", kArguments}}},
                 {Kind::kArguments, {{"", kOutside, CallAction::kEnd}}}},
  };
  return kGrammar;
}

}  // namespace switchyard::parsing
