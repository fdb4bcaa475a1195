// Grammars in EBNF, as llama.cpp's GBNF (grammars/README.md there) and XGrammar accept them:
//
//   root  ::= "yes" | "no" reason?      # a comment
//   reason ::= " because " [a-z ]{1,40}
//
// Names of letters, digits, '_', '-' and '.'; strings with the escapes \" \\ \n \r \t \xHH \uHHHH \UHHHHHHHH; character
// classes with ^ and ranges; `.` for any character; groups; * + ? {n} {n,} {n,m}. A rule ends where the next one
// begins. Refused by name: Lark's form ("start: ..."), lookaheads, rules that begin with themselves (automaton.h).
//
// Thread: any. Bounds: kRulesMax rules; groups nest to kEbnfDepthMax.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/result.h"
#include "common/structured/grammar.h"

namespace switchyard::structured {

inline constexpr size_t kRulesMax = 2000;
inline constexpr uint32_t kEbnfDepthMax = 64;

// The root is the rule "root". kInvalid names the line and what is wrong.
Result<Grammar> parse_ebnf(std::string_view text);

}  // namespace switchyard::structured
