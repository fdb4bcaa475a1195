// Where UTF-8 is well-formed, one sequence at a time (whole texts: common/text/utf8.h).
#pragma once

#include <cstddef>
#include <string_view>

namespace switchyard::frontend {

// Bytes of the well-formed sequence that text begins with (RFC 3629: no surrogates, no overlong forms), or 0.
inline size_t utf8_sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  if (text.empty()) return 0;
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4 || !continues(1)) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) {
    if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) >= 0xA0)) return 0;
    return continues(2) ? 3 : 0;
  }
  if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) >= 0x90)) return 0;
  return continues(2) && continues(3) ? 4 : 0;
}

}  // namespace switchyard::frontend
