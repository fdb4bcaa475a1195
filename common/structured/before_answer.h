// What a model writes before the answer that a constraint is about: its reasoning, by the markers that end it.
//
// A marker is a special token, by its id alone, or is written in ordinary ones, which parsers of the text take for it
// too; other special tokens do not occur. Thread: any.
#pragma once

#include <cstddef>
#include <string>

#include "common/structured/grammar.h"

namespace switchyard::structured {

inline constexpr size_t kMarkerMax = 64;  // bytes

// Anything up to the first `close`, and up to three line breaks. opens: "" where the text is inside already; else
// reasoning begins with it, or there is none.
Expr reasoning(Grammar& grammar, const std::string& opens, const std::string& close);

// Analysis messages and the header of the final one (Constraint::in_harmony).
Expr harmony_before_answer(Grammar& grammar);

}  // namespace switchyard::structured
