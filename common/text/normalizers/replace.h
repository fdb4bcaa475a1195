// Replaces each match of a pattern, {"String": text} or {"Regex": source}, by a text: as a normalizer, and the pattern
// for the decoder of the same name.
//
// Thread: any. Fails with kInvalid, naming the key.
#pragma once

#include "common/text/normalizer.h"
#include "common/text/regex.h"

namespace switchyard::text {

// The value of a "pattern". literal: the text of a String.
struct Pattern {
  Regex regex;
  std::optional<std::string> literal;
};
Result<Pattern> pattern_field(const boost::json::object& spec, std::string_view where);

std::string replace_matches(const Regex& regex, std::string_view text, std::string_view content);

Status load_replace(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);

}  // namespace switchyard::text
