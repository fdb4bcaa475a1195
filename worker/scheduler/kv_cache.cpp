#include "worker/scheduler/kv_cache.h"

#include <algorithm>

#include "common/base/result.h"

namespace switchyard::worker {

KvCache::KvCache(std::vector<KvGroup> groups, uint32_t block_tokens) : block_tokens_(block_tokens) {
  for (const KvGroup& group : groups) {
    Pool pool{group, {}};
    for (uint32_t b = group.block_count; b > 0; --b) pool.free.push_back(static_cast<int32_t>(b - 1));
    pools_.push_back(std::move(pool));
  }
}

uint32_t KvCache::block_tokens() const { return block_tokens_; }
size_t KvCache::group_count() const { return pools_.size(); }

KvTables KvCache::make_tables() const { return KvTables{std::vector<std::vector<int32_t>>(pools_.size())}; }

bool KvCache::grow(KvTables& tables, uint32_t computed, uint32_t end) {
  const size_t blocks = (end + block_tokens_ - 1) / block_tokens_;
  std::vector<size_t> first(pools_.size());
  for (size_t g = 0; g < pools_.size(); ++g) {
    const uint32_t window = pools_[g].group.window;
    // The first position that position `computed` sees.
    const uint32_t seen = window == 0 || computed + 1 <= window ? 0 : computed + 1 - window;
    first[g] = std::max<size_t>(tables.tables[g].size(), seen / block_tokens_);
    if (blocks > first[g] && blocks - first[g] > pools_[g].free.size()) return false;
  }
  for (size_t g = 0; g < pools_.size(); ++g) {
    auto& table = tables.tables[g];
    if (blocks > table.size()) {
      table.resize(std::min(first[g], blocks), -1);
      while (table.size() < blocks) {
        table.push_back(pools_[g].free.back());
        pools_[g].free.pop_back();
      }
    }
  }
  return true;
}

void KvCache::slide(KvTables& tables, uint32_t computed) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const uint32_t window = pools_[g].group.window;
    if (window == 0 || computed + 1 <= window) continue;
    const size_t gone = (computed + 1 - window) / block_tokens_;
    auto& table = tables.tables[g];
    for (size_t b = 0; b < std::min(gone, table.size()); ++b) {
      if (table[b] < 0) continue;
      pools_[g].free.push_back(table[b]);
      table[b] = -1;
    }
  }
}

void KvCache::release(KvTables& tables) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    for (const int32_t block : tables.tables[g]) {
      if (block >= 0) pools_[g].free.push_back(block);
    }
    tables.tables[g].clear();
  }
}

size_t KvCache::blocks_held(const Pool& pool, uint32_t end) const {
  const size_t whole = (end + block_tokens_ - 1) / block_tokens_;
  if (pool.group.window == 0) return whole;
  return std::min<size_t>(whole, (pool.group.window + block_tokens_ - 1) / block_tokens_ + 2);
}

bool KvCache::has_room(uint32_t end, uint32_t spare) const {
  for (const Pool& pool : pools_) {
    if (blocks_held(pool, end) + spare > pool.free.size()) return false;
  }
  return true;
}

bool KvCache::could_fit(uint32_t end) const {
  for (const Pool& pool : pools_) {
    if (blocks_held(pool, end) > pool.group.block_count) return false;
  }
  return true;
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
    fullest = std::max(fullest, 1.0 - static_cast<double>(pool.free.size()) / pool.group.block_count);
  }
  return fullest;
}

}  // namespace switchyard::worker
