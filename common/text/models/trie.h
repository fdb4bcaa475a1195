// Strings and their values, for walking along a text byte by byte.
//
// Thread: any for const use; add() from one thread, before. Memory: 16 bytes per slot of a table at most half full of
// the bytes that distinct strings do not share.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace switchyard::text {

class Trie {
 public:
  using Node = int32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = -1;

  Trie();
  // The same text again replaces its value. value >= 0.
  void add(std::string_view text, int32_t value);
  // The node behind a byte; kNone where no string goes on so.
  Node step(Node node, unsigned char byte) const {
    if (node == kRoot) return first_[byte];
    const uint64_t key = pack(node, byte);
    for (size_t slot = spread(key) & mask_;; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return slots_[slot].node;
      if (slots_[slot].key == kFree) return kNone;
    }
  }
  Node walk(Node node, std::string_view text) const {
    for (size_t i = 0; i < text.size() && node != kNone; ++i) node = step(node, static_cast<unsigned char>(text[i]));
    return node;
  }
  // The value of the string that ends at a node, -1 for none.
  int32_t value(Node node) const { return values_[static_cast<size_t>(node)]; }

 private:
  struct Slot {
    uint64_t key;
    Node node;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};
  static uint64_t pack(Node node, unsigned char byte) { return static_cast<uint64_t>(node) << 8 | byte; }
  // Fibonacci hashing: 2^64 divided by the golden ratio; the high bits are the good ones.
  static size_t spread(uint64_t key) { return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> 32); }
  Node child(Node node, unsigned char byte);
  void grow();

  std::vector<Slot> slots_;
  size_t mask_;
  size_t used_ = 0;
  Node first_[256];  // behind the root
  std::vector<int32_t> values_;
};

}  // namespace switchyard::text
