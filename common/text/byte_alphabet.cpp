#include "common/text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "common/text/utf8.h"

namespace switchyard::text {
namespace {

struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<int16_t, 0x144> byte{};  // -1: none; the last character is U+0143
  constexpr Alphabet() {
    for (auto& b : byte) b = -1;
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      const char32_t c = printable ? b : next++;
      character[b] = c;
      byte[c] = static_cast<int16_t>(b);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

char32_t byte_to_character(unsigned char byte) { return kAlphabet.character[byte]; }

bool append_token_bytes(std::string_view token, std::string& out) {
  const size_t before = out.size();
  for (size_t at = 0; at < token.size();) {
    const char32_t c = next_code_point(token, at);
    if (c >= kAlphabet.byte.size() || kAlphabet.byte[c] < 0) {
      out.resize(before);
      return false;
    }
    out += static_cast<char>(kAlphabet.byte[c]);
  }
  return true;
}

std::optional<std::string> token_to_bytes(std::string_view token) {
  std::string out;
  if (!append_token_bytes(token, out)) return std::nullopt;
  return out;
}

std::string bytes_to_token(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char b : bytes) append_code_point(out, kAlphabet.character[static_cast<unsigned char>(b)]);
  return out;
}

}  // namespace switchyard::text
