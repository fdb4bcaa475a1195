#include "frontend/text/token_table.h"

#include <bit>

#include "common/base/result.h"

namespace switchyard::text {

TokenTable::TokenTable(size_t count, size_t text_bytes) {
  SWITCHYARD_CHECK(text_bytes < UINT32_MAX && count < INT32_MAX / 4);
  arena_.reserve(text_bytes);
  entries_.reserve(count);
  slots_.assign(std::bit_ceil(2 * count + 2), -1);  // at most half full
  mask_ = slots_.size() - 1;
}

void TokenTable::add(std::string_view token, int32_t id) {
  if (const int32_t entry = find(token); entry >= 0) {
    entries_[static_cast<size_t>(entry)].id = id;
    return;
  }
  SWITCHYARD_CHECK(arena_.size() + token.size() <= arena_.capacity() && 2 * entries_.size() < slots_.size());
  const auto offset = static_cast<uint32_t>(arena_.size());
  arena_ += token;
  entries_.push_back({offset, static_cast<uint32_t>(token.size()), id});
  size_t slot = hash(token) & mask_;
  while (slots_[slot] >= 0) slot = (slot + 1) & mask_;
  slots_[slot] = static_cast<int32_t>(entries_.size() - 1);
}

}  // namespace switchyard::text
