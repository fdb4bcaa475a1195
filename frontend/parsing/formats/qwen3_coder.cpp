// Qwen3-Coder; values are typed by the tool's schema:
//   <tool_call>
//   <function=f>
//   <parameter=city>
//   Paris
//   </parameter>
//   </function>
//   </tool_call>
// The model sometimes leaves <tool_call> out, which vLLM's parser qwen3_coder takes as well.
// Source: Qwen3-Coder's chat template; that parser.
#include "frontend/parsing/formats.h"

namespace switchyard::parsing {

const CallGrammar& qwen3_coder_grammar() {
  using Kind = CallState::Kind;
  enum : uint8_t { kFunction, kName, kParameters, kKey, kValue, kClose };
  static const CallGrammar kGrammar = {
      .openings = {{"<tool_call>", kFunction}, {"<function=", kName}},
      .states = {{Kind::kLiteral, {{"<function=", kName}}},
                 {Kind::kName, {{">", kParameters, CallAction::kName}}},
                 {Kind::kLiteral, {{"<parameter=", kKey}, {"</function>", kClose, CallAction::kEnd}}},
                 {Kind::kName, {{">", kValue, CallAction::kKey}}},
                 {Kind::kValue, {{"</parameter>", kParameters, CallAction::kValue}}},
                 {Kind::kLiteral, {{"</tool_call>", CallGrammar::kOutside}, {"<function=", kName}}}},
      .untyped_is_text = true,
      .value_has_own_lines = true,
  };
  return kGrammar;
}

}  // namespace switchyard::parsing
