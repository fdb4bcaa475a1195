// A tokenizer's tokens as bytes, in a trie: what masks are computed over.
//
// Thread: constant once built. Memory: some 6 MB for a vocabulary of 128k tokens, which has about 300,000 nodes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::structured {

class Trie {
 public:
  // In preorder: a node's subtree follows it, up to node `end`. Node 0 is the root, the empty text.
  struct Node {
    uint32_t end;
    uint32_t tokens;  // where the tokens that end here begin in ids(); they end where the next node's begin
    uint16_t depth;
    uint8_t byte;
  };
  std::span<const Node> nodes() const { return {nodes_.data(), nodes_.size() - 1}; }
  std::span<const int32_t> ids_at(uint32_t node) const {
    return {ids_.data() + nodes_[node].tokens, ids_.data() + nodes_[node + 1].tokens};
  }

 private:
  friend class Vocabulary;
  std::vector<Node> nodes_;  // and one more, the end
  std::vector<int32_t> ids_;
};

class Vocabulary {
 public:
  // A special token is its text between two of these bytes: no UTF-8 has them, so that only a grammar that says so
  // takes one, and takes it whole.
  static constexpr char kSpecial = '\xFF';
  static std::string special(std::string_view text);

  // A token's text by id, and which tokens are special (as many, or none). What is empty is never allowed by a grammar,
  // nor is a token whose text has a byte kSpecial, like a byte-level vocabulary's token of that byte: it can be part of
  // no text, and must not pass for a special token's mark.
  explicit Vocabulary(const std::vector<std::string_view>& tokens, const std::vector<bool>& specials = {});

  uint32_t size() const { return static_cast<uint32_t>(offsets_.size() - 1); }  // ids are below
  size_t mask_words() const { return (size() + 31) / 32; }
  // What a grammar sees of a token; empty for one that is never allowed.
  std::string_view bytes(int32_t id) const;

  const Trie& all() const { return all_; }

  // *Plain* tokens are whole characters that a JSON string takes as they are: no quote, no backslash, no control
  // characters. Where an automaton takes any of them alike, their number of characters is all that matters.
  static constexpr uint32_t kPlainCharactersMax = 32;  // tokens of more do not count as plain
  const Trie& not_plain() const { return not_plain_; }
  // As a mask, those of at most `characters` characters.
  std::span<const uint32_t> plain(uint32_t characters) const {
    return plain_[std::min(characters, kPlainCharactersMax)];
  }
  size_t memory_bytes() const;

 private:
  Trie trie_of(std::vector<int32_t> ids) const;

  std::string bytes_;
  std::vector<uint32_t> offsets_;
  Trie all_;
  Trie not_plain_;
  std::array<std::vector<uint32_t>, kPlainCharactersMax + 1> plain_;
};

}  // namespace switchyard::structured
