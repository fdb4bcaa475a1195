#include "common/text/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/unicode/code_point_set.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

bool is_word(char32_t c) {
  static const CodePointSet word(word_ranges());
  return word.contains(c);
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  size_t at = previous_start(text, text.size());
  return is_word(next_code_point(text, at));
}

bool starts_with_word(std::string_view text) {
  size_t at = 0;
  return !text.empty() && is_word(next_code_point(text, at));
}

}  // namespace

Result<std::vector<AddedToken>> load_added_tokens(const json::value& spec, std::string_view where) {
  std::vector<AddedToken> out;
  if (spec.is_null()) return out;
  const auto* list = spec.if_array();
  if (list == nullptr) return Error{Errc::kInvalid, fmt::format("{}: a list is expected", where)};
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string here = fmt::format("{}[{}]", where, i);
    SWITCHYARD_ASSIGN(const auto* object, as_object((*list)[i], here));
    AddedToken token;
    SWITCHYARD_ASSIGN(token.id, id_field(*object, "id", here));
    SWITCHYARD_ASSIGN(token.content, string_field(*object, "content", here));
    SWITCHYARD_ASSIGN(token.single_word, bool_field(*object, "single_word", false, here));
    SWITCHYARD_ASSIGN(token.lstrip, bool_field(*object, "lstrip", false, here));
    SWITCHYARD_ASSIGN(token.rstrip, bool_field(*object, "rstrip", false, here));
    SWITCHYARD_ASSIGN(token.special, bool_field(*object, "special", false, here));
    SWITCHYARD_ASSIGN(token.normalized, bool_field(*object, "normalized", !token.special, here));
    if (!token.content.empty()) out.push_back(std::move(token));
  }
  return out;
}

TokenFinder::TokenFinder() : nodes_(1) {}

void TokenFinder::add(std::string_view pattern, const AddedToken& token) {
  if (pattern.empty()) return;
  uint32_t node = 0;
  for (const char c : pattern) {
    const auto byte = static_cast<unsigned char>(c);
    auto& next = nodes_[node].next;
    const auto at =
        std::lower_bound(next.begin(), next.end(), byte, [](const auto& e, unsigned char b) { return e.first < b; });
    if (at != next.end() && at->first == byte) {
      node = at->second;
    } else {
      const auto fresh = static_cast<uint32_t>(nodes_.size());
      next.insert(at, {byte, fresh});
      if (node == 0) first_[byte] = fresh;
      node = fresh;
      nodes_.emplace_back();
    }
  }
  nodes_[node].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

void TokenFinder::split(std::string_view text, bool plain_special, std::vector<Segment>& out) const {
  size_t done = 0;  // up to here the text is in out
  size_t at = 0;
  while (at < text.size()) {
    uint32_t node = first_[static_cast<unsigned char>(text[at])];
    if (node == 0) {
      ++at;
      continue;
    }
    int32_t found = nodes_[node].token;
    size_t found_end = at + 1;
    for (size_t i = at + 1; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      const auto& next = nodes_[node].next;
      const auto edge =
          std::lower_bound(next.begin(), next.end(), byte, [](const auto& e, unsigned char b) { return e.first < b; });
      if (edge == next.end() || edge->first != byte) break;
      node = edge->second;
      if (nodes_[node].token >= 0) {
        found = nodes_[node].token;
        found_end = i + 1;
      }
    }
    if (found < 0) {
      ++at;
      continue;
    }
    // A match that is not taken still uses up its text, as in the reference.
    const AddedToken& token = tokens_[static_cast<size_t>(found)];
    size_t begin = at;
    size_t end = found_end;
    at = found_end;
    if (plain_special && token.special) continue;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) continue;
    if (token.lstrip) begin = done + start_of_trailing_space(text.substr(done, begin - std::min(done, begin)));
    if (token.rstrip) end += end_of_leading_space(text.substr(end));
    if (begin > done) out.push_back({text.substr(done, begin - done), -1});
    out.push_back({text.substr(begin, end - begin), token.id});
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) out.push_back({text.substr(done), -1});
}

}  // namespace switchyard::text
