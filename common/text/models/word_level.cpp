#include "common/text/models/word_level.h"

#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/models/vocabulary.h"

namespace switchyard::text {

namespace {

class WordLevel : public Model {
 public:
  WordLevel(Vocabulary vocabulary, std::string_view unk_token)
      : vocabulary_(std::move(vocabulary)), unk_id_(vocabulary_.find(unk_token)) {}

  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    if (const auto id = vocabulary_.find(piece)) {
      out.push_back(*id);
    } else if (unk_id_) {
      out.push_back(*unk_id_);
    }
  }

  std::optional<int32_t> token_to_id(std::string_view token) const override { return vocabulary_.find(token); }
  std::optional<std::string_view> id_to_token(int32_t id) const override { return vocabulary_.text(id); }
  int32_t id_limit() const override { return vocabulary_.id_limit(); }
  size_t token_count() const override { return vocabulary_.tokens().size(); }

 private:
  Vocabulary vocabulary_;
  std::optional<int32_t> unk_id_;  // none: an unknown word vanishes
};

}  // namespace

Result<std::unique_ptr<Model>> load_word_level(const boost::json::object& spec, const ModelOptions&,
                                               std::string_view where) {
  SWITCHYARD_ASSIGN(auto vocabulary, Vocabulary::load(spec, where));
  SWITCHYARD_ASSIGN(const std::string unk_token, string_field(spec, "unk_token", where));
  return std::unique_ptr<Model>(std::make_unique<WordLevel>(std::move(vocabulary), unk_token));
}

}  // namespace switchyard::text
