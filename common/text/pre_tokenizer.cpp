#include "common/text/pre_tokenizer.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/text/json_fields.h"
#include "common/text/pre_tokenizers/steps.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

Status load_step(const json::value& spec, std::string_view where, PreTokenizerSteps& steps);

Status load_sequence(const json::object& spec, std::string_view where, PreTokenizerSteps& steps) {
  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "pretokenizers", where));
  for (size_t i = 0; i < list->size(); ++i) {
    SWITCHYARD_TRY(load_step((*list)[i], fmt::format("{}.pretokenizers[{}]", where, i), steps));
  }
  return {};
}

struct Kind {
  std::string_view name;
  Status (*load)(const json::object& spec, std::string_view where, PreTokenizerSteps& steps);
};
constexpr Kind kKinds[] = {
    {"BertPreTokenizer", load_bert_pre_tokenizer},
    {"ByteLevel", load_byte_level_step},
    {"CharDelimiterSplit", load_char_delimiter},
    {"Digits", load_digits},
    {"FixedLength", load_fixed_length},
    {"Metaspace", load_metaspace},
    {"Punctuation", load_punctuation},
    {"Sequence", load_sequence},
    {"Split", load_split},
    {"Whitespace", load_whitespace},
    {"WhitespaceSplit", load_whitespace_split},
};

Status load_step(const json::value& spec, std::string_view where, PreTokenizerSteps& steps) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(const std::string type, string_field(*object, "type", where));
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.load(*object, where, steps);
  }
  return field_error(where, "type", fmt::format("the pre-tokenizer '{}' is not supported", type));
}

}  // namespace

Result<PreTokenizer> PreTokenizer::load(const json::value& spec, bool may_give_bytes, std::string_view where) {
  PreTokenizer out;
  if (!spec.is_null()) SWITCHYARD_TRY(load_step(spec, where, out.steps_));
  out.gives_bytes_ = may_give_bytes && !out.steps_.empty() && out.steps_.back()->leave_bytes();
  return out;
}

void PreTokenizer::apply(std::string_view text, bool at_origin, Pieces& pieces) const {
  pieces.list.clear();
  pieces.owned.clear();
  if (text.empty()) return;
  pieces.list.push_back(text);
  pieces.at_origin = at_origin;
  for (const auto& step : steps_) {
    pieces.next.clear();
    step->apply(pieces);
    if (pieces.next.empty()) {
      pieces.list.clear();
      return;
    }
    pieces.at_origin = pieces.at_origin && (step->writes() || pieces.next[0].data() == pieces.list[0].data());
    std::swap(pieces.list, pieces.next);
  }
}

}  // namespace switchyard::text
