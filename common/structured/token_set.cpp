#include "common/structured/token_set.h"

#include <bit>

namespace switchyard::structured {

TokenSet TokenSet::of(std::span<const uint32_t> mask) {
  TokenSet set;
  size_t count = 0;
  for (const uint32_t word : mask) count += static_cast<size_t>(std::popcount(word));
  set.dense_ = count >= mask.size() / 4;
  if (set.dense_) {
    set.entries_.assign(mask.begin(), mask.end());
    return set;
  }
  set.entries_.reserve(count);
  for (size_t i = 0; i < mask.size(); ++i) {
    for (uint32_t word = mask[i]; word != 0; word &= word - 1)
      set.entries_.push_back(static_cast<uint32_t>(32 * i) + static_cast<uint32_t>(std::countr_zero(word)));
  }
  return set;
}

void TokenSet::add_to(MaskView mask) const {
  if (dense_) {
    for (size_t i = 0; i < mask.size(); ++i) mask[i] |= entries_[i];
  } else {
    for (const uint32_t id : entries_) set_bit(mask, static_cast<int32_t>(id));
  }
}

}  // namespace switchyard::structured
