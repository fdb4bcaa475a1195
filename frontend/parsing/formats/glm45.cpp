// GLM 4.5 and 4.6; values are typed by the tool's schema:
//   <tool_call>f
//   <arg_key>city</arg_key>
//   <arg_value>Paris</arg_value>
//   </tool_call>
// Source: GLM-4.6's chat template; vLLM's parser glm45.
#include "frontend/parsing/formats.h"

namespace switchyard::parsing {

const CallGrammar& glm45_grammar() {
  using Kind = CallState::Kind;
  enum : uint8_t { kName, kParameters, kKey, kValueBegin, kValue };
  static const CallGrammar kGrammar = {
      .openings = {{"<tool_call>", kName}},
      // A function without parameters may be closed on the line of its name.
      .states = {{Kind::kName,
                  {{"\n", kParameters, CallAction::kName},
                   {"<arg_key>", kParameters, CallAction::kName, true},
                   {"</tool_call>", kParameters, CallAction::kName, true}}},
                 {Kind::kLiteral, {{"<arg_key>", kKey}, {"</tool_call>", CallGrammar::kOutside, CallAction::kEnd}}},
                 {Kind::kName, {{"</arg_key>", kValueBegin, CallAction::kKey}}},
                 {Kind::kLiteral, {{"<arg_value>", kValue}}},
                 {Kind::kValue, {{"</arg_value>", kParameters, CallAction::kValue}}}},
  };
  return kGrammar;
}

}  // namespace switchyard::parsing
