// Sets of Unicode scalar values, and the grammars of their UTF-8 forms.
//
// Thread: any, on data of its own.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "common/structured/grammar.h"

namespace switchyard::structured {

inline constexpr uint32_t kCodePointLast = 0x10FFFF;

// Ranges in ascending order, neither overlapping nor touching; no surrogates.
class CharacterSet {
 public:
  using Range = std::pair<uint32_t, uint32_t>;  // first, last

  CharacterSet() = default;
  CharacterSet(uint32_t first, uint32_t last) { add(first, last); }
  static CharacterSet all() { return {0, kCodePointLast}; }

  void add(uint32_t first, uint32_t last);
  void add(const CharacterSet& other);
  CharacterSet complement() const;
  CharacterSet minus(const CharacterSet& other) const;

  const std::vector<Range>& ranges() const { return ranges_; }
  bool contains(uint32_t code_point) const;

 private:
  std::vector<Range> ranges_;
};

// One character of the set, as UTF-8.
Expr utf8_character(Grammar& grammar, const CharacterSet& set);

// The scalar value that begins at `at` of a valid UTF-8 text, and `at` after it.
uint32_t next_character(std::string_view text, size_t& at);
// Whether all of it is UTF-8: no surrogates, no overlong forms.
bool is_utf8(std::string_view text);
void append_utf8(std::string& text, uint32_t code_point);

}  // namespace switchyard::structured
