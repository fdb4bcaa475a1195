#include "common/text/unicode/forms.h"

#include <utf8proc.h>

#include <cstdlib>

#include "common/text/unicode/code_point_set.h"
#include "common/text/utf8.h"

namespace switchyard::text {
namespace {

// Below, nothing is changed or moved.
char32_t first_unsafe(UnicodeForm form) { return form == UnicodeForm::kNfc ? 0x300 : 0xA0; }

bool is_syllable(char32_t c) { return c >= 0xAC00 && c < 0xD7A4; }

// Whether a form changes or moves a character, or joins it to the one before.
bool is_unsafe(char32_t c, UnicodeForm form) {
  if (c < first_unsafe(form) || (c >= 0x3400 && c < 0xA000)) return false;
  const bool composed = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  if (is_syllable(c)) return !composed;
  static const CodePointSet late(nfc_late_ranges());
  if (late.contains(c)) return false;
  if (composed) {
    static const CodePointSet unsafe(nfc_unsafe_ranges());
    if (unsafe.contains(c)) return true;
    if (form == UnicodeForm::kNfc) return false;
  }
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
  return property->combining_class != 0 || property->decomp_seqindex != UINT16_MAX;
}

void append_form(std::string_view segment, UnicodeForm form, std::string& out) {
  int options = UTF8PROC_STABLE;
  options |= form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* mapped = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(segment.data()),
                   static_cast<utf8proc_ssize_t>(segment.size()), &mapped, static_cast<utf8proc_option_t>(options));
  if (size < 0) {
    out += segment;
  } else {
    out.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  }
  std::free(mapped);
}

// What utf8proc 2.8 (Unicode 15) does not know, and the one character whose lower case is two.
void append_lower(char32_t c, std::string& out) {
  if (c == 0x130) {
    out += "i\u0307";
    return;
  }
  struct Late {
    char32_t first, last;
    char32_t lower;  // of first; the others follow in step
  };
  constexpr Late kLate[] = {
      {0x1C89, 0x1C89, 0x1C8A},    {0xA7CB, 0xA7CB, 0x264},     {0xA7CC, 0xA7CC, 0xA7CD}, {0xA7CE, 0xA7CE, 0xA7CF},
      {0xA7D2, 0xA7D2, 0xA7D3},    {0xA7D4, 0xA7D4, 0xA7D5},    {0xA7DA, 0xA7DA, 0xA7DB}, {0xA7DC, 0xA7DC, 0x19B},
      {0x10D50, 0x10D65, 0x10D70}, {0x16EA0, 0x16EB8, 0x16EBB},
  };
  for (const auto& late : kLate) {
    if (c >= late.first && c <= late.last) return append_code_point(out, late.lower + (c - late.first));
  }
  append_code_point(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

}  // namespace

std::string normalize_unicode(std::string_view text, UnicodeForm form) {
  // A segment is a starter and the unsafe characters after it; nothing in it acts on its neighbours, so that only
  // segments of more than a safe starter are worth a call.
  static const CodePointSet late(nfc_late_ranges());
  std::string out;
  out.reserve(text.size());
  size_t segment = 0;
  bool dirty = false;
  const auto flush = [&](size_t end) {
    if (dirty) {
      append_form(text.substr(segment, end - segment), form, out);
    } else {
      out += text.substr(segment, end - segment);
    }
    segment = end;
    dirty = false;
  };
  size_t starter = 0;  // where the last safe character starts
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (is_unsafe(c, form)) {
      if (!dirty) {
        flush(starter);
        dirty = true;
      }
      continue;
    }
    if (dirty) flush(begin);
    starter = begin;
    if (c >= 0x300 && late.contains(c)) {
      flush(at);
      starter = at;
    }
  }
  flush(text.size());
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const char byte = text[at];
    if (static_cast<unsigned char>(byte) < 0x80) {
      out += byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + ('a' - 'A')) : byte;
      ++at;
      continue;
    }
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (c >= 0x2E80 && c < 0xA640) {  // ideographs and syllabaries have no case
      out += text.substr(begin, at - begin);
    } else {
      append_lower(c, out);
    }
  }
  return out;
}

}  // namespace switchyard::text
