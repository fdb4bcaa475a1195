#include "common/structured/vocabulary.h"

#include <algorithm>
#include <limits>

#include "common/structured/characters.h"
#include "common/structured/token_set.h"

namespace switchyard::structured {
namespace {

// How many plain characters a token is; 0 for one that is not plain.
uint32_t plain_characters(std::string_view token) {
  if (!is_utf8(token)) return 0;
  uint32_t count = 0;
  for (size_t at = 0; at < token.size(); ++count) {
    const uint32_t c = next_character(token, at);
    if (c < 0x20 || c == '"' || c == '\\') return 0;
  }
  return count;
}

}  // namespace

std::string Vocabulary::special(std::string_view text) { return kSpecial + std::string(text) + kSpecial; }

Vocabulary::Vocabulary(const std::vector<std::string_view>& tokens, const std::vector<bool>& specials) {
  offsets_.reserve(tokens.size() + 1);
  for (size_t i = 0; i < tokens.size(); ++i) {
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
    if (tokens[i].empty() || tokens[i].find(kSpecial) != std::string_view::npos) continue;
    if (i < specials.size() && specials[i]) {
      bytes_ += special(tokens[i]);
    } else {
      bytes_ += tokens[i];
    }
  }
  offsets_.push_back(static_cast<uint32_t>(bytes_.size()));

  std::vector<int32_t> ids;
  std::vector<int32_t> others;
  for (auto& mask : plain_) mask.resize(mask_words());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string_view token = bytes(id);
    if (token.empty() || token.size() >= std::numeric_limits<uint16_t>::max()) continue;
    ids.push_back(id);
    const uint32_t characters = plain_characters(token);
    if (characters == 0 || characters > kPlainCharactersMax) {
      others.push_back(id);
    } else {
      for (uint32_t most = characters; most <= kPlainCharactersMax; ++most) set_bit(plain_[most], id);
    }
  }
  all_ = trie_of(std::move(ids));
  not_plain_ = trie_of(std::move(others));
}

Trie Vocabulary::trie_of(std::vector<int32_t> ids) const {
  std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    const int order = bytes(a).compare(bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
  Trie trie;
  auto& nodes = trie.nodes_;
  std::vector<uint32_t> path{0};  // nodes from the root to where the last token ends
  nodes.push_back({0, 0, 0, 0});
  std::string_view last;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string_view token = bytes(ids[i]);
    const auto [differs, unused] = std::mismatch(last.begin(), last.end(), token.begin(), token.end());
    const auto shared = static_cast<size_t>(differs - last.begin());
    while (path.size() > shared + 1) {
      nodes[path.back()].end = static_cast<uint32_t>(nodes.size());
      path.pop_back();
    }
    for (size_t depth = shared; depth < token.size(); ++depth) {
      path.push_back(static_cast<uint32_t>(nodes.size()));
      nodes.push_back(
          {0, static_cast<uint32_t>(i), static_cast<uint16_t>(depth + 1), static_cast<uint8_t>(token[depth])});
    }
    last = token;
  }
  for (const uint32_t node : path) nodes[node].end = static_cast<uint32_t>(nodes.size());
  nodes.push_back({0, static_cast<uint32_t>(ids.size()), 0, 0});
  trie.ids_ = std::move(ids);
  return trie;
}

std::string_view Vocabulary::bytes(int32_t id) const {
  const auto i = static_cast<size_t>(id);
  if (id < 0 || i + 1 >= offsets_.size()) return {};
  return std::string_view(bytes_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
}

size_t Vocabulary::memory_bytes() const {
  size_t total = bytes_.size() + offsets_.size() * sizeof(uint32_t) + plain_.size() * mask_words() * sizeof(uint32_t);
  for (const Trie* trie : {&all_, &not_plain_})
    total += trie->nodes_.size() * sizeof(Trie::Node) + trie->ids_.size() * sizeof(int32_t);
  return total;
}

}  // namespace switchyard::structured
