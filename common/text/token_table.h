// Tokens by id and ids by token: one arena of text, one table of open addressing.
//
// Thread: any for const use; add() from one thread, before.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::text {

class TokenTable {
 public:
  // Room for count tokens of text_bytes in all; more than these is a bug of the caller.
  TokenTable(size_t count, size_t text_bytes);

  // A token of its text. The same text again replaces its id.
  void add(std::string_view token, int32_t id);

  // The entry of a text, -1 for none.
  int32_t find(std::string_view token) const { return slots_[slot_of(token, hash(token))].entry; }
  int32_t id(int32_t entry) const { return entries_[static_cast<size_t>(entry)].id; }
  std::string_view text(int32_t entry) const {
    const Entry& e = entries_[static_cast<size_t>(entry)];
    return {arena_.data() + e.offset, e.size};
  }
  size_t size() const { return entries_.size(); }
  size_t text_bytes() const { return arena_.size(); }

 private:
  struct Entry {
    uint32_t offset;
    uint32_t size;
    int32_t id;
  };
  // The hash beside the entry spares most looks at texts that are not the one.
  struct Slot {
    uint32_t hash = 0;
    int32_t entry = -1;  // free
  };
  static size_t hash(std::string_view token) { return std::hash<std::string_view>{}(token); }
  // Where a text stands, or would.
  size_t slot_of(std::string_view token, size_t hash) const {
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.entry < 0 || (slot.hash == static_cast<uint32_t>(hash) && text(slot.entry) == token)) return at;
    }
  }

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;
  size_t mask_;
};

}  // namespace switchyard::text
