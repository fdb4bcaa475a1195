#include "worker/scheduler/kv_cache.h"

#include <algorithm>
#include <utility>

#include "common/base/result.h"

namespace switchyard::worker {

namespace {

// Any mixing would do: what is found is compared.
uint64_t hash_of(uint64_t parent, std::span<const int32_t> tokens) {
  uint64_t hash = parent + 0x9e3779b97f4a7c15U;
  for (const int32_t token : tokens) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 0xff51afd7ed558ccdU;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace

KvCache::KvCache(const std::vector<KvGroup>& groups, uint32_t block_tokens, bool share_prefixes)
    : block_tokens_(block_tokens), shares_prefixes_(share_prefixes && groups.size() == 1 && groups[0].window == 0) {
  SWITCHYARD_CHECK(block_tokens > 0);
  for (const KvGroup& group : groups) {
    Pool pool{group, std::vector<int32_t>(group.block_count), {}, std::vector<Block>(group.block_count)};
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
    while (table.size() < wanted) table.push_back(take(pool));
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
    const uint64_t reach = (std::max(table.size(), first) + pool.available()) * static_cast<uint64_t>(block_tokens_);
    end = std::min(end, reach);
  }
  return std::max(computed, static_cast<uint32_t>(end));
}

int32_t KvCache::take(Pool& pool) {
  int32_t block = -1;
  if (!pool.free.empty()) {
    block = pool.free.back();
    pool.free.pop_back();
  } else {
    SWITCHYARD_CHECK(!pool.idle.empty());
    block = pool.idle.front();
    pool.idle.pop_front();
    Block& old = pool.blocks[static_cast<size_t>(block)];
    const auto [begin, end] = published_.equal_range(old.hash);
    published_.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == block; }));
    old.prefix = 0;
  }
  pool.blocks[static_cast<size_t>(block)].holders = 1;
  return block;
}

void KvCache::give_back(Pool& pool, int32_t& block) {
  SWITCHYARD_CHECK(block >= 0 && static_cast<size_t>(block) < pool.blocks.size());
  Block& given = pool.blocks[static_cast<size_t>(block)];
  SWITCHYARD_CHECK(given.holders > 0);
  if (--given.holders == 0) {
    if (given.prefix != 0) {
      given.idle = pool.idle.insert(pool.idle.end(), block);
    } else {
      pool.free.push_back(block);
    }
  }
  block = -1;
}

int32_t KvCache::find(uint64_t parent, std::span<const int32_t> tokens) const {
  const auto [begin, end] = published_.equal_range(hash_of(parent, tokens));
  for (auto entry = begin; entry != end; ++entry) {
    const Block& block = pools_[0].blocks[static_cast<size_t>(entry->second)];
    if (block.parent == parent && std::equal(tokens.begin(), tokens.end(), block.tokens.begin(), block.tokens.end())) {
      return entry->second;
    }
  }
  return -1;
}

void KvCache::hold(int32_t block) {
  Block& held = pools_[0].blocks[static_cast<size_t>(block)];
  if (held.holders++ == 0) pools_[0].idle.erase(held.idle);
}

template <typename Body>
void KvCache::for_each_published(std::span<const int32_t> tokens, uint32_t limit, Body body) const {
  if (!shares_prefixes_) return;
  uint64_t prefix = 0;
  const size_t end = std::min<size_t>(tokens.size(), limit) / block_tokens_ * block_tokens_;
  for (size_t at = 0; at < end; at += block_tokens_) {
    const int32_t block = find(prefix, tokens.subspan(at, block_tokens_));
    if (block < 0) return;
    prefix = pools_[0].blocks[static_cast<size_t>(block)].prefix;
    body(block);
  }
}

uint32_t KvCache::reuse(KvTables& tables, std::span<const int32_t> tokens, uint32_t limit) {
  for_each_published(tokens, limit, [&](int32_t block) {
    hold(block);
    tables.tables[0].push_back(block);
    tables.prefix = pools_[0].blocks[static_cast<size_t>(block)].prefix;
    ++tables.published;
  });
  return tables.published * block_tokens_;
}

void KvCache::publish(KvTables& tables, std::span<const int32_t> tokens, uint32_t computed) {
  if (!shares_prefixes_) return;
  SWITCHYARD_CHECK(computed <= tokens.size());
  Pool& pool = pools_[0];
  for (; (tables.published + 1) * block_tokens_ <= computed; ++tables.published) {
    int32_t& mine = tables.tables[0][tables.published];
    const auto held = tokens.subspan(size_t{tables.published} * block_tokens_, block_tokens_);
    const int32_t found = find(tables.prefix, held);
    if (found >= 0) {
      hold(found);
      give_back(pool, mine);
      mine = found;
    } else {
      Block& block = pool.blocks[static_cast<size_t>(mine)];
      block.parent = tables.prefix;
      block.prefix = ++last_prefix_;
      block.tokens.assign(held.begin(), held.end());
      block.hash = hash_of(block.parent, held);
      published_.emplace(block.hash, mine);
    }
    tables.prefix = pool.blocks[static_cast<size_t>(mine)].prefix;
  }
}

uint64_t KvCache::shared_blocks(std::span<const int32_t> tokens, uint32_t limit) const {
  uint64_t count = 0;
  for_each_published(tokens, limit, [&](int32_t block) {
    count += pools_[0].blocks[static_cast<size_t>(block)].holders != 0 ? 1 : 0;
  });
  return count;
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
    std::vector<int32_t>& table = tables.tables[g];
    // From the end: of a prefix that nobody holds, the end goes first.
    for (auto block = table.rbegin(); block != table.rend(); ++block) {
      if (*block >= 0) give_back(pools_[g], *block);
    }
    table.clear();
  }
  tables.published = 0;
  tables.prefix = 0;
}

bool KvCache::has_room(uint32_t end, uint32_t spare) const {
  const std::vector<uint64_t> spares(pools_.size(), spare);
  return has_room(end, spares);
}

bool KvCache::has_room(uint32_t end, std::span<const uint64_t> spare, uint64_t shared) const {
  SWITCHYARD_CHECK(spare.size() == pools_.size());
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (blocks_at_once(pools_[g], end) + spare[g] > pools_[g].available() + shared) return false;
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
  for (const Pool& pool : pools_) used += pool.group.block_count - pool.available();
  return used;
}

double KvCache::usage() const {
  double fullest = 0.0;
  for (const Pool& pool : pools_) {
    if (pool.group.block_count == 0) continue;
    const double used = static_cast<double>(pool.group.block_count - pool.available());
    fullest = std::max(fullest, used / static_cast<double>(pool.group.block_count));
  }
  return fullest;
}

}  // namespace switchyard::worker
