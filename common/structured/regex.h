// Regular expressions as grammars: the syntax that ECMAScript, Python and Rust share. Characters and escapes (\n \t \r
// \f \v \0 \xHH \uHHHH \u{H} \cX), classes with ranges, \d \w \s (as ECMAScript: \d and \w are ASCII, \s is not)
// and their complements, `.` (no line terminator, of which ECMAScript has four), groups with and without names,
// alternation, greedy and lazy quantifiers (the same language), ^ and $ at the ends of the whole or of its
// alternatives. Refused by name: lookarounds, backreferences, \b \B \p \P, flags, atomic groups, anchors elsewhere.
//
// Thread: any. Bounds: groups nest to kRegexDepthMax.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "common/base/result.h"
#include "common/structured/characters.h"
#include "common/structured/grammar.h"

namespace switchyard::structured {

inline constexpr uint32_t kRegexDepthMax = 64;

// How one character of a set is written in the text that is matched: utf8_character(), or json_character() within a
// JSON string.
using WriteCharacter = Expr (*)(Grammar&, const CharacterSet&);

enum class RegexMatch : uint8_t {
  kWhole,     // the whole text, as in guided decoding
  kAnywhere,  // some part of it, as in JSON Schema's "pattern"
};

// kInvalid: what is not supported or not a regular expression, with the position in `pattern`.
Result<Expr> parse_regex(Grammar& grammar, std::string_view pattern, RegexMatch match, WriteCharacter write);

}  // namespace switchyard::structured
