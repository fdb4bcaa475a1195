// A set of token ids: a list while it is small, else a bit a token, so that a mask of five tokens does not cost the
// vocabulary.
//
// Thread: any, on data of its own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace switchyard::structured {

// Bit id % 32 of word id / 32 is token id.
using MaskView = std::span<uint32_t>;

inline void set_bit(MaskView mask, int32_t id) { mask[static_cast<size_t>(id) / 32] |= 1U << (id % 32); }
inline void clear_bit(MaskView mask, int32_t id) { mask[static_cast<size_t>(id) / 32] &= ~(1U << (id % 32)); }
inline bool test_bit(std::span<const uint32_t> mask, int32_t id) {
  return (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1U) != 0;
}

class TokenSet {
 public:
  TokenSet() = default;
  static TokenSet of(std::span<const uint32_t> mask);
  void add_to(MaskView mask) const;
  size_t memory_bytes() const { return entries_.size() * sizeof(uint32_t); }

 private:
  std::vector<uint32_t> entries_;  // ids, or the mask's words
  bool dense_ = false;
};

}  // namespace switchyard::structured
