// What can be a function's name in a call.
#pragma once

#include <cstddef>
#include <string_view>

namespace switchyard::parsing {

inline constexpr size_t kNameBytesMax = 256;

// Names are not checked against the tools, as in vLLM: the client knows what to do with a name that it did not offer.
// But white space, quotes and brackets mean that something else was written.
inline bool is_function_name(std::string_view name) {
  constexpr std::string_view kBad = "\"<>{}[]\x7F";
  if (name.empty() || name.size() > kNameBytesMax) return false;
  for (const char c : name)
    if (static_cast<unsigned char>(c) <= 0x20 || kBad.find(c) != std::string_view::npos) return false;
  return true;
}

}  // namespace switchyard::parsing
