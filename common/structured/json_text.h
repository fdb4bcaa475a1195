// JSON as grammars: values of every kind, written compactly or with the white space that people use.
//
// White space, where JSON allows it behind '{', '[', ',' and ':' and before '}' and ']': nothing, a space, or a line
// break and up to kIndentMax spaces or tabs. A model cannot lose itself in it. Numbers have at most kIntegerDigits
// digits before the point, kFractionDigits behind it and kExponentDigits in the exponent, which every reader takes; a
// schema's bounds that need more digits get them. Strings are valid UTF-8, escapes of surrogates come in pairs. Nothing
// stands before the value or behind it.
//
// Thread: one at a time.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/structured/characters.h"
#include "common/structured/grammar.h"

namespace switchyard::structured {

inline constexpr uint32_t kIndentMax = 40;
inline constexpr uint32_t kIntegerDigits = 18;  // so that it fits int64
inline constexpr uint32_t kFractionDigits = 16;
inline constexpr uint32_t kExponentDigits = 2;

// One character of the set as it stands in a JSON string: itself, or the short escape of what must be escaped.
Expr json_character(Grammar& grammar, const CharacterSet& set);
// A value in its one compact form.
std::string json_literal(const boost::json::value& value);

class JsonText {
 public:
  // The grammar must outlive it.
  explicit JsonText(Grammar& grammar);

  Expr space();
  Expr value();    // any
  Expr object();   // any
  Expr array();    // any
  Expr string();   // any
  Expr number();   // any
  Expr integer();  // any
  Expr boolean();
  Expr null() { return grammar_.literal("null"); }
  // Of `least` to `most` characters.
  Expr string(uint32_t least, std::optional<uint32_t> most);
  // Any string that is none of these.
  Expr string_but(const std::vector<std::string>& names);

 private:
  Expr character();
  Expr shared(std::optional<Rule>& slot, const char* name, Expr (JsonText::*build)());
  Expr build_space();
  Expr build_value();
  Expr build_object();
  Expr build_array();
  Expr build_string();
  Expr build_number();
  Expr build_integer();

  Grammar& grammar_;
  std::optional<Rule> space_;
  std::optional<Rule> value_;
  std::optional<Rule> object_;
  std::optional<Rule> array_;
  std::optional<Rule> string_;
  std::optional<Rule> number_;
  std::optional<Rule> integer_;
};

}  // namespace switchyard::structured
