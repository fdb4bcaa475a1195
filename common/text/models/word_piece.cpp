#include "common/text/models/word_piece.h"

#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/models/trie.h"
#include "common/text/models/vocabulary.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

class WordPiece : public Model {
 public:
  WordPiece(Vocabulary vocabulary, std::string_view unk_token, std::string_view prefix, size_t characters_max)
      : vocabulary_(std::move(vocabulary)), unk_id_(vocabulary_.find(unk_token)), characters_max_(characters_max) {
    const auto& tokens = vocabulary_.tokens();
    for (int32_t entry = 0; entry < static_cast<int32_t>(tokens.size()); ++entry) {
      trie_.add(tokens.text(entry), tokens.id(entry));
    }
    continued_ = trie_.walk(Trie::kRoot, prefix);
  }

  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    const size_t first = out.size();
    bool known = piece.size() <= characters_max_ || code_point_count(piece) <= characters_max_;
    for (size_t begin = 0; known && begin < piece.size();) {
      Trie::Node node = begin == 0 ? Trie::kRoot : continued_;
      int32_t longest = -1;
      size_t longest_end = begin;
      for (size_t end = begin; node != Trie::kNone && end < piece.size();) {
        node = trie_.step(node, static_cast<unsigned char>(piece[end++]));
        if (node != Trie::kNone && trie_.value(node) >= 0) {
          longest = trie_.value(node);
          longest_end = end;
        }
      }
      known = longest >= 0;
      if (known) out.push_back(longest);
      begin = longest_end;
    }
    if (known) return;
    out.resize(first);
    if (unk_id_) out.push_back(*unk_id_);
  }

  std::optional<int32_t> token_to_id(std::string_view token) const override { return vocabulary_.find(token); }
  std::optional<std::string_view> id_to_token(int32_t id) const override { return vocabulary_.text(id); }
  int32_t id_limit() const override { return vocabulary_.id_limit(); }
  size_t token_count() const override { return vocabulary_.tokens().size(); }

 private:
  Vocabulary vocabulary_;
  std::optional<int32_t> unk_id_;  // none: an unknown word vanishes
  size_t characters_max_;
  Trie trie_;             // ids
  Trie::Node continued_;  // behind the prefix; kNone: no token begins with it
};

}  // namespace

Result<std::unique_ptr<Model>> load_word_piece(const json::object& spec, const ModelOptions&, std::string_view where) {
  SWITCHYARD_ASSIGN(auto vocabulary, Vocabulary::load(spec, where));
  SWITCHYARD_ASSIGN(const std::string unk_token, string_field(spec, "unk_token", where));
  SWITCHYARD_ASSIGN(const std::string prefix, string_field(spec, "continuing_subword_prefix", where));
  SWITCHYARD_ASSIGN(const size_t characters_max, count_field(spec, "max_input_chars_per_word", where));
  return std::unique_ptr<Model>(std::make_unique<WordPiece>(std::move(vocabulary), unk_token, prefix, characters_max));
}

}  // namespace switchyard::text
