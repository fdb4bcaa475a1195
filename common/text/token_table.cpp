#include "common/text/token_table.h"

#include <bit>

#include "common/base/result.h"

namespace switchyard::text {

TokenTable::TokenTable(size_t count, size_t text_bytes) {
  SWITCHYARD_CHECK(text_bytes < UINT32_MAX && count < INT32_MAX / 4);
  arena_.reserve(text_bytes);
  entries_.reserve(count);
  slots_.assign(std::bit_ceil(2 * count + 2), Slot());  // at most half full
  mask_ = slots_.size() - 1;
}

void TokenTable::add(std::string_view token, int32_t id) {
  const size_t hashed = hash(token);
  Slot& slot = slots_[slot_of(token, hashed)];
  if (slot.entry >= 0) {
    entries_[static_cast<size_t>(slot.entry)].id = id;
    return;
  }
  SWITCHYARD_CHECK(arena_.size() + token.size() <= arena_.capacity() && 2 * entries_.size() < slots_.size());
  slot = {static_cast<uint32_t>(hashed), static_cast<int32_t>(entries_.size())};
  entries_.push_back({static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(token.size()), id});
  arena_ += token;
}

}  // namespace switchyard::text
