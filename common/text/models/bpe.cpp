#include "common/text/models/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/json.hpp>
#include <queue>

#include "common/text/byte_alphabet.h"
#include "common/text/json_fields.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

// Up to here looking through all ranks for the lowest is faster than keeping a heap.
constexpr size_t kShortPiece = 48;
constexpr uint32_t kNoRank = UINT32_MAX;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

// The two sides of one entry of "merges".
std::optional<std::pair<std::string_view, std::string_view>> merge_sides(const json::value& entry) {
  if (const auto* text = entry.if_string()) {
    const std::string_view line = view(*text);
    const size_t space = line.find(' ');
    if (space != std::string_view::npos && line.find(' ', space + 1) == std::string_view::npos) {
      return std::pair{line.substr(0, space), line.substr(space + 1)};
    }
  } else if (const auto* pair = entry.if_array(); pair != nullptr && pair->size() == 2) {
    const auto* left = (*pair)[0].if_string();
    const auto* right = (*pair)[1].if_string();
    if (left != nullptr && right != nullptr) return std::pair{view(*left), view(*right)};
  }
  return std::nullopt;
}

}  // namespace

MergeTable::MergeTable(size_t count)
    : slots_(std::bit_ceil(2 * count + 2), Slot{kFree, {}}), mask_(slots_.size() - 1) {}

void MergeTable::add(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = pack(left, right);
  size_t slot = spread(key) & mask_;
  while (slots_[slot].key != kFree && slots_[slot].key != key) slot = (slot + 1) & mask_;
  slots_[slot] = {key, merge};
}

JointSet::JointSet(size_t count) : slots_(std::bit_ceil(2 * count + 2), kFree), mask_(slots_.size() - 1) {}

void JointSet::add_text(std::string_view text) {
  if (text.empty()) return;
  size_t at = 0;
  char32_t before = next_code_point(text, at);
  while (at < text.size()) {
    const char32_t c = next_code_point(text, at);
    add(before, c);
    before = c;
  }
}

void JointSet::add(char32_t before, char32_t after) {
  const uint64_t key = pack(before, after);
  size_t slot = spread(key) & mask_;
  while (slots_[slot] != kFree && slots_[slot] != key) slot = (slot + 1) & mask_;
  if (slots_[slot] == key) return;
  slots_[slot] = key;
  if (2 * ++used_ <= slots_.size()) return;
  std::vector<uint64_t> old(2 * slots_.size(), kFree);
  std::swap(old, slots_);
  mask_ = slots_.size() - 1;
  for (const uint64_t k : old) {
    if (k == kFree) continue;
    size_t free = spread(k) & mask_;
    while (slots_[free] != kFree) free = (free + 1) & mask_;
    slots_[free] = k;
  }
}

Bpe::Bpe(Options options, Vocabulary vocabulary, TokenTable pieces, MergeTable merges, JointSet joints)
    : options_(std::move(options)),
      vocabulary_(std::move(vocabulary)),
      pieces_(std::move(pieces)),
      merges_(std::move(merges)),
      joints_(std::move(joints)),
      whole_(pieces_.size()) {
  for (unsigned b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const int32_t entry = options_.byte_level ? pieces_.find({&byte, 1}) : pieces_.find(fmt::format("<0x{:02X}>", b));
    byte_id_[b] = entry < 0 ? -1 : pieces_.id(entry);
  }
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  if (joints_.empty()) return encode_part(piece, out);
  if (options_.ignore_merges) {
    if (const int32_t entry = pieces_.find(piece); entry >= 0) {
      out.push_back(pieces_.id(entry));
      return;
    }
  }
  const auto known = [&](size_t begin, size_t end) { return pieces_.find(piece.substr(begin, end - begin)) >= 0; };
  size_t part = 0;
  size_t begin = 0;
  size_t at = 0;
  char32_t before = next_code_point(piece, at);
  while (at < piece.size()) {
    const size_t next = at;
    const char32_t c = next_code_point(piece, at);
    if (!joints_.contains(before, c) && known(begin, next) && known(next, at)) {
      encode_part(piece.substr(part, next - part), out);
      part = next;
    }
    before = c;
    begin = next;
  }
  encode_part(piece.substr(part), out);
}

