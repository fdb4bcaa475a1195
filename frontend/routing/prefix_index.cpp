#include "frontend/routing/prefix_index.h"

#include <algorithm>

namespace switchyard::frontend {
namespace {

// The finalizer of MurmurHash3 (Appleby, public domain): every bit of the input moves every bit of the output.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdU;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53U;
  return x ^ (x >> 33);
}

}  // namespace

std::vector<uint64_t> PrefixIndex::blocks_of(std::span<const int32_t> prompt) {
  std::vector<uint64_t> blocks(std::min(prompt.size() / kBlockTokens, kPromptBlocksMax));
  uint64_t hash = 0x9e3779b97f4a7c15U;
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (size_t i = 0; i < kBlockTokens; ++i)
      hash = mix(hash ^ static_cast<uint32_t>(prompt[b * kBlockTokens + i])) + 0x9e3779b97f4a7c15U;
    blocks[b] = hash;
  }
  return blocks;
}

std::vector<PrefixIndex::Match> PrefixIndex::matches(const std::vector<uint64_t>& blocks) const {
  std::vector<Match> all;
  for (size_t b = 0; b < blocks.size(); ++b) {
    const auto found = entries_.find(blocks[b]);
    if (found == entries_.end()) break;
    const Entry& entry = found->second;
    bool grew = false;
    for (uint32_t i = 0; i < entry.count; ++i) {
      const auto have = std::find_if(all.begin(), all.end(), [&](const Match& m) { return m.rank == entry.ranks[i]; });
      if (have == all.end() && b > 0) continue;
      if (have != all.end() && have->tokens != b * kBlockTokens) continue;
      const auto tokens = static_cast<uint32_t>((b + 1) * kBlockTokens);
      if (have == all.end()) {
        all.push_back({entry.ranks[i], tokens});
      } else {
        have->tokens = tokens;
      }
      grew = true;
    }
    if (!grew) break;
  }
  return all;
}

void PrefixIndex::add(const std::vector<uint64_t>& blocks, uint32_t rank) {
  // From the end, so that a chain's beginning is used last and goes last.
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    const auto [found, is_new] = entries_.try_emplace(*block);
    Entry& entry = found->second;
    if (is_new) {
      by_use_.push_front(*block);
      entry.used = by_use_.begin();
    } else {
      by_use_.splice(by_use_.begin(), by_use_, entry.used);
    }
    auto* const end = entry.ranks.begin() + entry.count;
    auto* at = std::find(entry.ranks.begin(), end, rank);
    if (at == end) {
      if (entry.count < kRanksMax) {
        ++entry.count;
      } else {
        --at;  // in place of the one that computed it longest ago
      }
      *at = rank;
    }
    std::rotate(entry.ranks.begin(), at, at + 1);
  }
  while (entries_.size() > blocks_max_) {
    entries_.erase(by_use_.back());
    by_use_.pop_back();
  }
}

void PrefixIndex::forget(uint32_t rank) {
  for (auto at = entries_.begin(); at != entries_.end();) {
    Entry& entry = at->second;
    auto* const end = entry.ranks.begin() + entry.count;
    entry.count = static_cast<uint32_t>(std::remove(entry.ranks.begin(), end, rank) - entry.ranks.begin());
    if (entry.count != 0) {
      ++at;
      continue;
    }
    by_use_.erase(entry.used);
    at = entries_.erase(at);
  }
}

}  // namespace switchyard::frontend
