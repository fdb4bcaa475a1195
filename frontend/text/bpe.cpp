#include "frontend/text/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/json.hpp>
#include <queue>

#include "frontend/text/byte_alphabet.h"
#include "frontend/text/json_fields.h"
#include "frontend/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

// Up to here looking through all ranks for the lowest is faster than keeping a heap.
constexpr size_t kShortPiece = 48;
constexpr uint32_t kNoRank = UINT32_MAX;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

// The two sides of one entry of "merges".
Result<std::pair<std::string_view, std::string_view>> merge_sides(const json::value& entry, std::string_view where) {
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
  return Error{Errc::kInvalid, fmt::format("{}: \"left right\" or [\"left\", \"right\"] is expected", where)};
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

Bpe::Bpe(Options options, TokenTable vocabulary, TokenTable pieces, MergeTable merges)
    : options_(options),
      vocabulary_(std::move(vocabulary)),
      pieces_(std::move(pieces)),
      merges_(std::move(merges)),
      whole_(pieces_.size()) {
  for (size_t entry = 0; entry < vocabulary_.size(); ++entry) {
    const auto id = static_cast<size_t>(vocabulary_.id(static_cast<int32_t>(entry)));
    if (id >= entry_of_id_.size()) entry_of_id_.resize(id + 1, -1);
    entry_of_id_[id] = static_cast<int32_t>(entry);
  }
  for (unsigned b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const int32_t entry = options_.byte_level ? pieces_.find({&byte, 1}) : pieces_.find(fmt::format("<0x{:02X}>", b));
    byte_id_[b] = entry < 0 ? -1 : pieces_.id(entry);
  }
}

std::optional<int32_t> Bpe::token_to_id(std::string_view token) const {
  const int32_t entry = vocabulary_.find(token);
  if (entry < 0) return std::nullopt;
  return vocabulary_.id(entry);
}

std::optional<std::string_view> Bpe::id_to_token(int32_t id) const {
  if (id < 0 || id >= id_limit() || entry_of_id_[static_cast<size_t>(id)] < 0) return std::nullopt;
  return vocabulary_.text(entry_of_id_[static_cast<size_t>(id)]);
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  const int32_t entry = pieces_.find(piece);
  if (entry >= 0) {
    if (options_.ignore_merges || whole_[static_cast<size_t>(entry)].load(std::memory_order_relaxed) == 1) {
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
  bool after_unk = false;
  const auto unknown = [&] {
    if (!options_.unk_id) return;  // the symbol vanishes, as in the reference
    if (!(after_unk && options_.fuse_unk)) symbols.push_back(*options_.unk_id);
    after_unk = true;
  };
  if (options_.byte_level) {
    for (const char c : piece) {
      const int32_t id = byte_id_[static_cast<unsigned char>(c)];
      if (id < 0) {
        unknown();
      } else {
        symbols.push_back(id);
        after_unk = false;
      }
    }
    return;
  }
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    next_code_point(piece, at);
    const std::string_view character = piece.substr(begin, at - begin);
    if (const int32_t entry = pieces_.find(character); entry >= 0) {
      symbols.push_back(pieces_.id(entry));
      after_unk = false;
      continue;
    }
    const auto has_byte = [&](char c) { return byte_id_[static_cast<unsigned char>(c)] >= 0; };
    if (options_.byte_fallback && std::all_of(character.begin(), character.end(), has_byte)) {
      for (const char c : character) symbols.push_back(byte_id_[static_cast<unsigned char>(c)]);
      after_unk = false;
    } else {
      unknown();
    }
  }
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

Result<std::unique_ptr<Model>> load_bpe(const json::object& spec, bool byte_level, std::string_view where) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    SWITCHYARD_ASSIGN(const std::string affix, optional_string_field(spec, key, where));
    if (!affix.empty()) return field_error(where, key, "not supported");
  }
  if (const auto* dropout = spec.if_contains("dropout"); dropout != nullptr && !dropout->is_null()) {
    const bool zero =
        (dropout->is_double() && dropout->get_double() == 0.0) || (dropout->is_int64() && dropout->get_int64() == 0);
    if (!zero) return field_error(where, "dropout", "not supported");
  }
  Bpe::Options options;
  options.byte_level = byte_level;
  SWITCHYARD_ASSIGN(options.ignore_merges, bool_field(spec, "ignore_merges", false, where));
  SWITCHYARD_ASSIGN(options.byte_fallback, bool_field(spec, "byte_fallback", false, where));
  SWITCHYARD_ASSIGN(options.fuse_unk, bool_field(spec, "fuse_unk", false, where));

  const auto* vocab_value = spec.if_contains("vocab");
  if (vocab_value == nullptr) return field_error(where, "vocab", "missing");
  SWITCHYARD_ASSIGN(const auto* vocab, as_object(*vocab_value, fmt::format("{}.vocab", where)));
  size_t text_bytes = 0;
  for (const auto& entry : *vocab) text_bytes += entry.key().size();
  if (text_bytes > (1u << 30)) return field_error(where, "vocab", "more than 1 GiB of tokens");
  TokenTable vocabulary(vocab->size(), text_bytes);
  TokenTable pieces(vocab->size(), text_bytes);
  for (const auto& entry : *vocab) {
    const std::string_view token(entry.key().data(), entry.key().size());
    const auto id = as_id(entry.value(), "");
    if (!id.ok()) return field_error(where, "vocab", fmt::format("'{}'{}", token, id.error().message));
    vocabulary.add(token, *id);
    if (!byte_level) {
      pieces.add(token, *id);
    } else if (const auto bytes = token_to_bytes(token)) {
      pieces.add(*bytes, *id);
    }
  }
  SWITCHYARD_ASSIGN(const std::string unk, optional_string_field(spec, "unk_token", where));
  if (!unk.empty()) {
    const int32_t entry = vocabulary.find(unk);
    if (entry < 0) return field_error(where, "unk_token", fmt::format("'{}' is not in the vocabulary", unk));
    options.unk_id = vocabulary.id(entry);
  }

  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "merges", where));
  if (list->size() >= kNoRank / 2) return field_error(where, "merges", "too many");
  MergeTable merges(list->size());
  std::string joined;
  for (size_t i = 0; i < list->size(); ++i) {
    SWITCHYARD_ASSIGN(const auto sides, merge_sides((*list)[i], fmt::format("{}.merges[{}]", where, i)));
    joined.assign(sides.first);
    joined += sides.second;
    const int32_t left = vocabulary.find(sides.first);
    const int32_t right = vocabulary.find(sides.second);
    const int32_t result = vocabulary.find(joined);
    if (left < 0 || right < 0 || result < 0) {
      return Error{Errc::kInvalid, fmt::format("{}.merges[{}]: '{}' is not in the vocabulary", where, i,
                                               left < 0    ? sides.first
                                               : right < 0 ? sides.second
                                                           : std::string_view(joined))};
    }
    merges.add(vocabulary.id(left), vocabulary.id(right), {static_cast<uint32_t>(i), vocabulary.id(result)});
  }
  return std::unique_ptr<Model>(
      std::make_unique<Bpe>(options, std::move(vocabulary), std::move(pieces), std::move(merges)));
}

}  // namespace switchyard::text
