// A set of code points: a bitmap of the basic plane, ranges above it.
//
// Thread: any; constant once made. Memory: 8 KiB.
#pragma once

#include <bitset>
#include <span>

#include "common/text/unicode/tables.h"

namespace switchyard::text {

class CodePointSet {
 public:
  // ranges must outlive the set.
  explicit CodePointSet(std::span<const CodePointRange> ranges) : ranges_(ranges) {
    for (const auto& range : ranges) {
      for (char32_t c = range.first; c <= range.last && c < kPlane; ++c) low_.set(c);
    }
  }
  void add(char32_t first, char32_t last) {
    for (char32_t c = first; c <= last && c < kPlane; ++c) low_.set(c);
  }
  bool contains(char32_t c) const { return c < kPlane ? low_[c] : in_ranges(ranges_, c); }

 private:
  static constexpr char32_t kPlane = 0x10000;
  std::bitset<kPlane> low_;
  std::span<const CodePointRange> ranges_;
};

}  // namespace switchyard::text
