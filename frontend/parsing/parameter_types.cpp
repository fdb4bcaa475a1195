#include "frontend/parsing/parameter_types.h"

#include <algorithm>
#include <boost/json.hpp>

#include "frontend/parsing/json_scan.h"

namespace switchyard::parsing {
namespace {

namespace json = boost::json;
using Types = ParameterTypes::Types;

constexpr size_t kSchemaDepthMax = 8;  // of anyOf in anyOf

Types named_type(std::string_view name) {
  if (name == "string") return ParameterTypes::kString;
  if (name == "integer" || name == "number") return ParameterTypes::kNumber;
  if (name == "boolean") return ParameterTypes::kBoolean;
  if (name == "null") return ParameterTypes::kNull;
  if (name == "object") return ParameterTypes::kObject;
  if (name == "array") return ParameterTypes::kArray;
  return ParameterTypes::kAny;
}

Types type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return ParameterTypes::kNull;
    case json::kind::bool_: return ParameterTypes::kBoolean;
    case json::kind::string: return ParameterTypes::kString;
    case json::kind::array: return ParameterTypes::kArray;
    case json::kind::object: return ParameterTypes::kObject;
    default: return ParameterTypes::kNumber;
  }
}

// The type of a text that is JSON, by its first byte.
Types type_of_text(std::string_view text) {
  switch (text.front()) {
    case '"': return ParameterTypes::kString;
    case '{': return ParameterTypes::kObject;
    case '[': return ParameterTypes::kArray;
    case 't':
    case 'f': return ParameterTypes::kBoolean;
    case 'n': return ParameterTypes::kNull;
    default: return ParameterTypes::kNumber;
  }
}

Types types_of_schema(const json::value& schema, size_t depth = 0) {
  if (!schema.is_object() || depth > kSchemaDepthMax) return ParameterTypes::kAny;
  const json::object& object = schema.get_object();
  Types types = ParameterTypes::kAny;
  const auto add_name = [&](const json::value& name) {
    if (name.is_string()) types |= named_type(name.get_string());
  };
  if (const json::value* type = object.if_contains("type")) {
    add_name(*type);
    if (type->is_array())
      for (const json::value& name : type->get_array()) add_name(name);
  }
  for (const char* key : {"anyOf", "oneOf"}) {
    const json::value* choices = object.if_contains(key);
    if (choices == nullptr || !choices->is_array()) continue;
    for (const json::value& choice : choices->get_array()) types |= types_of_schema(choice, depth + 1);
  }
  if (types != ParameterTypes::kAny) return types;
  if (const json::value* values = object.if_contains("enum"); values != nullptr && values->is_array())
    for (const json::value& value : values->get_array()) types |= type_of(value);
  if (const json::value* value = object.if_contains("const")) types |= type_of(*value);
  return types;
}

const json::object* object_in(const json::value& value, const char* key) {
  if (!value.is_object()) return nullptr;
  const json::value* inner = value.get_object().if_contains(key);
  return inner == nullptr ? nullptr : inner->if_object();
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; });
}

}  // namespace

ParameterTypes::ParameterTypes(const json::value& tools) {
  if (!tools.is_array()) return;
  for (const json::value& tool : tools.get_array()) {
    const json::object* function = object_in(tool, "function");
    if (function == nullptr) continue;
    const json::value* name = function->if_contains("name");
    const json::value* parameters = function->if_contains("parameters");
    if (name == nullptr || !name->is_string() || parameters == nullptr) continue;
    const json::object* properties = object_in(*parameters, "properties");
    if (properties == nullptr) continue;
    auto& types = functions_[std::string(name->get_string())];
    for (const auto& property : *properties) types[std::string(property.key())] = types_of_schema(property.value());
  }
}

Types ParameterTypes::of(const std::string& function, const std::string& parameter) const {
  const auto known = functions_.find(function);
  if (known == functions_.end()) return kAny;
  const auto type = known->second.find(parameter);
  return type == known->second.end() ? kAny : type->second;
}

std::string json_string(std::string_view text) { return json::serialize(json::string_view(text.data(), text.size())); }

std::string json_of_parameter(std::string_view text, Types types, bool untyped_is_text) {
  const bool untyped = types == ParameterTypes::kAny;
  if (types == ParameterTypes::kString || (untyped && untyped_is_text)) return json_string(text);
  const std::string_view value = trim(text);
  if (is_json(value)) {
    const bool may_be_text = (types & ParameterTypes::kString) != 0;
    if (untyped || !may_be_text || (types & type_of_text(value)) != 0) return std::string(value);
    return json_string(text);
  }
  if (untyped || (types & ParameterTypes::kBoolean) != 0)
    for (const std::string_view word : {"true", "false"})
      if (equals_ignoring_case(value, word)) return std::string(word);
  if ((types & ParameterTypes::kString) == 0 && value == "None") return "null";
  return json_string(text);
}

}  // namespace switchyard::parsing
