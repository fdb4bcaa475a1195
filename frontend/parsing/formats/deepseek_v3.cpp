// DeepSeek V3 and R1:
//   <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f
//   ```json
//   {"a": 1}
//   ```<｜tool▁call▁end｜>
//   <｜tool▁call▁begin｜>...<｜tool▁calls▁end｜>
// DeepSeek V3.1, and the project's own demo model (models/switchyard-r1-small), without type, lines and Markdown:
//   <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>
// Source: their chat templates; vLLM's parsers deepseek_v3 and deepseek_v31.
#include "frontend/parsing/formats.h"

namespace switchyard::parsing {
namespace {

using Kind = CallState::Kind;

constexpr std::string_view kBegin = "<｜tool▁call▁begin｜>";
constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
constexpr std::string_view kListBegin = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kListEnd = "<｜tool▁calls▁end｜>";

}  // namespace

const CallGrammar& deepseek_v3_grammar() {
  enum : uint8_t { kList, kType, kName, kArguments, kClose };
  static const CallGrammar kGrammar = {
      .openings = {{kListBegin, kList}},
      .states = {{Kind::kLiteral, {{kBegin, kType}, {kListEnd, CallGrammar::kOutside}}},
                 {Kind::kName, {{kSeparator, kName}}},
                 {Kind::kName, {{"\n```json\n", kArguments, CallAction::kName}}},
                 {Kind::kArguments, {{.literal = "", .next = kClose}}},
                 {Kind::kLiteral, {{"```<｜tool▁call▁end｜>", kList, CallAction::kEnd}}}},
  };
  return kGrammar;
}

const CallGrammar& deepseek_v31_grammar() {
  enum : uint8_t { kList, kName, kArguments, kClose };
  static const CallGrammar kGrammar = {
      .openings = {{kListBegin, kList}},
      .states = {{Kind::kLiteral, {{kBegin, kName}, {kListEnd, CallGrammar::kOutside}}},
                 {Kind::kName, {{kSeparator, kArguments, CallAction::kName}}},
                 {Kind::kArguments, {{.literal = "", .next = kClose}}},
                 {Kind::kLiteral, {{"<｜tool▁call▁end｜>", kList, CallAction::kEnd}}}},
  };
  return kGrammar;
}

}  // namespace switchyard::parsing
