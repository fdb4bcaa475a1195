// UTF-8, one code point at a time, and the repair of bytes that are not UTF-8.
//
// Thread: any; free functions and plain values. Nothing here fails or blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace switchyard::text {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The code point that starts at text[at]; at moves past it. The text must be valid UTF-8 and at inside of it.
inline char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t lead = byte(at);
  if (lead < 0x80) {
    at += 1;
    return lead;
  }
  if (lead < 0xE0) {
    at += 2;
    return (lead & 0x1F) << 6 | (byte(at - 1) & 0x3F);
  }
  if (lead < 0xF0) {
    at += 3;
    return (lead & 0x0F) << 12 | (byte(at - 2) & 0x3F) << 6 | (byte(at - 1) & 0x3F);
  }
  at += 4;
  return (lead & 0x07) << 18 | (byte(at - 3) & 0x3F) << 12 | (byte(at - 2) & 0x3F) << 6 | (byte(at - 1) & 0x3F);
}

// Where the code point that ends before text[at] starts. The text must be valid UTF-8 and at > 0.
inline size_t previous_start(std::string_view text, size_t at) {
  do {
    --at;
  } while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

void append_code_point(std::string& out, char32_t c);
std::u32string to_code_points(std::string_view text);
std::string from_code_points(std::u32string_view text);
size_t code_point_count(std::string_view text);

// White_Space of Unicode: 25 code points.
bool is_white_space(char32_t c);

// Where the white space at the ends of a text ends and starts.
size_t end_of_leading_space(std::string_view text);
size_t start_of_trailing_space(std::string_view text);

// Bytes in, valid UTF-8 out: every maximal part of a broken sequence becomes one U+FFFD (Unicode 16, section 3.9,
// "Substitution of Maximal Subparts"; the same as WHATWG Encoding). Holds at most three bytes back between calls.
class Utf8Repair {
 public:
  void push(std::string_view bytes, std::string& out);
  // The end of the bytes: what was held back is broken.
  void finish(std::string& out);
  // Whether bytes are held back that may still become a character.
  bool holds() const { return held_count_ > 0; }

 private:
  std::array<char, 4> held_{};
  unsigned held_count_ = 0;
  unsigned needed_ = 0;  // continuation bytes still to come
  unsigned char low_ = 0x80, high_ = 0xBF;
};

// The whole at once.
std::string repair_utf8(std::string_view bytes);
bool is_valid_utf8(std::string_view bytes);

}  // namespace switchyard::text
