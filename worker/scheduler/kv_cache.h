// Who holds which KV blocks. Pure bookkeeping: the memory itself is the engine's.
//
// Layers are grouped by window: a block id of a group stands for one block in each of the group's layers. A
// full-attention group keeps every position; a sliding group gives blocks back once every position in them has slid out
// of the window. A window of w shows position p the positions p - w + 1 to p.
//
// Shared prefixes: where every layer keeps all positions (one group, no windows), a block whose positions are all
// computed can be published under what determines its contents, all tokens up to its end. A later sequence that begins
// with the same tokens takes the block as it is; by the same-bits invariant it holds the very bits that the sequence
// would compute. A published block that nobody holds stays until its place is needed, the one longest unused first.
//
// Bounds: between steps a sequence holds at most ceil((w - 1) / block_tokens) + 1 blocks of a window group; while a
// chunk of c positions is computed, ceil(c / block_tokens) + 1 more.
//
// Thread: the engine thread. Nothing here blocks or fails but for want of blocks; a block given back twice aborts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
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
  // The first `published` blocks hold a prefix that can be found under `prefix`.
  uint32_t published = 0;
  uint64_t prefix = 0;
};

class KvCache {
 public:
  // share_prefixes has no effect on a model with windows.
  KvCache(const std::vector<KvGroup>& groups, uint32_t block_tokens, bool share_prefixes = false);

  uint32_t block_tokens() const { return block_tokens_; }
  bool shares_prefixes() const { return shares_prefixes_; }
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

  // Takes published blocks into fresh tables: the longest run that holds the beginning of `tokens`, below position
  // `limit`. Returns the positions that need not be computed any more, whole blocks.
  uint32_t reuse(KvTables& tables, std::span<const int32_t> tokens, uint32_t limit);
  // Publishes the whole blocks of positions [0, computed), which hold `tokens`. Where another block holds the same
  // prefix already, the tables take that one instead of theirs.
  void publish(KvTables& tables, std::span<const int32_t> tokens, uint32_t computed);
  // Blocks that reuse() would take which somebody holds already: they need no room.
  uint64_t shared_blocks(std::span<const int32_t> tokens, uint32_t limit) const;

  // Whether positions [0, end) of a fresh sequence would fit now, computed in pieces as small as need be, leaving
  // `spare` blocks free in each group.
  bool has_room(uint32_t end, uint32_t spare) const;
  // The same with a number for each group, and `shared` blocks that need no room.
  bool has_room(uint32_t end, std::span<const uint64_t> spare, uint64_t shared = 0) const;
  // Adds to needed[group] the blocks that these tables have yet to take before positions [0, end) are computed, in
  // pieces as small as need be. Time: groups x blocks of a window.
  void add_needed(const KvTables& tables, uint32_t end, std::span<uint64_t> needed) const;
  // Whether a sequence of `end` positions could ever fit, alone.
  bool could_fit(uint32_t end) const;

  uint32_t blocks_total(size_t group) const { return pools_[group].group.block_count; }
  uint32_t blocks_free(size_t group) const { return static_cast<uint32_t>(pools_[group].available()); }
  uint64_t blocks_total() const;  // of all groups
  uint64_t blocks_used() const;   // held by sequences
  double usage() const;           // of the fullest group, 0..1

 private:
  struct Block {
    uint32_t holders = 0;
    // What a published block holds: its tokens behind the prefix `parent`, which together are the prefix `prefix`. 0 =
    // not published; the empty prefix is 0 too, and nobody's.
    uint64_t prefix = 0;
    uint64_t parent = 0;
    uint64_t hash = 0;  // of parent and tokens
    std::vector<int32_t> tokens;
    std::list<int32_t>::iterator idle;  // where it is in Pool::idle, while published and not held
  };
  struct Pool {
    KvGroup group;
    std::vector<int32_t> free;  // the last one is taken next
    std::list<int32_t> idle;    // published and not held; the first one is taken once none is free
    std::vector<Block> blocks;  // by block id

    size_t available() const { return free.size() + idle.size(); }
  };

  // Blocks that cover positions [0, end).
  size_t blocks_of(uint32_t end) const;
  // The first block that position `computed` of a sequence sees.
  size_t first_seen_block(const Pool& pool, uint32_t computed) const;
  // Blocks that a sequence of `end` positions holds at once at least, computed one position at a time.
  size_t blocks_at_once(const Pool& pool, uint32_t end) const;
  int32_t take(Pool& pool);
  static void give_back(Pool& pool, int32_t& block);
  // The published block of these tokens behind a prefix, or -1.
  int32_t find(uint64_t parent, std::span<const int32_t> tokens) const;
  void hold(int32_t block);
  // Blocks found one after the other along `tokens`, below `limit`: body(block).
  template <typename Body>
  void for_each_published(std::span<const int32_t> tokens, uint32_t limit, Body body) const;

  std::vector<Pool> pools_;
  uint32_t block_tokens_;
  bool shares_prefixes_;
  uint64_t last_prefix_ = 0;
  std::unordered_multimap<uint64_t, int32_t> published_;  // by hash
};

}  // namespace switchyard::worker
