// DeepSeek V3.2, whose values say whether they are strings:
//   <｜DSML｜function_calls>
//   <｜DSML｜invoke name="f">
//   <｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>
//   <｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>
//   </｜DSML｜invoke>
//   </｜DSML｜function_calls>
// V4 says tool_calls in the place of function_calls.
// Source: their chat templates; vLLM's parsers deepseek_v32 and deepseek_v4.
#include "frontend/parsing/formats.h"

namespace switchyard::parsing {
namespace {

CallGrammar dsml(std::string_view begin, std::string_view end) {
  using Kind = CallState::Kind;
  enum : uint8_t { kList, kName, kParameters, kKey, kValue };
  return {
      .openings = {{begin, kList}},
      .states = {{Kind::kLiteral, {{"<｜DSML｜invoke name=\"", kName}, {end, CallGrammar::kOutside}}},
                 {Kind::kName, {{"\">", kParameters, CallAction::kName}}},
                 {Kind::kLiteral,
                  {{"<｜DSML｜parameter name=\"", kKey}, {"</｜DSML｜invoke>", kList, CallAction::kEnd}}},
                 {Kind::kName,
                  {{"\" string=\"true\">", kValue, CallAction::kTextKey},
                   {"\" string=\"false\">", kValue, CallAction::kJsonKey}}},
                 {Kind::kValue, {{"</｜DSML｜parameter>", kParameters, CallAction::kValue}}}},
  };
}

}  // namespace

const CallGrammar& deepseek_v32_grammar() {
  static const CallGrammar kGrammar = dsml("<｜DSML｜function_calls>", "</｜DSML｜function_calls>");
  return kGrammar;
}

const CallGrammar& deepseek_v4_grammar() {
  static const CallGrammar kGrammar = dsml("<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>");
  return kGrammar;
}

}  // namespace switchyard::parsing