void Bpe::encode_part(std::string_view piece, std::vector<int32_t>& out) const {
  const int32_t entry = pieces_.find(piece);
  if (entry >= 0) {
    const bool direct = options_.ignore_merges && joints_.empty();
    if (direct || whole_[static_cast<size_t>(entry)].load(std::memory_order_relaxed) == 1) {
      out.push_back(pieces_.id(entry));
      return;
    }
  }
  thread_local std::vector<int32_t> symbols;
  symbols.clear();
  first_symbols(piece, symbols);
  if (symbols.size() <= kShortPiece) {
    merge_short(symbols);
  } else {
    merge_long(symbols);
  }
  if (entry >= 0) {
    const bool whole = symbols.size() == 1 && symbols[0] == pieces_.id(entry);
    whole_[static_cast<size_t>(entry)].store(whole ? 1 : 2, std::memory_order_relaxed);
  }
  out.insert(out.end(), symbols.begin(), symbols.end());
  if (symbols.capacity() > (1u << 16)) std::vector<int32_t>().swap(symbols);
}

void Bpe::first_symbols(std::string_view piece, std::vector<int32_t>& symbols) const {
  // An unknown symbol is held until the next known one, and bytes go before it, as in the reference.
  bool held = false;
  const auto flush = [&] {
    if (held) symbols.push_back(*options_.unk_id);
    held = false;
  };
  const auto unknown = [&] {
    if (!options_.unk_id) return;
    if (!options_.fuse_unk) flush();
    held = true;
  };
  if (options_.byte_level) {
    for (const char c : piece) {
      const int32_t id = byte_id_[static_cast<unsigned char>(c)];
      if (id < 0) {
        unknown();
      } else {
        flush();
        symbols.push_back(id);
      }
    }
    flush();
    return;
  }
  const bool affixes = !options_.prefix.empty() || !options_.suffix.empty();
  std::string affixed;
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    next_code_point(piece, at);
    std::string_view character = piece.substr(begin, at - begin);
    if (affixes) {
      affixed.assign(begin > 0 ? options_.prefix : std::string());
      affixed += character;
      if (at == piece.size()) affixed += options_.suffix;
      character = affixed;
    }
    if (const int32_t entry = pieces_.find(character); entry >= 0) {
      flush();
      symbols.push_back(pieces_.id(entry));
      continue;
    }
    const auto has_byte = [&](char c) { return byte_id_[static_cast<unsigned char>(c)] >= 0; };
    if (options_.byte_fallback && std::all_of(character.begin(), character.end(), has_byte)) {
      for (const char c : character) symbols.push_back(byte_id_[static_cast<unsigned char>(c)]);
    } else {
      unknown();
    }
  }
  flush();
}

void Bpe::merge_short(std::vector<int32_t>& symbols) const {
  if (symbols.size() < 2) return;
  MergeTable::Merge merges[kShortPiece];  // of symbol i and the next
  size_t count = symbols.size();
  const auto look = [&](size_t i) {
    const auto* merge = merges_.find(symbols[i], symbols[i + 1]);
    merges[i] = merge == nullptr ? MergeTable::Merge{kNoRank, -1} : *merge;
  };
  for (size_t i = 0; i + 1 < count; ++i) look(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == kNoRank) break;
    symbols[best] = merges[best].result;
    for (size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      merges[i] = merges[i + 1];
    }
    --count;
    if (best > 0) look(best - 1);
    if (best + 1 < count) look(best);
  }
  symbols.resize(count);
}

void Bpe::merge_long(std::vector<int32_t>& symbols) const {
  // A doubly linked list of the living symbols, and a heap of candidates, some of them stale.
  struct Node {
    uint32_t previous, next;  // index, kNone at the ends
    uint32_t rank;            // of the pair with the next; kNoRank: none, or dead
  };
  struct Candidate {
    uint32_t rank, index;
    // std::priority_queue gives the greatest first.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : index > other.index;
    }
  };
  constexpr uint32_t kNone = UINT32_MAX;
  const auto count = static_cast<uint32_t>(symbols.size());
  std::vector<Node> nodes(count);
  std::vector<Candidate> first;
  first.reserve(count);
  const auto look = [&](uint32_t i) {
    const uint32_t next = nodes[i].next;
    const auto* merge = next == kNone ? nullptr : merges_.find(symbols[i], symbols[next]);
    nodes[i].rank = merge == nullptr ? kNoRank : merge->rank;
    return merge != nullptr;
  };
  for (uint32_t i = 0; i < count; ++i) {
    nodes[i].previous = i == 0 ? kNone : i - 1;
    nodes[i].next = i + 1 == count ? kNone : i + 1;
    if (look(i)) first.push_back({nodes[i].rank, i});
  }
  std::priority_queue<Candidate> heap(std::less<Candidate>(), std::move(first));
  while (!heap.empty()) {
    const Candidate top = heap.top();
    heap.pop();
    Node& node = nodes[top.index];
    if (node.rank != top.rank) continue;
    const uint32_t eaten = node.next;
    const auto* merge = merges_.find(symbols[top.index], symbols[eaten]);
    symbols[top.index] = merge->result;
    node.next = nodes[eaten].next;
    if (node.next != kNone) nodes[node.next].previous = top.index;
    nodes[eaten].rank = kNoRank;
    symbols[eaten] = -1;
    if (look(top.index)) heap.push({node.rank, top.index});
    if (node.previous != kNone && look(node.previous)) heap.push({nodes[node.previous].rank, node.previous});
  }
  symbols.erase(std::remove(symbols.begin(), symbols.end(), -1), symbols.end());
}

