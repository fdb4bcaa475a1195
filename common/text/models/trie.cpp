#include "common/text/models/trie.h"

#include <algorithm>
#include <utility>

namespace switchyard::text {

Trie::Trie() : slots_(1024, Slot{kFree, kNone}), mask_(slots_.size() - 1), values_(1, -1) {
  std::fill(std::begin(first_), std::end(first_), kNone);
}

void Trie::add(std::string_view text, int32_t value) {
  Node node = kRoot;
  for (const char c : text) node = child(node, static_cast<unsigned char>(c));
  values_[static_cast<size_t>(node)] = value;
}

Trie::Node Trie::child(Node node, unsigned char byte) {
  if (const Node known = step(node, byte); known != kNone) return known;
  const auto fresh = static_cast<Node>(values_.size());
  values_.push_back(-1);
  if (node == kRoot) {
    first_[byte] = fresh;
    return fresh;
  }
  if (2 * ++used_ > slots_.size()) grow();
  const uint64_t key = pack(node, byte);
  size_t slot = spread(key) & mask_;
  while (slots_[slot].key != kFree) slot = (slot + 1) & mask_;
  slots_[slot] = {key, fresh};
  return fresh;
}

void Trie::grow() {
  std::vector<Slot> old(2 * slots_.size(), Slot{kFree, kNone});
  std::swap(old, slots_);
  mask_ = slots_.size() - 1;
  for (const auto& entry : old) {
    if (entry.key == kFree) continue;
    size_t slot = spread(entry.key) & mask_;
    while (slots_[slot].key != kFree) slot = (slot + 1) & mask_;
    slots_[slot] = entry;
  }
}

}  // namespace switchyard::text
