#include "common/text/post_processor.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "common/text/json_fields.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

// What the reference calls encodings: a processor gets a list of them and gives another, one a piece of its template.
// A second processor takes two of them for a pair of texts, whatever they are.
using Encodings = std::vector<std::vector<int32_t>>;
using Loaded = Result<Encodings>;

Loaded apply(const json::value& spec, std::string_view where, bool add_special, Encodings encodings);

// Ids of a template's special token, by its name.
Result<std::vector<int32_t>> special_ids(const json::object& spec, const std::string& name, std::string_view where) {
  const auto* table = spec.if_contains("special_tokens");
  const auto* entry = table != nullptr && table->is_object() ? table->get_object().if_contains(name) : nullptr;
  if (entry == nullptr) return field_error(where, "special_tokens", fmt::format("'{}' is missing", name));
  const std::string here = fmt::format("{}.special_tokens.{}", where, name);
  SWITCHYARD_ASSIGN(const auto* object, as_object(*entry, here));
  SWITCHYARD_ASSIGN(const auto* list, array_field(*object, "ids", here));
  std::vector<int32_t> ids;
  for (const auto& value : *list) {
    SWITCHYARD_ASSIGN(const int32_t id, as_id(value, here + ".ids"));
    ids.push_back(id);
  }
  return ids;
}

Loaded apply_template(const json::object& spec, std::string_view where, bool add_special, Encodings encodings) {
  if (encodings.size() > 2) return Error{Errc::kInvalid, fmt::format("{}: a template of more than two texts", where)};
  const std::string_view key = encodings.size() == 2 ? "pair" : "single";
  SWITCHYARD_ASSIGN(const auto* pieces, array_field(spec, key, where));
  Encodings out;
  for (size_t i = 0; i < pieces->size(); ++i) {
    const std::string here = fmt::format("{}.{}[{}]", where, key, i);
    SWITCHYARD_ASSIGN(const auto* object, as_object((*pieces)[i], here));
    if (const auto* sequence = object->if_contains("Sequence")) {
      SWITCHYARD_ASSIGN(const auto* inner, as_object(*sequence, here + ".Sequence"));
      SWITCHYARD_ASSIGN(const std::string id, string_field(*inner, "id", here + ".Sequence"));
      const size_t index = id.size() == 1 ? std::string_view("AB").find(id[0]) : std::string_view::npos;
      if (index >= encodings.size()) return field_error(here, "Sequence.id", fmt::format("there is no '{}'", id));
      out.push_back(encodings[index]);
    } else if (const auto* special = object->if_contains("SpecialToken")) {
      SWITCHYARD_ASSIGN(const auto* inner, as_object(*special, here + ".SpecialToken"));
      SWITCHYARD_ASSIGN(const std::string name, string_field(*inner, "id", here + ".SpecialToken"));
      SWITCHYARD_ASSIGN(auto ids, special_ids(spec, name, where));
      if (add_special) out.push_back(std::move(ids));
    } else {
      return Error{Errc::kInvalid, fmt::format("{}: Sequence or SpecialToken is expected", here)};
    }
  }
  return out;
}

// The id of a [text, id] pair.
Result<int32_t> pair_id(const json::object& spec, std::string_view key, std::string_view where) {
  SWITCHYARD_ASSIGN(const auto* pair, array_field(spec, key, where));
  if (pair->size() != 2) return field_error(where, key, "[text, id] is expected");
  return as_id((*pair)[1], fmt::format("{}.{}[1]", where, key));
}

// [CLS] A [SEP] (B [SEP]).
Loaded apply_bert(const json::object& spec, std::string_view where, bool add_special, Encodings encodings) {
  SWITCHYARD_ASSIGN(const int32_t sep, pair_id(spec, "sep", where));
  SWITCHYARD_ASSIGN(const int32_t cls, pair_id(spec, "cls", where));
  if (!add_special) return encodings;
  for (size_t i = 0; i < encodings.size(); ++i) {
    if (i == 0) encodings[i].insert(encodings[i].begin(), cls);
    encodings[i].push_back(sep);
  }
  return encodings;
}

// <s> A </s> (</s> B </s>).
Loaded apply_roberta(const json::object& spec, std::string_view where, bool add_special, Encodings encodings) {
  SWITCHYARD_ASSIGN(const int32_t sep, pair_id(spec, "sep", where));
  SWITCHYARD_ASSIGN(const int32_t cls, pair_id(spec, "cls", where));
  if (!add_special) return encodings;
  for (size_t i = 0; i < encodings.size(); ++i) {
    encodings[i].insert(encodings[i].begin(), i == 0 ? cls : sep);
    encodings[i].push_back(sep);
  }
  return encodings;
}

Loaded apply_byte_level(const json::object&, std::string_view, bool, Encodings encodings) { return encodings; }

Loaded apply_sequence(const json::object& spec, std::string_view where, bool add_special, Encodings encodings) {
  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "processors", where));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string here = fmt::format("{}.processors[{}]", where, i);
    SWITCHYARD_ASSIGN(encodings, apply((*list)[i], here, add_special, std::move(encodings)));
  }
  return encodings;
}

struct Kind {
  std::string_view name;
  Loaded (*apply)(const json::object& spec, std::string_view where, bool add_special, Encodings encodings);
};
constexpr Kind kKinds[] = {
    {"BertProcessing", apply_bert}, {"ByteLevel", apply_byte_level},        {"RobertaProcessing", apply_roberta},
    {"Sequence", apply_sequence},   {"TemplateProcessing", apply_template},
};

Loaded apply(const json::value& spec, std::string_view where, bool add_special, Encodings encodings) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(const std::string type, string_field(*object, "type", where));
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.apply(*object, where, add_special, std::move(encodings));
  }
  return field_error(where, "type", fmt::format("the post-processor '{}' is not supported", type));
}

std::vector<int32_t> joined(const Encodings& encodings) {
  std::vector<int32_t> out;
  for (const auto& ids : encodings) out.insert(out.end(), ids.begin(), ids.end());
  return out;
}

}  // namespace

Result<PostProcessor> PostProcessor::load(const json::value& spec, std::string_view where) {
  PostProcessor out;
  if (spec.is_null()) return out;
  const Encodings text = {{kText}};
  SWITCHYARD_ASSIGN(const auto special, apply(spec, where, true, text));
  SWITCHYARD_ASSIGN(const auto plain, apply(spec, where, false, text));
  out.special_ = joined(special);
  out.plain_ = joined(plain);
  // Each text of a template can double in the next.
  if (std::count(out.special_.begin(), out.special_.end(), kText) > 16) {
    return Error{Errc::kInvalid, fmt::format("{}: the text stands in it more than 16 times", where)};
  }
  return out;
}

std::vector<int32_t> PostProcessor::process(std::vector<int32_t> ids, bool add_special_tokens) const {
  const auto& order = add_special_tokens ? special_ : plain_;
  if (order.size() == 1 && order[0] == kText) return ids;
  std::vector<int32_t> out;
  out.reserve(ids.size() + order.size());
  for (const int32_t id : order) {
    if (id == kText) {
      out.insert(out.end(), ids.begin(), ids.end());
    } else {
      out.push_back(id);
    }
  }
  return out;
}

}  // namespace switchyard::text
