// Who holds which KV blocks. Pure bookkeeping: the memory itself is the engine's.
//
// Layers are grouped by window: a block id of a group stands for one block in each of the group's layers. A
// full-attention group keeps every position; a sliding group gives blocks back once every position in them has slid out
// of the window.
//
// Thread: the engine thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace switchyard::worker {

struct KvGroup {
  uint32_t window = 0;       // 0 = full attention
  uint32_t block_count = 0;  // blocks of this group
};

// Block tables of one sequence: tables[group][position / block_tokens], -1 where a block was given back.
struct KvTables {
  std::vector<std::vector<int32_t>> tables;
};

class KvCache {
 public:
  KvCache(std::vector<KvGroup> groups, uint32_t block_tokens);

  uint32_t block_tokens() const;
  size_t group_count() const;
  KvTables make_tables() const;

  // Makes room for positions [0, end) of which [0, computed) are already in the cache. All or nothing: false, and
  // nothing changed, when any group is short of blocks.
  bool grow(KvTables& tables, uint32_t computed, uint32_t end);
  // Gives back the blocks that no position >= `computed` can see (window groups only).
  void slide(KvTables& tables, uint32_t computed);
  void release(KvTables& tables);

  // Whether positions [0, end) of a fresh sequence would fit now, leaving `spare` blocks free in each group.
  bool has_room(uint32_t end, uint32_t spare) const;
  // Whether a sequence of `end` positions could ever fit, alone.
  bool could_fit(uint32_t end) const;

  uint64_t blocks_total() const;
  uint64_t blocks_used() const;
  double usage() const;  // of the fullest group, 0..1

 private:
  struct Pool {
    KvGroup group;
    std::vector<int32_t> free;
  };
  // Blocks that a sequence of `end` positions holds between steps.
  size_t blocks_held(const Pool& pool, uint32_t end) const;

  std::vector<Pool> pools_;
  uint32_t block_tokens_;
};

}  // namespace switchyard::worker
