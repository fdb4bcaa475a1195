#include "common/text/model.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/models/bpe.h"
#include "common/text/models/unigram.h"
#include "common/text/models/word_level.h"
#include "common/text/models/word_piece.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

struct Kind {
  std::string_view name;
  Result<std::unique_ptr<Model>> (*load)(const json::object& spec, const ModelOptions& options, std::string_view where);
};
constexpr Kind kKinds[] = {
    {"BPE", load_bpe},
    {"Unigram", load_unigram},
    {"WordLevel", load_word_level},
    {"WordPiece", load_word_piece},
};

// Files from before the field was there are told apart by their other keys.
Result<std::string> model_type(const json::object& spec, std::string_view where) {
  if (spec.contains("type")) return string_field(spec, "type", where);
  if (spec.contains("merges")) return std::string("BPE");
  if (spec.contains("max_input_chars_per_word")) return std::string("WordPiece");
  const auto* vocab = spec.if_contains("vocab");
  if (vocab != nullptr && vocab->is_array()) return std::string("Unigram");
  return std::string("WordLevel");
}

}  // namespace

bool model_takes_bytes(const json::value& spec) {
  const auto* object = spec.if_object();
  if (object == nullptr) return false;
  const auto type = model_type(*object, "model");
  if (!type.ok() || *type != "BPE") return false;
  const auto has = [&](const char* key) {
    const auto* value = object->if_contains(key);
    return value != nullptr && value->is_string() && !value->get_string().empty();
  };
  const auto* fallback = object->if_contains("byte_fallback");
  const bool falls_back = fallback != nullptr && fallback->is_bool() && fallback->get_bool();
  return !falls_back && !has("continuing_subword_prefix") && !has("end_of_word_suffix");
}

Result<std::unique_ptr<Model>> load_model(const json::value& spec, const ModelOptions& options,
                                          std::string_view where) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(const std::string type, model_type(*object, where));
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.load(*object, options, where);
  }
  return field_error(where, "type", fmt::format("the model '{}' is not supported", type));
}

}  // namespace switchyard::text
