#include "common/structured/schema_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "common/structured/number_range.h"

namespace switchyard::structured {
namespace {

namespace json = boost::json;

// Draft 2020-12, and "definitions" of before.
constexpr std::string_view kAssertions[] = {"$ref",
                                            "$dynamicRef",
                                            "$recursiveRef",
                                            "allOf",
                                            "anyOf",
                                            "oneOf",
                                            "not",
                                            "if",
                                            "then",
                                            "else",
                                            "type",
                                            "enum",
                                            "const",
                                            "properties",
                                            "required",
                                            "additionalProperties",
                                            "patternProperties",
                                            "propertyNames",
                                            "minProperties",
                                            "maxProperties",
                                            "dependentRequired",
                                            "dependentSchemas",
                                            "dependencies",
                                            "unevaluatedProperties",
                                            "items",
                                            "prefixItems",
                                            "additionalItems",
                                            "minItems",
                                            "maxItems",
                                            "uniqueItems",
                                            "contains",
                                            "minContains",
                                            "maxContains",
                                            "unevaluatedItems",
                                            "minLength",
                                            "maxLength",
                                            "pattern",
                                            "format",
                                            "minimum",
                                            "maximum",
                                            "exclusiveMinimum",
                                            "exclusiveMaximum",
                                            "multipleOf"};

uint32_t type_bits(std::string_view name) {
  if (name == "null") return kNullType;
  if (name == "boolean") return kBooleanType;
  if (name == "integer") return kIntegerType;
  if (name == "number") return kNumberTypes;
  if (name == "string") return kStringType;
  if (name == "array") return kArrayType;
  if (name == "object") return kObjectType;
  return 0;
}

bool contains(const json::array& list, const json::value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

const json::array* values_of(const json::object& schema, json::array& one) {
  if (const json::value* value = schema.if_contains("const")) {
    one = {*value};
    return &one;
  }
  const json::value* list = schema.if_contains("enum");
  return list == nullptr ? nullptr : list->if_array();
}

// What array items are held to, one schema after another, and what holds for those behind.
struct ItemSchemas {
  json::array prefix;
  std::optional<json::value> rest;

  static Result<ItemSchemas> of(const json::object& schema) {
    ItemSchemas items;
    if (const json::value* prefix = schema.if_contains("prefixItems")) {
      if (!prefix->is_array()) return Error{Errc::kInvalid, "\"prefixItems\" must be an array of schemas"};
      items.prefix = prefix->get_array();
    }
    if (const json::value* rest = schema.if_contains("items")) items.rest = *rest;
    return items;
  }
  json::value at(size_t index) const {
    return index < prefix.size() ? prefix[index] : rest.value_or(json::value(true));
  }
};

Error cannot_merge(std::string_view keyword) {
  return Error{Errc::kInvalid,
               fmt::format("\"{}\" in both of two schemas that must hold together is not supported", keyword)};
}

// Two values of one keyword.
Result<json::value> merge_keyword(std::string_view keyword, const json::value& a, const json::value& b) {
  const auto number = [](const json::value& v) { return Decimal::of(v); };
  const bool is_least = keyword.starts_with("min") || keyword == "exclusiveMinimum";
  const bool is_most = keyword.starts_with("max") || keyword == "exclusiveMaximum";
  if (is_least || is_most) {
    SWITCHYARD_ASSIGN(const Decimal x, number(a));
    SWITCHYARD_ASSIGN(const Decimal y, number(b));
    return (less(x, y) == is_least) ? b : a;
  }
  if (keyword == "required" && a.is_array() && b.is_array()) {
    json::array both = a.get_array();
    for (const json::value& name : b.get_array())
      if (!contains(both, name)) both.push_back(name);
    return json::value(std::move(both));
  }
  if (keyword == "enum" && a.is_array() && b.is_array()) {
    json::array both;
    for (const json::value& value : a.get_array())
      if (contains(b.get_array(), value)) both.push_back(value);
    return json::value(std::move(both));
  }
  return cannot_merge(keyword);
}

}  // namespace

namespace schema_error {

std::string child(const std::string& pointer, std::string_view key) {
  std::string escaped;
  for (const char c : key) escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return pointer + "/" + escaped;
}

Error fail(const std::string& at, std::string_view keyword, std::string_view what, Errc code) {
  return Error{code, fmt::format("{}: \"{}\" {}", child(at, keyword), keyword, what)};
}

Error unsupported(const std::string& at, std::string_view keyword, std::string_view when) {
  return fail(at, keyword, fmt::format("{}is not supported", when));
}

Error at_place(const std::string& at, const Error& error) {
  return Error{error.code, fmt::format("{}: {}", at.empty() ? "/" : at, error.message)};
}

}  // namespace schema_error

bool is_annotation(std::string_view keyword) {
  return std::find(std::begin(kAssertions), std::end(kAssertions), keyword) == std::end(kAssertions);
}

uint32_t type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return kNullType;
    case json::kind::bool_: return kBooleanType;
    case json::kind::int64:
    case json::kind::uint64: return kIntegerType;
    case json::kind::double_:
      return std::floor(value.get_double()) == value.get_double() ? kIntegerType : kFractionType;
    case json::kind::string: return kStringType;
    case json::kind::array: return kArrayType;
    case json::kind::object: return kObjectType;
  }
  return 0;
}

