// Hermes 2 Pro, and Qwen 2.5 and 3:
//   <tool_call>
//   {"name": "f", "arguments": {"a": 1}}
//   </tool_call>
// Source: chat templates of Qwen2.5-7B-Instruct and Qwen3-0.6B; vLLM's parser hermes.
#include "frontend/parsing/formats.h"

namespace switchyard::parsing {

const CallGrammar& hermes_grammar() {
  using Kind = CallState::Kind;
  enum : uint8_t { kCall, kClose };
  static const CallGrammar kGrammar = {
      .openings = {{"<tool_call>", kCall}},
      .states = {{Kind::kObject, {{.literal = "", .next = kClose}}},
                 {Kind::kLiteral, {{"</tool_call>", CallGrammar::kOutside, CallAction::kEnd}}}},
  };
  return kGrammar;
}

}  // namespace switchyard::parsing
