#include "common/text/normalizers/precompiled.h"

#include <utf8proc.h>

#include <array>
#include <boost/json.hpp>
#include <optional>

#include "common/text/json_fields.h"
#include "common/text/unicode/tables.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

// RFC 4648, section 4; nothing for what is none.
std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    int value = -1;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    if (c >= '0' && c <= '9') value = c - '0' + 52;
    if (c == '+') value = 62;
    if (c == '/') value = 63;
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return out;
}

// One unit of darts-clone's array (https://github.com/s-yata/darts-clone, darts.h).
struct Unit {
  uint32_t bits;
  bool has_leaf() const { return (bits >> 8 & 1) != 0; }
  uint32_t value() const { return bits & 0x7FFFFFFF; }
  uint32_t label() const { return bits & 0x800000FF; }
  uint32_t offset() const { return (bits >> 10) << ((bits & 0x200) >> 6); }
};

// Whether a cluster goes on from one character to the next (UAX 29): utf8proc's rules, and the marks that it lacks.
bool joins(char32_t before, char32_t after, utf8proc_int32_t& state) {
  const bool breaks = utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                                       static_cast<utf8proc_int32_t>(after), &state) != 0;
  if (!breaks || after < 0x300) return !breaks;
  if (utf8proc_category(static_cast<utf8proc_int32_t>(after)) != UTF8PROC_CATEGORY_CN) return false;
  for (const auto& added : categories_added_since_14()) {
    if (added.category[0] == 'M' && in_ranges(added.ranges, after)) return before != '\n' && before != '\r';
  }
  return false;
}

class Precompiled : public Normalizer {
 public:
  Precompiled(std::vector<Unit> trie, std::string replacements)
      : trie_(std::move(trie)), replacements_(std::move(replacements)) {
    for (size_t c = 0; c < ascii_.size(); ++c) {
      const char byte = static_cast<char>(c);
      ascii_[c] = find({&byte, 1}).has_value();
    }
  }

  std::string normalize(std::string_view text) const override {
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    for (size_t at = 0; at < text.size();) {
      // A character of ASCII before another one is a cluster of its own, but for CR LF.
      const auto byte = static_cast<unsigned char>(text[at]);
      if (byte < 0x80 && !ascii_[byte] && (at + 1 == text.size() || static_cast<unsigned char>(text[at + 1]) < 0x80)) {
        out += text[at++];
        continue;
      }
      const size_t end = end_of_cluster(text, at);
      const std::string_view cluster = text.substr(at, end - at);
      at = end;
      if (cluster.size() < 6) {
        if (const auto found = find(cluster)) {
          out += *found;
          continue;
        }
      }
      for (size_t i = 0; i < cluster.size();) {
        const size_t begin = i;
        next_code_point(cluster, i);
        const std::string_view character = cluster.substr(begin, i - begin);
        out += find(character).value_or(character);
      }
    }
    return out;
  }

 private:
  static size_t end_of_cluster(std::string_view text, size_t at) {
    char32_t before = next_code_point(text, at);
    utf8proc_int32_t state = 0;
    while (at < text.size()) {
      size_t next = at;
      const char32_t after = next_code_point(text, next);
      // Ideographs and kana begin a cluster, whatever stands before them that is not a Prepend character of Unicode.
      if (!joins(before, after, state)) break;
      before = after;
      at = next;
    }
    return at;
  }

  // The replacement of the shortest key that text begins with.
  std::optional<std::string_view> find(std::string_view text) const {
    if (trie_.empty()) return std::nullopt;
    size_t node = trie_[0].offset();
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte == 0) return std::nullopt;
      node ^= byte;
      if (node >= trie_.size() || trie_[node].label() != byte) return std::nullopt;
      const Unit unit = trie_[node];
      node ^= unit.offset();
      if (node >= trie_.size()) return std::nullopt;
      if (unit.has_leaf()) return replacement(trie_[node].value());
    }
    return std::nullopt;
  }

  std::optional<std::string_view> replacement(size_t at) const {
    if (at >= replacements_.size() || (static_cast<unsigned char>(replacements_[at]) & 0xC0) == 0x80) {
      return std::nullopt;
    }
    const size_t end = std::min(replacements_.find('\0', at), replacements_.size());
    return std::string_view(replacements_).substr(at, end - at);
  }

  std::vector<Unit> trie_;
  std::string replacements_;
  std::array<bool, 128> ascii_{};  // has a replacement
};

}  // namespace

Status load_precompiled(const json::object& spec, std::string_view where, NormalizerSteps& steps) {
  SWITCHYARD_ASSIGN(const std::string text, string_field(spec, "precompiled_charsmap", where));
  const auto bytes = decode_base64(text);
  if (!bytes) return field_error(where, "precompiled_charsmap", "not base64");
  const auto number = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i)
      value |= static_cast<uint32_t>(static_cast<unsigned char>((*bytes)[at + i])) << 8 * i;
    return value;
  };
  if (bytes->size() < 4 || number(0) > bytes->size() - 4 || number(0) % 4 != 0) {
    return field_error(where, "precompiled_charsmap", "shorter than the trie that it announces");
  }
  const size_t trie_size = number(0);
  std::vector<Unit> trie;
  trie.reserve(trie_size / 4);
  for (size_t at = 4; at < 4 + trie_size; at += 4) trie.push_back({number(at)});
  std::string replacements = bytes->substr(4 + trie_size);
  if (!is_valid_utf8(replacements)) return field_error(where, "precompiled_charsmap", "replacements are not UTF-8");
  steps.push_back(std::make_unique<Precompiled>(std::move(trie), std::move(replacements)));
  return {};
}

}  // namespace switchyard::text
