// Which ranks have computed which beginnings of prompts, as far as this frontend sent them there: so that a prompt goes
// where its beginning lies in the KV cache already.
//
// A prompt is a chain of blocks of kBlockTokens; a block's hash covers all tokens before it, so that a hash stands for
// a whole beginning. A wrong match (64 bits) costs time, never a token: ranks compare the tokens themselves.
//
// Bounded: kBlocksMax blocks, the least recently used go first; kRanksMax ranks a block. Thread: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

namespace switchyard::frontend {

class PrefixIndex {
 public:
  static constexpr size_t kBlockTokens = 64;
  static constexpr size_t kBlocksMax = size_t{1} << 18;  // 16 million tokens; about 25 MB when full
  static constexpr size_t kPromptBlocksMax = 512;        // of one prompt; what lies behind follows its beginning
  static constexpr size_t kRanksMax = 4;

  struct Match {
    uint32_t rank = 0;
    uint32_t tokens = 0;  // of the prompt's beginning
  };

  explicit PrefixIndex(size_t blocks_max = kBlocksMax) : blocks_max_(blocks_max) {}

  // The hashes of a prompt's whole blocks.
  static std::vector<uint64_t> blocks_of(std::span<const int32_t> prompt);
  // The ranks that have its first block, each with how far they have it.
  std::vector<Match> matches(const std::vector<uint64_t>& blocks) const;
  // The rank computes it now.
  void add(const std::vector<uint64_t>& blocks, uint32_t rank);
  // The rank has lost its cache.
  void forget(uint32_t rank);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::array<uint32_t, kRanksMax> ranks;  // the latest first
    uint32_t count = 0;
    std::list<uint64_t>::iterator used;
  };
  const size_t blocks_max_;
  std::unordered_map<uint64_t, Entry> entries_;
  std::list<uint64_t> by_use_;  // the latest first
};

}  // namespace switchyard::frontend
