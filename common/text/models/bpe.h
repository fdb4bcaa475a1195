// Byte-pair encoding as Hugging Face's tokenizers do it: of all adjacent pairs the one of the lowest rank is merged,
// the leftmost among equals, until no pair has a rank (Sennrich et al. 2016, arXiv:1508.07909, section 3.2).
//
// Time: n log n in the length of a piece. Memory: 16 bytes per slot of a table at most half full of merges.
#pragma once

#include <atomic>
#include <string>

#include "common/text/model.h"
#include "common/text/models/vocabulary.h"

namespace switchyard::text {

// A model of kind "BPE". Fails with kInvalid for a merge whose parts or result are not in the vocabulary, and for
// dropout. An unk_token that is not in the vocabulary is none.
Result<std::unique_ptr<Model>> load_bpe(const boost::json::object& spec, const ModelOptions& options,
                                        std::string_view where);

// Pairs of ids and what becomes of them.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank;
    int32_t result;
  };
  explicit MergeTable(size_t count);
  // The same pair again replaces the first.
  void add(int32_t left, int32_t right, Merge merge);
  // Null where the pair does not merge.
  const Merge* find(int32_t left, int32_t right) const {
    const uint64_t key = pack(left, right);
    for (size_t slot = spread(key) & mask_;; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return &slots_[slot].merge;
      if (slots_[slot].key == kFree) return nullptr;
    }
  }

 private:
  struct Slot {
    uint64_t key;
    Merge merge;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};
  static uint64_t pack(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  // Fibonacci hashing: 2^64 divided by the golden ratio; the high bits are the good ones.
  static size_t spread(uint64_t key) {
    key ^= key >> 29;
    return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> 32);
  }
  std::vector<Slot> slots_;
  size_t mask_;
};

// Pairs of characters that stand side by side in what some merge makes. Between two others no merge can reach, so that
// a piece falls into parts there, which are short where whole texts are one piece (SentencePiece's BPE).
class JointSet {
 public:
  explicit JointSet(size_t count);
  void add_text(std::string_view text);
  bool empty() const { return used_ == 0; }
  bool contains(char32_t before, char32_t after) const {
    const uint64_t key = pack(before, after);
    for (size_t slot = spread(key) & mask_;; slot = (slot + 1) & mask_) {
      if (slots_[slot] == key) return true;
      if (slots_[slot] == kFree) return false;
    }
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  static uint64_t pack(char32_t before, char32_t after) { return uint64_t{before} << 21 | after; }
  static size_t spread(uint64_t key) { return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> 32); }
  void add(char32_t before, char32_t after);
  std::vector<uint64_t> slots_;
  size_t mask_;
  size_t used_ = 0;
};

class Bpe : public Model {
 public:
  struct Options {
    bool byte_level = false;
    bool ignore_merges = false;
    bool byte_fallback = false;
    bool fuse_unk = false;
    std::optional<int32_t> unk_id;  // none: an unknown symbol vanishes
    std::string prefix;             // of every symbol but a piece's first
    std::string suffix;             // of a piece's last symbol
  };
  // pieces: where byte_level, the tokens as bytes; else the vocabulary's own. joints: of all merges, or empty, which
  // cuts nowhere.
  Bpe(Options options, Vocabulary vocabulary, TokenTable pieces, MergeTable merges, JointSet joints);

  void encode(std::string_view piece, std::vector<int32_t>& out) const override;
  std::optional<int32_t> token_to_id(std::string_view token) const override { return vocabulary_.find(token); }
  std::optional<std::string_view> id_to_token(int32_t id) const override { return vocabulary_.text(id); }
  int32_t id_limit() const override { return vocabulary_.id_limit(); }
  size_t token_count() const override { return vocabulary_.tokens().size(); }

 private:
  void encode_part(std::string_view piece, std::vector<int32_t>& out) const;
  void first_symbols(std::string_view piece, std::vector<int32_t>& symbols) const;
  void merge_short(std::vector<int32_t>& symbols) const;
  void merge_long(std::vector<int32_t>& symbols) const;

  Options options_;
  Vocabulary vocabulary_;
  TokenTable pieces_;
  MergeTable merges_;
  JointSet joints_;
  int32_t byte_id_[256];  // of the one-byte pieces (byte_level) or of <0xNN> (byte_fallback); -1: none
  // Whether the merges of a vocabulary entry's own text give that one token: 0 not looked at yet, 1 yes, 2 no. Most
  // pieces of a text are tokens, and after the first time need no merging. Racing threads write the same value.
  mutable std::vector<std::atomic<uint8_t>> whole_;
};

}  // namespace switchyard::text
