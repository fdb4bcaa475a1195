// What the system's libraries do not know about Unicode (PCRE2 10.42 has the tables of version 14, the reference
// tokenizers those of 16 and 17), or know too well (utf8proc normalises by version 15, the reference by version 9).
// The tables are written by make_tables.py.
//
// Thread: any; constant data.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace switchyard::text {

// Code points first..last, both included. Lists of ranges are sorted and do not overlap.
struct CodePointRange {
  char32_t first;
  char32_t last;
};

struct AddedCategory {
  std::string_view category;  // general category, two letters: "Lu"
  std::span<const CodePointRange> ranges;
};

// Nd, Nl and No of Unicode 17: what the reference takes for a digit.
std::span<const CodePointRange> numeric_ranges();
// Characters of Unicode 9 that NFC changes, reorders or may join to the character before.
std::span<const CodePointRange> nfc_unsafe_ranges();
// Characters assigned after Unicode 9 that a newer NFC would change, reorder or join.
std::span<const CodePointRange> nfc_late_ranges();
// General category P of Unicode 8: what the reference's Punctuation and BertPreTokenizer take for punctuation, beside
// the ASCII symbols.
std::span<const CodePointRange> punctuation_ranges();
// General categories Cc, Cf and Co of Unicode 8: what the reference's BertNormalizer takes out of a text.
std::span<const CodePointRange> control_ranges();
// General category Mn of Unicode 8: the accents of BertNormalizer.
std::span<const CodePointRange> nonspacing_ranges();
// General category M of Unicode 9: the accents of StripAccents.
std::span<const CodePointRange> mark_ranges();
// \w of Unicode 16 (UTS 18, annex C).
std::span<const CodePointRange> word_ranges();
// Characters that got their category after Unicode 14.
std::span<const AddedCategory> categories_added_since_14();

inline bool in_ranges(std::span<const CodePointRange> ranges, char32_t c) {
  size_t low = 0, high = ranges.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (ranges[middle].last < c) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < ranges.size() && ranges[low].first <= c;
}

}  // namespace switchyard::text
