// Who holds which KV blocks. Pure bookkeeping: the memory itself is the engine's.
//
// Layers are grouped by window: a block id of a group stands for one block in each of the group's layers. A
// full-attention group keeps every position; a sliding group gives blocks back once every position in them has slid out
// of the window. A window of w shows position p the positions p - w + 1 to p.
//
// Bounds: between steps a sequence holds at most ceil((w - 1) / block_tokens) + 1 blocks of a window group; while a
// chunk of c positions is computed, ceil(c / block_tokens) + 1 more.
//
// Thread: the engine thread. Nothing here blocks or fails but for want of blocks; a block given back twice aborts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace switchyard::worker {

struct KvGroup {
  uint32_t window = 0;       // 0 = full attention
  uint32_t block_count = 0;  // blocks of this group
};

// Block tables of one sequence: tables[group][position / block_tokens], -1 where a block was given back. What a table
// holds is one unbroken run up to its end.
struct KvTables {
  std::vector<std::vector<int32_t>> tables;
};

class KvCache {
 public:
  KvCache(const std::vector<KvGroup>& groups, uint32_t block_tokens);

  uint32_t block_tokens() const { return block_tokens_; }
  size_t group_count() const { return pools_.size(); }
  KvTables make_tables() const;

  // Makes room for positions [0, end) of which [0, computed) are already in the cache; in a window group only for those
  // that position `computed` or a later one sees. All or nothing: false, and nothing changed, when any group is short
  // of blocks.
  bool grow(KvTables& tables, uint32_t computed, uint32_t end);
  // The largest end in [computed, wanted] for which grow() would succeed now.
  uint32_t largest_end(const KvTables& tables, uint32_t computed, uint32_t wanted) const;
  // Gives back the blocks that no position >= `computed` can see (window groups only).
  void slide(KvTables& tables, uint32_t computed);
  // Gives back all of them: the tables are as make_tables() gave them.
  void release(KvTables& tables);

  // Whether positions [0, end) of a fresh sequence would fit now, computed in pieces as small as need be, leaving
  // `spare` blocks free in each group.
  bool has_room(uint32_t end, uint32_t spare) const;
  // The same with a number for each group.
  bool has_room(uint32_t end, std::span<const uint64_t> spare) const;
  // Adds to needed[group] the blocks that these tables have yet to take before positions [0, end) are computed, in
  // pieces as small as need be. Time: groups x blocks of a window.
  void add_needed(const KvTables& tables, uint32_t end, std::span<uint64_t> needed) const;
  // Whether a sequence of `end` positions could ever fit, alone.
  bool could_fit(uint32_t end) const;

  uint32_t blocks_total(size_t group) const { return pools_[group].group.block_count; }
  uint32_t blocks_free(size_t group) const { return static_cast<uint32_t>(pools_[group].free.size()); }
  uint64_t blocks_total() const;  // of all groups
  uint64_t blocks_used() const;
  double usage() const;  // of the fullest group, 0..1

 private:
  struct Pool {
    KvGroup group;
    std::vector<int32_t> free;     // the last one is taken next
    std::vector<uint8_t> is_free;  // by block id
  };

  // Blocks that cover positions [0, end).
  size_t blocks_of(uint32_t end) const;
  // The first block that position `computed` of a sequence sees.
  size_t first_seen_block(const Pool& pool, uint32_t computed) const;
  // Blocks that a sequence of `end` positions holds at once at least, computed one position at a time.
  size_t blocks_at_once(const Pool& pool, uint32_t end) const;
  static void give_back(Pool& pool, int32_t& block);

  std::vector<Pool> pools_;
  uint32_t block_tokens_;
};

}  // namespace switchyard::worker