Result<const json::value*> SchemaParts::resolve(std::string_view reference) const {
  const auto fail = [&](const char* why) {
    return Error{Errc::kInvalid, fmt::format("\"$ref\": \"{}\" {}", reference, why)};
  };
  if (!reference.starts_with('#')) return fail("leads outside of the schema, which is not supported");
  std::string pointer;
  for (size_t i = 1; i < reference.size(); ++i) {
    const auto hex = [&](size_t at) {
      return at < reference.size() && std::isxdigit(static_cast<unsigned char>(reference[at])) != 0;
    };
    if (reference[i] == '%' && hex(i + 1) && hex(i + 2)) {
      pointer += static_cast<char>(std::stoi(std::string(reference.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      pointer += reference[i];
    }
  }
  if (!pointer.empty() && pointer[0] != '/') return fail("names an anchor, which is not supported");
  boost::system::error_code error;
  const json::value* found = root_.find_pointer(pointer, error);
  if (error || found == nullptr) return fail("leads nowhere");
  return found;
}

Result<uint32_t> SchemaParts::types(const json::object& schema) {
  uint32_t bits = kAllTypes;
  if (const json::value* type = schema.if_contains("type")) {
    bits = 0;
    const auto add = [&](const json::value& name) {
      const uint32_t one = name.is_string() ? type_bits(name.get_string()) : 0;
      bits |= one;
      return one != 0;
    };
    bool known = true;
    if (const json::array* list = type->if_array()) {
      for (const json::value& name : *list) known &= add(name);
    } else {
      known = add(*type);
    }
    if (!known || bits == 0) return Error{Errc::kInvalid, "\"type\" names a type that is none of JSON Schema's"};
  }
  json::array one;
  if (const json::array* values = values_of(schema, one)) {
    uint32_t of_values = 0;
    for (const json::value& value : *values) of_values |= type_of(value);
    bits &= of_values;
  }
  return bits;
}

Result<json::value> SchemaParts::without_reference(const json::value& schema) {
  const json::object* object = schema.if_object();
  const json::value* reference = object == nullptr ? nullptr : object->if_contains("$ref");
  if (reference == nullptr) return schema;
  if (!reference->is_string()) return Error{Errc::kInvalid, "\"$ref\" must be a string"};
  SWITCHYARD_ASSIGN(const json::value* target, resolve(reference->get_string()));
  json::object rest = *object;
  rest.erase("$ref");
  return merge(*target, json::value(std::move(rest)));
}

Result<json::value> SchemaParts::merge(const json::value& a, const json::value& b) {
  if (++merges_ > kMergesMax || depth_ >= kMergeDepthMax)
    return Error{Errc::kTooLarge, "too many schemas that must hold together"};
  ++depth_;
  auto result = merge_both(a, b);
  --depth_;
  return result;
}

// "items" is about what is behind the prefix of its own schema.
Status SchemaParts::merge_items(json::object& x, json::object& y) {
  SWITCHYARD_ASSIGN(const ItemSchemas first, ItemSchemas::of(x));
  SWITCHYARD_ASSIGN(const ItemSchemas second, ItemSchemas::of(y));
  json::array prefix;
  for (size_t i = 0; i < std::max(first.prefix.size(), second.prefix.size()); ++i) {
    SWITCHYARD_ASSIGN(json::value both, merge(first.at(i), second.at(i)));
    prefix.push_back(std::move(both));
  }
  for (const char* keyword : {"prefixItems", "items"}) y.erase(keyword);
  x["prefixItems"] = std::move(prefix);
  if (!first.rest && !second.rest) return {};
  SWITCHYARD_ASSIGN(x["items"], merge(first.rest.value_or(json::value(true)), second.rest.value_or(json::value(true))));
  return {};
}

Result<json::value> SchemaParts::merge_both(const json::value& a, const json::value& b) {
  if (a.is_bool()) return a.get_bool() ? b : a;
  if (b.is_bool()) return b.get_bool() ? a : b;
  if (!a.is_object() || !b.is_object()) return Error{Errc::kInvalid, "a schema must be an object or a boolean"};
  SWITCHYARD_ASSIGN(json::value left, without_reference(a));
  SWITCHYARD_ASSIGN(json::value right, without_reference(b));
  if (!left.is_object() || !right.is_object()) return merge(left, right);
  json::object& x = left.get_object();
  json::object& y = right.get_object();

  // A closed object knows its own properties alone.
  for (const auto& [closed, other] : {std::pair{&x, &y}, std::pair{&y, &x}}) {
    if (!closed->contains("additionalProperties")) continue;
    const json::value* patterns = other->if_contains("patternProperties");
    const json::value* own_patterns = closed->if_contains("patternProperties");
    if (patterns != nullptr && (own_patterns == nullptr || *own_patterns != *patterns))
      return cannot_merge("additionalProperties");
    const json::value* more = other->if_contains("properties");
    if (more == nullptr || !more->is_object()) continue;
    const json::value* own = closed->if_contains("properties");
    for (const auto& property : more->get_object()) {
      if (own == nullptr || !own->is_object() || !own->get_object().contains(property.key()))
        return cannot_merge("additionalProperties");
    }
  }
  if (x.contains("prefixItems") || y.contains("prefixItems")) SWITCHYARD_TRY(merge_items(x, y));
  for (const auto& member : y) {
    const std::string_view keyword = member.key();
    json::value* own = x.if_contains(keyword);
    if (own == nullptr) {
      x.emplace(keyword, member.value());
    } else if (*own == member.value() || is_annotation(keyword)) {
      continue;
    } else if (keyword == "type") {
      SWITCHYARD_ASSIGN(const uint32_t first, types({{"type", *own}}));
      SWITCHYARD_ASSIGN(const uint32_t second, types({{"type", member.value()}}));
      json::array names;
      for (const char* name : {"null", "boolean", "string", "array", "object"})
        if ((first & second & type_bits(name)) != 0) names.emplace_back(name);
      if ((first & second & kFractionType) != 0)
        names.emplace_back("number");
      else if ((first & second & kIntegerType) != 0)
        names.emplace_back("integer");
      if (names.empty()) return json::value(false);
      *own = std::move(names);
    } else if (keyword == "properties" && own->is_object() && member.value().is_object()) {
      for (const auto& property : member.value().get_object()) {
        json::value* mine = own->get_object().if_contains(property.key());
        if (mine == nullptr) {
          own->get_object().emplace(property.key(), property.value());
        } else {
          SWITCHYARD_ASSIGN(*mine, merge(*mine, property.value()));
        }
      }
    } else if ((keyword == "items" || keyword == "additionalProperties")) {
      SWITCHYARD_ASSIGN(*own, merge(*own, member.value()));
    } else if (keyword == "allOf" && own->is_array() && member.value().is_array()) {
      for (const json::value& part : member.value().get_array()) own->get_array().push_back(part);
    } else {
      SWITCHYARD_ASSIGN(*own, merge_keyword(keyword, *own, member.value()));
    }
  }
  // "const" against "enum" or another: see whether anything is left.
  const json::value* one = x.if_contains("const");
  const json::value* list = x.if_contains("enum");
  if (one != nullptr && list != nullptr && list->is_array() && !contains(list->get_array(), *one))
    return json::value(false);
  return left;
}

bool SchemaParts::disjoint(const json::value& a, const json::value& b, uint32_t depth) const {
  constexpr uint32_t kDepthMax = 4;
  if ((a.is_bool() && !a.get_bool()) || (b.is_bool() && !b.get_bool())) return true;
  if (!a.is_object() || !b.is_object() || depth > kDepthMax) return false;
  const auto target = [&](const json::value& schema) -> const json::object* {
    const json::value* reference = schema.get_object().if_contains("$ref");
    if (reference == nullptr || !reference->is_string()) return &schema.get_object();
    const auto found = resolve(reference->get_string());
    return found.ok() && (*found)->is_object() ? (*found)->if_object() : nullptr;
  };
  const json::object* x = target(a);
  const json::object* y = target(b);
  if (x == nullptr || y == nullptr) return false;
  const auto first = types(*x);
  const auto second = types(*y);
  if (!first.ok() || !second.ok()) return false;
  if ((*first & *second) == 0) return true;
  json::array one, other;
  const json::array* left = values_of(*x, one);
  const json::array* right = values_of(*y, other);
  if (left != nullptr && right != nullptr)
    return std::none_of(left->begin(), left->end(), [&](const json::value& v) { return contains(*right, v); });
  if ((*first & *second) != kObjectType) return false;

  // A property that both must have, with values that differ; or one that one must have and the other cannot.
  const auto property = [](const json::object& schema, const json::value& name) -> const json::value* {
    const json::value* properties = schema.if_contains("properties");
    if (properties == nullptr || !properties->is_object() || !name.is_string()) return nullptr;
    return properties->get_object().if_contains(name.get_string());
  };
  const auto requires_name = [](const json::object& schema, const json::value& name) {
    const json::value* required = schema.if_contains("required");
    return required != nullptr && required->is_array() && contains(required->get_array(), name);
  };
  const auto forbids = [&](const json::object& schema, const json::value& name) {
    const json::value* additional = schema.if_contains("additionalProperties");
    return additional != nullptr && additional->is_bool() && !additional->get_bool() &&
           !schema.contains("patternProperties") && property(schema, name) == nullptr;
  };
  const auto apart = [&](const json::object& p, const json::object& q) {
    const json::value* required = p.if_contains("required");
    if (required == nullptr || !required->is_array()) return false;
    return std::any_of(required->get_array().begin(), required->get_array().end(), [&](const json::value& name) {
      if (forbids(q, name)) return true;
      const json::value* mine = property(p, name);
      const json::value* yours = property(q, name);
      return requires_name(q, name) && mine != nullptr && yours != nullptr && disjoint(*mine, *yours, depth + 1);
    });
  };
  return apart(*x, *y) || apart(*y, *x);
}

}  // namespace switchyard::structured
