#include "common/structured/characters.h"

#include <algorithm>
#include <array>

namespace switchyard::structured {
namespace {

constexpr uint32_t kSurrogateFirst = 0xD800;
constexpr uint32_t kSurrogateLast = 0xDFFF;

size_t encode(uint32_t c, std::array<uint8_t, 4>& out) {
  const auto tail = [&](uint32_t shift) { return static_cast<uint8_t>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    out[0] = static_cast<uint8_t>(c);
    return 1;
  }
  if (c < 0x800) {
    out[0] = static_cast<uint8_t>(0xC0 | (c >> 6));
    out[1] = tail(0);
    return 2;
  }
  if (c < 0x10000) {
    out[0] = static_cast<uint8_t>(0xE0 | (c >> 12));
    out[1] = tail(6);
    out[2] = tail(0);
    return 3;
  }
  out[0] = static_cast<uint8_t>(0xF0 | (c >> 18));
  out[1] = tail(12);
  out[2] = tail(6);
  out[3] = tail(0);
  return 4;
}

// The forms of [first, last], all of one length, as sequences of byte ranges: split until each byte's range is
// independent of the others (the method of Russ Cox's RE2, "UTF-8 ranges").
void add_ranges(Grammar& grammar, uint32_t first, uint32_t last, std::vector<Expr>& choices) {
  std::array<uint8_t, 4> low;
  std::array<uint8_t, 4> high;
  const size_t length = encode(first, low);
  for (size_t i = 1; i < length; ++i) {
    const uint32_t tail = (1U << (6 * i)) - 1;  // the bits of the last i bytes
    if ((first & ~tail) == (last & ~tail)) continue;
    if ((first & tail) != 0) {
      add_ranges(grammar, first, first | tail, choices);
      return add_ranges(grammar, (first | tail) + 1, last, choices);
    }
    if ((last & tail) != tail) {
      add_ranges(grammar, first, (last & ~tail) - 1, choices);
      return add_ranges(grammar, last & ~tail, last, choices);
    }
  }
  encode(last, high);
  std::vector<Expr> sequence;
  for (size_t i = 0; i < length; ++i) sequence.push_back(grammar.bytes(low[i], high[i]));
  choices.push_back(grammar.sequence(std::move(sequence)));
}

}  // namespace

void CharacterSet::add(uint32_t first, uint32_t last) {
  if (first > last) return;
  if (first <= kSurrogateLast && last >= kSurrogateFirst) {
    if (first < kSurrogateFirst) add(first, kSurrogateFirst - 1);
    if (last > kSurrogateLast) add(kSurrogateLast + 1, last);
    return;
  }
  ranges_.emplace_back(first, last);
  std::sort(ranges_.begin(), ranges_.end());
  std::vector<Range> merged;
  for (const Range& range : ranges_) {
    if (!merged.empty() && range.first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, range.second);
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

void CharacterSet::add(const CharacterSet& other) {
  for (const auto& [first, last] : other.ranges_) add(first, last);
}

CharacterSet CharacterSet::complement() const {
  CharacterSet result;
  uint32_t next = 0;
  for (const auto& [first, last] : ranges_) {
    if (first > next) result.add(next, first - 1);
    next = last + 1;
  }
  result.add(next, kCodePointLast);
  return result;
}

CharacterSet CharacterSet::minus(const CharacterSet& other) const {
  CharacterSet result = complement();
  result.add(other);
  return result.complement();
}

bool CharacterSet::contains(uint32_t code_point) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const Range& range) { return range.first <= code_point && code_point <= range.second; });
}

Expr utf8_character(Grammar& grammar, const CharacterSet& set) {
  static constexpr std::array<uint32_t, 4> kLastOfLength = {0x7F, 0x7FF, 0xFFFF, kCodePointLast};
  ByteSet ascii;
  std::vector<Expr> choices;
  for (auto [first, last] : set.ranges()) {
    for (const uint32_t bound : kLastOfLength) {
      if (first > last || first > bound) continue;
      const uint32_t end = std::min(last, bound);
      if (bound == kLastOfLength[0]) {
        for (uint32_t c = first; c <= end; ++c) ascii.set(c);
      } else {
        add_ranges(grammar, first, end, choices);
      }
      first = end + 1;
    }
  }
  if (ascii.any()) choices.push_back(grammar.bytes(ascii));
  return grammar.choice(std::move(choices));
}

uint32_t next_character(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  const uint32_t lead = byte(at++);
  if (lead < 0x80) return lead;
  const size_t tails = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  uint32_t c = lead & (0x3FU >> tails);
  for (size_t i = 0; i < tails; ++i) c = (c << 6) | (byte(at++) & 0x3F);
  return c;
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<uint8_t>(text[at]);
    const size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if ((lead >= 0x80 && lead < 0xC2) || lead > 0xF4 || at + length > text.size()) return false;
    for (size_t i = 1; i < length; ++i)
      if ((static_cast<uint8_t>(text[at + i]) & 0xC0) != 0x80) return false;
    const uint32_t c = next_character(text, at);
    std::array<uint8_t, 4> shortest;
    if (c > kCodePointLast || encode(c, shortest) != length || (c >= kSurrogateFirst && c <= kSurrogateLast))
      return false;
  }
  return true;
}

void append_utf8(std::string& text, uint32_t code_point) {
  std::array<uint8_t, 4> bytes;
  const size_t length = encode(code_point, bytes);
  text.append(reinterpret_cast<const char*>(bytes.data()), length);
}

}  // namespace switchyard::structured
