// The alphabet of byte-level vocabularies: each byte as one printable character (GPT-2's bytes_to_unicode). Printable
// bytes of Latin-1 stand for themselves, the other 68 for U+0100 onwards in their order.
//
// Thread: any; constant data.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace switchyard::text {

// The character of a byte.
char32_t byte_to_character(unsigned char byte);
// The bytes of a token, or none where it has a character outside of the alphabet. Valid UTF-8.
std::optional<std::string> token_to_bytes(std::string_view token);
// Appends them; false, and out as it was, where there are none.
bool append_token_bytes(std::string_view token, std::string& out);
// The characters of bytes.
std::string bytes_to_token(std::string_view bytes);

}  // namespace switchyard::text
