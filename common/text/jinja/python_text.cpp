#include "common/text/jinja/python_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "common/text/jinja/memory.h"
#include "common/text/utf8.h"

namespace switchyard::text::jinja {
namespace {

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
  }
}

// Characters whose capitals are several (SpecialCasing.txt, the unconditional ones of living scripts).
std::u32string_view special_upper(char32_t c) {
  switch (c) {
    case 0xDF: return U"SS";
    case 0x149: return U"\u02BCN";
    case 0x1F0: return U"J\u030C";
    case 0x390: return U"\u0399\u0308\u0301";
    case 0x3B0: return U"\u03A5\u0308\u0301";
    case 0x587: return U"\u0535\u0552";
    case 0xFB00: return U"FF";
    case 0xFB01: return U"FI";
    case 0xFB02: return U"FL";
    case 0xFB03: return U"FFI";
    case 0xFB04: return U"FFL";
    case 0xFB05:
    case 0xFB06: return U"ST";
    default: return {};
  }
}

void append_upper(std::string& out, char32_t c) {
  if (const auto special = special_upper(c); !special.empty()) {
    for (const char32_t s : special) append_code_point(out, s);
  } else {
    append_code_point(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_title(std::string& out, char32_t c) {
  if (const auto special = special_upper(c); !special.empty()) {
    append_code_point(out, special[0]);
    for (const char32_t s : special.substr(1)) {
      append_code_point(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(s))));
    }
  } else {
    append_code_point(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

bool case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x2019;
  }
}

// The small letter of text[i]; a sigma that ends a word is another one (SpecialCasing.txt, Final_Sigma).
void append_lower(std::string& out, const std::u32string& text, size_t i) {
  const char32_t c = text[i];
  if (c == 0x3A3) {
    size_t before = i;
    while (before > 0 && case_ignorable(text[before - 1])) --before;
    size_t after = i + 1;
    while (after < text.size() && case_ignorable(text[after])) ++after;
    const bool final = before > 0 && is_cased(text[before - 1]) && !(after < text.size() && is_cased(text[after]));
    append_code_point(out, final ? 0x3C2 : 0x3C3);
  } else if (c == 0x130) {
    out += "i\u0307";
  } else {
    append_code_point(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

bool is_line_end(char32_t c) {
  return (c >= 0xA && c <= 0xD) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

template <typename Predicate>
std::string_view strip_if(std::string_view text, Side side, const Predicate& drop) {
  while (side != Side::kRight && !text.empty()) {
    size_t at = 0;
    if (!drop(next_code_point(text, at))) break;
    text.remove_prefix(at);
  }
  while (side != Side::kLeft && !text.empty()) {
    const size_t begin = previous_start(text, text.size());
    size_t at = begin;
    if (!drop(next_code_point(text, at))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

}  // namespace

bool is_python_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

void append_string_repr(std::string& out, std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (printable(c)) {
      out += text.substr(begin, at - begin);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  out += quote;
}

bool is_cased(char32_t c) {
  const auto k = category(c);
  return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}
bool is_letter(char32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal_digit(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

std::string upper(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) append_upper(out, next_code_point(text, at));
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  const std::u32string points = to_code_points(text);
  for (size_t i = 0; i < points.size(); ++i) append_lower(out, points, i);
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  const std::u32string points = to_code_points(text);
  bool inside = false;
  for (size_t i = 0; i < points.size(); ++i) {
    if (inside) {
      append_lower(out, points, i);
    } else {
      append_title(out, points[i]);
    }
    inside = is_cased(points[i]);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  const std::u32string points = to_code_points(text);
  for (size_t i = 0; i < points.size(); ++i) {
    if (i == 0) {
      append_title(out, points[i]);
    } else {
      append_lower(out, points, i);
    }
  }
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  const std::u32string points = to_code_points(text);
  for (size_t i = 0; i < points.size(); ++i) {
    if (category(points[i]) == UTF8PROC_CATEGORY_LU) {
      append_lower(out, points, i);
    } else if (category(points[i]) == UTF8PROC_CATEGORY_LL) {
      append_upper(out, points[i]);
    } else {
      append_code_point(out, points[i]);
    }
  }
  return out;
}

bool is_lower_text(std::string_view text) {
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const auto k = category(next_code_point(text, at));
    if (k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT) return false;
    cased = cased || k == UTF8PROC_CATEGORY_LL;
  }
  return cased;
}

bool is_upper_text(std::string_view text) {
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const auto k = category(next_code_point(text, at));
    if (k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT) return false;
    cased = cased || k == UTF8PROC_CATEGORY_LU;
  }
  return cased;
}

std::string_view strip(std::string_view text, Side side) { return strip_if(text, side, is_python_space); }

std::string_view strip(std::string_view text, Side side, std::string_view characters) {
  const std::u32string set = to_code_points(characters);
  return strip_if(text, side, [&](char32_t c) { return set.find(c) != std::u32string::npos; });
}

namespace {

// A text can be cut into parts that take far more memory than it.
void add_part(std::vector<std::string>& parts, MemoryShare& share, std::string_view part) {
  share.grow(sizeof(std::string) + part.size());
  parts.emplace_back(part);
}

}  // namespace

std::vector<std::string> split_space(std::string_view text, int64_t limit, bool from_right) {
  std::vector<std::string> out;
  MemoryShare share;
  const Side near = from_right ? Side::kRight : Side::kLeft;
  text = strip(text, near);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<int64_t>(out.size()) == limit) {
      add_part(out, share, text);  // white space at its far side stays
      break;
    }
    size_t cut = from_right ? 0 : text.size();
    if (from_right) {
      for (size_t end = text.size(); end > 0;) {
        const size_t begin = previous_start(text, end);
        size_t at = begin;
        if (is_python_space(next_code_point(text, at))) {
          cut = end;
          break;
        }
        end = begin;
      }
      add_part(out, share, text.substr(cut));
      text = strip(text.substr(0, cut), near);
    } else {
      for (size_t at = 0; at < text.size();) {
        const size_t begin = at;
        if (is_python_space(next_code_point(text, at))) {
          cut = begin;
          break;
        }
      }
      add_part(out, share, text.substr(0, cut));
      text = strip(text.substr(cut), near);
    }
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split(std::string_view text, std::string_view separator, int64_t limit, bool from_right) {
  std::vector<std::string> out;
  MemoryShare share;
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    const size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    if (from_right) {
      add_part(out, share, text.substr(at + separator.size()));
      text = text.substr(0, at);
    } else {
      add_part(out, share, text.substr(0, at));
      text = text.substr(at + separator.size());
    }
  }
  add_part(out, share, text);
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> out;
  MemoryShare share;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (!is_line_end(c)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    add_part(out, share, text.substr(start, (keep_ends ? at : begin) - start));
    start = at;
  }
  if (start < text.size()) add_part(out, share, text.substr(start));
  return out;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  std::string out;
  int64_t done = 0;
  const auto may = [&] { return limit < 0 || done < limit; };
  if (from.empty()) {
    for (size_t at = 0; at < text.size();) {
      if (may()) {
        out += to;
        ++done;
      }
      const size_t begin = at;
      next_code_point(text, at);
      out += text.substr(begin, at - begin);
    }
    if (may()) out += to;
    return out;
  }
  while (may()) {
    const size_t at = text.find(from);
    if (at == std::string_view::npos) break;
    out += text.substr(0, at);
    out += to;
    text = text.substr(at + from.size());
    ++done;
  }
  out += text;
  return out;
}

std::string center(std::string_view text, int64_t width, std::string_view fill) {
  const auto count = static_cast<int64_t>(code_point_count(text));
  if (width <= count) return std::string(text);
  const int64_t pad = width - count;
  const int64_t left = pad / 2 + (pad & width & 1);  // CPython's choice of the odd one
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (int64_t i = left; i < pad; ++i) out += fill;
  return out;
}

std::string_view slice(std::string_view text, int64_t from, int64_t to) {
  const auto count = static_cast<int64_t>(code_point_count(text));
  const auto cut = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + count : i, 0, count); };
  from = cut(from);
  to = cut(to);
  if (to <= from) return {};
  if (static_cast<size_t>(count) == text.size())
    return text.substr(static_cast<size_t>(from), static_cast<size_t>(to - from));
  size_t at = 0;
  for (int64_t i = 0; i < from; ++i) next_code_point(text, at);
  const size_t begin = at;
  for (int64_t i = from; i < to; ++i) next_code_point(text, at);
  return text.substr(begin, at - begin);
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace switchyard::text::jinja
