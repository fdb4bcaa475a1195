#include "frontend/text/model.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "frontend/text/bpe.h"
#include "frontend/text/json_fields.h"

namespace switchyard::text {

namespace json = boost::json;

namespace {

struct Kind {
  std::string_view name;
  Result<std::unique_ptr<Model>> (*load)(const json::object& spec, bool byte_level, std::string_view where);
};
constexpr Kind kKinds[] = {
    {"BPE", load_bpe},
};

}  // namespace

Result<std::unique_ptr<Model>> load_model(const json::value& spec, bool byte_level, std::string_view where) {
  SWITCHYARD_ASSIGN(const auto* object, as_object(spec, where));
  // Files from before the field was there are BPE where they have merges.
  std::string type = object->contains("merges") ? "BPE" : "";
  if (object->contains("type")) {
    SWITCHYARD_ASSIGN(type, string_field(*object, "type", where));
  }
  for (const auto& kind : kKinds) {
    if (kind.name == type) return kind.load(*object, byte_level, where);
  }
  return field_error(where, "type", fmt::format("the model '{}' is not supported", type));
}

}  // namespace switchyard::text
