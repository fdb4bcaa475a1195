#include "worker/scheduler/kv_cache.h"

#include <algorithm>
#include <utility>

#include "common/base/result.h"

namespace switchyard::worker {

KvCache::KvCache(const std::vector<KvGroup>& groups, uint32_t block_tokens) : block_tokens_(block_tokens) {
  SWITCHYARD_CHECK(block_tokens > 0);
  for (const KvGroup& group : groups) {
    Pool pool{group, std::vector<int32_t>(group.block_count), std::vector<uint8_t>(group.block_count, 1)};
    for (uint32_t i = 0; i < group.block_count; ++i) pool.free[i] = static_cast<int32_t>(group.block_count - 1 - i);
    pools_.push_back(std::move(pool));
  }
}

KvTables KvCache::make_tables() const { return {std::vector<std::vector<int32_t>>(pools_.size())}; }

size_t KvCache::blocks_of(uint32_t end) const { return (static_cast<size_t>(end) + block_tokens_ - 1) / block_tokens_; }

size_t KvCache::first_seen_block(const Pool& pool, uint32_t computed) const {
  const uint32_t window = pool.group.window;
  return window == 0 || computed < window ? 0 : (computed - window + 1) / block_tokens_;
}

size_t KvCache::blocks_at_once(const Pool& pool, uint32_t end) const {
  const size_t all = blocks_of(end);
  if (pool.group.window == 0) return all;
  // w positions in a row, wherever they start, touch at most this many blocks.
  return std::min(all, blocks_of(pool.group.window - 1) + 1);
}

bool KvCache::grow(KvTables& tables, uint32_t computed, uint32_t end) {
  if (largest_end(tables, computed, end) < end) return false;
  for (size_t g = 0; g < pools_.size(); ++g) {
    Pool& pool = pools_[g];
    std::vector<int32_t>& table = tables.tables[g];
    const size_t wanted = blocks_of(end);
    const size_t first = first_seen_block(pool, computed);
    if (table.size() < std::min(first, wanted)) table.resize(std::min(first, wanted), -1);
    while (table.size() < wanted) {
      const int32_t block = pool.free.back();
      pool.free.pop_back();
      pool.is_free[block] = 0;
      table.push_back(block);
    }
  }
  return true;
}

uint32_t KvCache::largest_end(const KvTables& tables, uint32_t computed, uint32_t wanted) const {
  SWITCHYARD_CHECK(tables.tables.size() == pools_.size());
  uint64_t end = std::max(computed, wanted);
  for (size_t g = 0; g < pools_.size(); ++g) {
    const Pool& pool = pools_[g];
    const std::vector<int32_t>& table = tables.tables[g];
    const size_t first = first_seen_block(pool, computed);
    // Going back to positions whose blocks were given back is a bug: their contents are gone.
    SWITCHYARD_CHECK(table.size() <= first || table[first] >= 0);
    const uint64_t reach = (std::max(table.size(), first) + pool.free.size()) * static_cast<uint64_t>(block_tokens_);
    end = std::min(end, reach);
  }
  return std::max(computed, static_cast<uint32_t>(end));
}

void KvCache::give_back(Pool& pool, int32_t& block) {
  SWITCHYARD_CHECK(block >= 0 && static_cast<size_t>(block) < pool.is_free.size() && !pool.is_free[block]);
  pool.is_free[block] = 1;
  pool.free.push_back(block);
  block = -1;
}

void KvCache::slide(KvTables& tables, uint32_t computed) {
  SWITCHYARD_CHECK(tables.tables.size() == pools_.size());
  for (size_t g = 0; g < pools_.size(); ++g) {
    std::vector<int32_t>& table = tables.tables[g];
    // Backwards to the first that is gone: the ones before it are gone too.
    for (size_t b = std::min(first_seen_block(pools_[g], computed), table.size()); b > 0 && table[b - 1] >= 0; --b) {
      give_back(pools_[g], table[b - 1]);
    }
  }
}

void KvCache::release(KvTables& tables) {
  SWITCHYARD_CHECK(tables.tables.size() <= pools_.size());
  for (size_t g = 0; g < tables.tables.size(); ++g) {
    for (int32_t& block : tables.tables[g]) {
      if (block >= 0) give_back(pools_[g], block);
    }
    tables.tables[g].clear();
  }
}

bool KvCache::has_room(uint32_t end, uint32_t spare) const {
  const std::vector<uint64_t> spares(pools_.size(), spare);
  return has_room(end, spares);
}

bool KvCache::has_room(uint32_t end, std::span<const uint64_t> spare) const {
  SWITCHYARD_CHECK(spare.size() == pools_.size());
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (blocks_at_once(pools_[g], end) + spare[g] > pools_[g].free.size()) return false;
  }
  return true;
}

void KvCache::add_needed(const KvTables& tables, uint32_t end, std::span<uint64_t> needed) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const size_t wanted = blocks_at_once(pools_[g], end);
    size_t held = 0;
    if (g < tables.tables.size()) {
      const std::vector<int32_t>& table = tables.tables[g];
      if (pools_[g].group.window == 0) {
        held = std::min(table.size(), wanted);
      } else {
        while (held < table.size() && held < wanted && table[table.size() - 1 - held] >= 0) ++held;
      }
    }
    needed[g] += wanted - held;
  }
}

bool KvCache::could_fit(uint32_t end) const {
  return std::all_of(pools_.begin(), pools_.end(),
                     [&](const Pool& pool) { return blocks_at_once(pool, end) <= pool.group.block_count; });
}

uint64_t KvCache::blocks_total() const {
  uint64_t total = 0;
  for (const Pool& pool : pools_) total += pool.group.block_count;
  return total;
}

uint64_t KvCache::blocks_used() const {
  uint64_t used = 0;
  for (const Pool& pool : pools_) used += pool.group.block_count - pool.free.size();
  return used;
}

double KvCache::usage() const {
  double fullest = 0.0;
  for (const Pool& pool : pools_) {
    if (pool.group.block_count == 0) continue;
    const double used = static_cast<double>(pool.group.block_count - pool.free.size());
    fullest = std::max(fullest, used / static_cast<double>(pool.group.block_count));
  }
  return fullest;
}

}  // namespace switchyard::worker
