// What a model writes when its text is constrained: with tool_choice "required" a list of calls, as vLLM's schema for
// it says, with a named function the arguments alone.
#include "frontend/parsing/formats.h"

namespace switchyard::parsing {

const CallGrammar& call_list_grammar() {
  using Kind = CallState::Kind;
  enum : uint8_t { kBegin, kItem, kCall, kComma };
  constexpr uint8_t kOutside = CallGrammar::kOutside;
  static const CallGrammar kGrammar = {
      .openings = {},
      .states = {{Kind::kLiteral, {{"[", kItem}}},
                 {Kind::kLiteral, {{"]", kOutside}, {.literal = "", .next = kCall}}},
                 {Kind::kObject, {{"", kComma, CallAction::kEnd}}},
                 {Kind::kLiteral, {{",", kItem}, {"]", kOutside}}}},
  };
  return kGrammar;
}

const CallGrammar& arguments_grammar() {
  static const CallGrammar kGrammar = {
      .openings = {},
      .states = {{CallState::Kind::kArguments, {{"", CallGrammar::kOutside, CallAction::kEnd}}}},
  };
  return kGrammar;
}

}  // namespace switchyard::parsing