Result<std::unique_ptr<Model>> load_bpe(const json::object& spec, const ModelOptions& model_options,
                                        std::string_view where) {
  if (const auto* dropout = spec.if_contains("dropout"); dropout != nullptr && !dropout->is_null()) {
    const bool zero =
        (dropout->is_double() && dropout->get_double() == 0.0) || (dropout->is_int64() && dropout->get_int64() == 0);
    if (!zero) return field_error(where, "dropout", "not supported");
  }
  Bpe::Options options;
  options.byte_level = model_options.byte_level;
  SWITCHYARD_ASSIGN(options.ignore_merges, bool_field(spec, "ignore_merges", false, where));
  SWITCHYARD_ASSIGN(options.byte_fallback, bool_field(spec, "byte_fallback", false, where));
  SWITCHYARD_ASSIGN(options.fuse_unk, bool_field(spec, "fuse_unk", false, where));
  SWITCHYARD_ASSIGN(options.prefix, optional_string_field(spec, "continuing_subword_prefix", where));
  SWITCHYARD_ASSIGN(options.suffix, optional_string_field(spec, "end_of_word_suffix", where));
  SWITCHYARD_ASSIGN(const std::string unk, optional_string_field(spec, "unk_token", where));

  SWITCHYARD_ASSIGN(auto vocabulary, Vocabulary::load(spec, where));
  const TokenTable& tokens = vocabulary.tokens();
  if (spec.contains("unk_token")) options.unk_id = vocabulary.find(unk);
  TokenTable pieces(tokens.size(), tokens.text_bytes());
  if (!options.byte_level) {
    pieces = tokens;
  } else {
    std::string bytes;
    for (int32_t entry = 0; entry < static_cast<int32_t>(tokens.size()); ++entry) {
      bytes.clear();
      if (append_token_bytes(tokens.text(entry), bytes)) pieces.add(bytes, tokens.id(entry));
    }
  }

  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "merges", where));
  if (list->size() >= kNoRank / 2) return field_error(where, "merges", "too many");
  MergeTable merges(list->size());
  // Pieces that a pre-tokenizer has cut to bytes are short already; affixes hang on the ends of a piece.
  const bool cuts = !options.byte_level && options.prefix.empty() && options.suffix.empty();
  JointSet joints(cuts ? 4096 : 0);
  std::string joined;
  for (size_t i = 0; i < list->size(); ++i) {
    const auto sides_or_none = merge_sides((*list)[i]);
    if (!sides_or_none) {
      return field_error(where, fmt::format("merges[{}]", i), "\"left right\" or [\"left\", \"right\"] is expected");
    }
    const auto& sides = *sides_or_none;
    joined.assign(sides.first);
    joined += sides.second.substr(std::min(options.prefix.size(), sides.second.size()));
    const int32_t left = tokens.find(sides.first);
    const int32_t right = tokens.find(sides.second);
    const int32_t result = tokens.find(joined);
    if (left < 0 || right < 0 || result < 0) {
      return Error{Errc::kInvalid, fmt::format("{}.merges[{}]: '{}' is not in the vocabulary", where, i,
                                               left < 0    ? sides.first
                                               : right < 0 ? sides.second
                                                           : std::string_view(joined))};
    }
    if (cuts) joints.add_text(joined);
    merges.add(tokens.id(left), tokens.id(right), {static_cast<uint32_t>(i), tokens.id(result)});
  }
  return std::unique_ptr<Model>(std::make_unique<Bpe>(std::move(options), std::move(vocabulary), std::move(pieces),
                                                      std::move(merges), std::move(joints)));
}

}  // namespace switchyard::text
