#include "common/text/models/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/models/trie.h"
#include "common/text/models/vocabulary.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

constexpr double kUnknownPenalty = 10;

class Unigram : public Model {
 public:
  Unigram(Vocabulary vocabulary, std::vector<double> scores, std::optional<int32_t> unk_id, bool byte_fallback)
      : vocabulary_(std::move(vocabulary)),
        scores_(std::move(scores)),
        unk_id_(unk_id),
        unk_score_(*std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty) {
    const auto& tokens = vocabulary_.tokens();
    for (int32_t entry = 0; entry < static_cast<int32_t>(tokens.size()); ++entry) {
      if (!tokens.text(entry).empty()) trie_.add(tokens.text(entry), tokens.id(entry));
    }
    for (unsigned b = 0; b < 256; ++b) {
      byte_id_[b] = byte_fallback ? vocabulary_.find(fmt::format("<0x{:02X}>", b)).value_or(-1) : -1;
    }
  }

  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    thread_local std::vector<Best> best;
    find_best(piece, best);
    // The tokens from the end; unknown ones that touch are one.
    const size_t first = out.size();
    size_t unknown_end = 0;  // 0: none
    const auto flush = [&](size_t begin) {
      if (unknown_end > 0) append_unknown(piece.substr(begin, unknown_end - begin), out);
      unknown_end = 0;
    };
    for (size_t end = piece.size(); end > 0;) {
      const Best& node = best[end];
      if (unk_id_ && node.id == *unk_id_) {
        if (unknown_end == 0) unknown_end = end;
      } else {
        flush(end);
        if (node.id >= 0) out.push_back(node.id);  // without an unknown token, a character vanishes
      }
      end = node.begin;
    }
    flush(0);
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
    if (best.capacity() > kKept) std::vector<Best>().swap(best);
  }

  std::optional<int32_t> token_to_id(std::string_view token) const override { return vocabulary_.find(token); }
  std::optional<std::string_view> id_to_token(int32_t id) const override { return vocabulary_.text(id); }
  int32_t id_limit() const override { return vocabulary_.id_limit(); }
  size_t token_count() const override { return scores_.size(); }

 private:
  // The best way to a byte of the piece.
  struct Best {
    double score;
    uint32_t begin;  // of its last token; kUnreached: no way
    int32_t id;
  };
  static constexpr uint32_t kUnreached = UINT32_MAX;
  static constexpr size_t kKept = (1u << 20) / sizeof(Best);

  void find_best(std::string_view piece, std::vector<Best>& best) const {
    best.assign(piece.size() + 1, {0, kUnreached, -1});
    const auto offer = [&](size_t begin, size_t end, double score, int32_t id) {
      Best& node = best[end];
      if (node.begin == kUnreached || score > node.score) node = {score, static_cast<uint32_t>(begin), id};
    };
    for (size_t begin = 0; begin < piece.size();) {
      const double here = best[begin].score;
      size_t next = begin;
      next_code_point(piece, next);
      bool single = false;
      Trie::Node node = Trie::kRoot;
      for (size_t end = begin; end < piece.size();) {
        node = trie_.step(node, static_cast<unsigned char>(piece[end]));
        if (node == Trie::kNone) break;
        ++end;
        const int32_t id = trie_.value(node);
        if (id < 0) continue;
        offer(begin, end, here + scores_[static_cast<size_t>(id)], id);
        single = single || end == next;
      }
      if (!single) offer(begin, next, here + unk_score_, unk_id_.value_or(-1));
      begin = next;
    }
  }

  // In reverse, like all that encode() gathers.
  void append_unknown(std::string_view text, std::vector<int32_t>& out) const {
    if (const auto id = vocabulary_.find(text)) {
      out.push_back(*id);
      return;
    }
    const auto spelled = [&](char c) { return byte_id_[static_cast<unsigned char>(c)] >= 0; };
    if (std::all_of(text.begin(), text.end(), spelled)) {
      for (size_t i = text.size(); i-- > 0;) out.push_back(byte_id_[static_cast<unsigned char>(text[i])]);
    } else {
      out.push_back(*unk_id_);
    }
  }

  Vocabulary vocabulary_;
  std::vector<double> scores_;  // by id
  std::optional<int32_t> unk_id_;
  double unk_score_;
  Trie trie_;  // ids
  int32_t byte_id_[256];
};

}  // namespace

Result<std::unique_ptr<Model>> load_unigram(const json::object& spec, const ModelOptions&, std::string_view where) {
  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "vocab", where));
  SWITCHYARD_ASSIGN(const bool byte_fallback, bool_field(spec, "byte_fallback", false, where));
  if (list->empty()) return field_error(where, "vocab", "empty");
  if (static_cast<int64_t>(list->size()) > kMaxTokenId) return field_error(where, "vocab", "too many tokens");
  size_t text_bytes = 0;
  for (const auto& entry : *list) {
    const auto* pair = entry.if_array();
    if (pair != nullptr && !pair->empty() && pair->front().is_string()) text_bytes += pair->front().get_string().size();
  }
  if (text_bytes > (1u << 30)) return field_error(where, "vocab", "more than 1 GiB of tokens");
  TokenTable tokens(list->size(), text_bytes);
  std::vector<double> scores;
  for (size_t i = 0; i < list->size(); ++i) {
    const auto* pair = (*list)[i].if_array();
    const bool good = pair != nullptr && pair->size() == 2 && (*pair)[0].is_string() && (*pair)[1].is_number();
    if (!good) return field_error(where, fmt::format("vocab[{}]", i), "[text, score] is expected");
    const auto& text = (*pair)[0].get_string();
    tokens.add({text.data(), text.size()}, static_cast<int32_t>(i));
    scores.push_back((*pair)[1].to_number<double>());
  }
  std::optional<int32_t> unk_id;
  if (const auto* value = spec.if_contains("unk_id"); value != nullptr && !value->is_null()) {
    SWITCHYARD_ASSIGN(unk_id, as_id(*value, fmt::format("{}.unk_id", where)));
    if (static_cast<size_t>(*unk_id) >= scores.size()) return field_error(where, "unk_id", "not in the vocabulary");
  }
  return std::unique_ptr<Model>(
      std::make_unique<Unigram>(Vocabulary(std::move(tokens)), std::move(scores), unk_id, byte_fallback));
}

}  // namespace switchyard::text
