#include "frontend/text/post_processor.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "frontend/text/json_fields.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

Status load_step(const json::value& spec, std::string_view where, PostProcessor& out);

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

Status load_template(const json::object& spec, std::string_view where, PostProcessor& out) {
  SWITCHYARD_ASSIGN(const auto* single, array_field(spec, "single", where));
  std::vector<int32_t> prefix, suffix;
  bool text_seen = false;
  for (size_t i = 0; i < single->size(); ++i) {
    const std::string here = fmt::format("{}.single[{}]", where, i);
    SWITCHYARD_ASSIGN(const auto* object, as_object((*single)[i], here));
    if (const auto* sequence = object->if_contains("Sequence")) {
      SWITCHYARD_ASSIGN(const auto* inner, as_object(*sequence, here + ".Sequence"));
      SWITCHYARD_ASSIGN(const std::string id, string_field(*inner, "id", here + ".Sequence"));
      if (text_seen || id != "A") return field_error(here, "Sequence.id", "exactly one 'A' is expected");
      text_seen = true;
    } else if (const auto* special = object->if_contains("SpecialToken")) {
      SWITCHYARD_ASSIGN(const auto* inner, as_object(*special, here + ".SpecialToken"));
      SWITCHYARD_ASSIGN(const std::string name, string_field(*inner, "id", here + ".SpecialToken"));
      SWITCHYARD_ASSIGN(const auto ids, special_ids(spec, name, where));
      auto& side = text_seen ? suffix : prefix;
      side.insert(side.end(), ids.begin(), ids.end());
    } else {
      return Error{Errc::kInvalid, fmt::format("{}: Sequence or SpecialToken is expected", here)};
    }
  }
  if (!text_seen) return field_error(where, "single", "exactly one 'A' is expected");
  out.prefix.insert(out.prefix.begin(), prefix.begin(), prefix.end());
  out.suffix.insert(out.suffix.end(), suffix.begin(), suffix.end());
  return {};
}

Status load_byte_level(const json::object&, std::string_view, PostProcessor&) { return {}; }

Status load_sequence(const json::object& spec, std::string_view where, PostProcessor& out) {
  SWITCHYARD_ASSIGN(const auto* list, array_field(spec, "processors", where));
  for (size_t i = 0; i < list->size(); ++i) {
    SWITCHYARD_TRY(load_step((*list)[i], fmt::format("{}.processors[{}]", where, i), out));
  }
  return {};
}

struct Kind {
  std::string_view name;
  Status (*load)(const json::object& spec, std::string_view where, PostProcessor& out);
};
constexpr Kind kKinds[] = {
    {"ByteLevel", load_byte_level},
    {"Sequence", load_sequence},
    {"TemplateProcessing", load_template},
};

Status load_step(const json::value& spec, std::string_view where, PostProcessor& out) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  SWITCHYARD_ASSIGN(const std::string type, string_field(*object, "type", where));
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.load(*object, where, out);
  }
  return field_error(where, "type", fmt::format("the post-processor '{}' is not supported", type));
}

}  // namespace

Result<PostProcessor> load_post_processor(const json::value& spec, std::string_view where) {
  PostProcessor out;
  if (!spec.is_null()) SWITCHYARD_TRY(load_step(spec, where, out));
  return out;
}

}  // namespace switchyard::text
