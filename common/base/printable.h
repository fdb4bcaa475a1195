// Bytes of unknown origin as a part of a log line or a message.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace switchyard {

// At most 256 bytes of it, anything but printable ASCII replaced.
inline std::string printable(std::string_view text) {
  std::string out(text.substr(0, 256));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

}  // namespace switchyard
