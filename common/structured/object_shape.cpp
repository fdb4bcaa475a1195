#include "common/structured/object_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <set>

#include "common/structured/object_members.h"

namespace switchyard::structured {
namespace {

namespace json = boost::json;
using schema_error::child;
using schema_error::fail;
using schema_error::unsupported;

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

class ShapeReader {
 public:
  ShapeReader(const json::object& schema, const SchemaParts& parts, const std::string& at)
      : schema_(schema), parts_(parts), at_(at), additional_(schema.if_contains("additionalProperties")) {}

  Result<ObjectShape> read(bool closed) {
    const json::value* properties = schema_.if_contains("properties");
    if (properties != nullptr && !properties->is_object())
      return fail(at_, "properties", "must be an object of schemas");
    if (properties != nullptr) SWITCHYARD_TRY(bound(properties->get_object().size(), "properties"));
    shape_.patterns = schema_.if_contains("patternProperties");
    const bool names_some = properties != nullptr || shape_.patterns != nullptr;
    shape_.open = additional_ != nullptr ? *additional_ != json::value(false) : !(closed && names_some);
    if (additional_ != nullptr && shape_.open) shape_.others = additional_;
    if (const json::value* required = schema_.if_contains("required")) {
      SWITCHYARD_ASSIGN(required_, names(*required, "required"));
      needed_.insert(required_.begin(), required_.end());
    }
    SWITCHYARD_TRY(read_dependencies());
    SWITCHYARD_TRY(read_allowed_names());
    if (properties != nullptr) {
      for (const auto& property : properties->get_object()) add(property.key(), &property.value());
    }
    SWITCHYARD_TRY(add_unnamed());
    if (allowed_ && shape_.patterns != nullptr)
      return unsupported(at_, "propertyNames", "beside \"patternProperties\" ");
    if (shape_.other_names != nullptr && (!shape_.members.empty() || shape_.patterns != nullptr))
      return unsupported(at_, "propertyNames", "beside properties that are named, unless it lists names, ");
    return std::move(shape_);
  }

 private:
  static constexpr size_t kDependenciesNamedMax = 512;  // those of required members included

  // Names are looked for in lists.
  Status bound(size_t count, std::string_view keyword) const {
    if (count <= kMembersMax) return {};
    return fail(at_, keyword, fmt::format("names more than {} properties", kMembersMax), Errc::kTooLarge);
  }

  Result<std::vector<std::string>> names(const json::value& list, std::string_view keyword) const {
    std::vector<std::string> all;
    const json::array* array = list.if_array();
    const bool strings = array != nullptr && std::all_of(array->begin(), array->end(),
                                                         [](const json::value& name) { return name.is_string(); });
    if (!strings) return fail(at_, keyword, "must be an array of strings");
    SWITCHYARD_TRY(bound(array->size(), keyword));
    for (const json::value& name : *array) all.emplace_back(name.get_string());
    return all;
  }

  // What a required member requires is required as well; the rest depends.
  Status read_dependencies() {
    constexpr std::string_view kKeyword = "dependentRequired";
    const json::value* dependent = schema_.if_contains(kKeyword);
    if (dependent == nullptr) return {};
    if (!dependent->is_object()) return fail(at_, kKeyword, "must be an object of arrays of strings");
    for (const auto& [name, list] : dependent->get_object()) {
      SWITCHYARD_ASSIGN(const auto others, names(list, kKeyword));
      for (const std::string& other : others) shape_.dependencies.emplace_back(name, other);
      if (shape_.dependencies.size() > kDependenciesNamedMax)
        return fail(at_, kKeyword, fmt::format("has more than {} dependencies", kDependenciesNamedMax),
                    Errc::kTooLarge);
    }
    for (bool changed = true; changed;) {
      changed = false;
      for (const auto& [name, other] : shape_.dependencies) {
        if (!needed_.contains(name) || needed_.contains(other)) continue;
        needed_.insert(other);
        required_.push_back(other);
        changed = true;
      }
    }
    return {};
  }

  // "propertyNames": a list of names, or what others' names must be.
  Status read_allowed_names() {
    const json::value* name = schema_.if_contains("propertyNames");
    if (name == nullptr || *name == json::value(true)) return {};
    const json::object* object = name->if_object();
    if (object != nullptr && object->contains("$ref") && object->at("$ref").is_string()) {
      SWITCHYARD_ASSIGN(const json::value* target, parts_.resolve(object->at("$ref").get_string()));
      const bool alone = std::all_of(object->begin(), object->end(), [](const auto& member) {
        return member.key() == "$ref" || is_annotation(member.key());
      });
      if (alone) object = target->if_object();
    }
    const bool lists = object != nullptr && (object->contains("enum") || object->contains("const")) &&
                       std::all_of(object->begin(), object->end(), [](const auto& member) {
                         return member.key() == "enum" || member.key() == "const" || member.key() == "type" ||
                                is_annotation(member.key());
                       });
    if (*name != json::value(false) && !lists) {
      shape_.other_names = name;
      return {};
    }
    allowed_.emplace();
    if (!lists) return {};
    SWITCHYARD_ASSIGN(const uint32_t types, SchemaParts::types(*object));
    json::array values;
    if (const json::value* one = object->if_contains("const")) {
      values.push_back(*one);
    } else if (const json::array* list = object->at("enum").if_array()) {
      values = *list;
    }
    SWITCHYARD_TRY(bound(values.size(), "propertyNames"));
    for (const json::value& value : values)
      if (value.is_string() && (types & kStringType) != 0) allowed_->emplace_back(value.get_string());
    return {};
  }

  void add(std::string_view name, const json::value* schema) {
    const bool required = needed_.contains(name);
    if (allowed_ && !contains(*allowed_, name)) {
      shape_.impossible |= required;
      return;
    }
    shape_.members.push_back({std::string(name), schema, required});
  }

  // Members that other keywords than "properties" name.
  Status add_unnamed() {
    SWITCHYARD_TRY(add_each(required_, "required"));
    std::vector<std::string> depending;
    for (const auto& [name, other] : shape_.dependencies) depending.insert(depending.end(), {name, other});
    SWITCHYARD_TRY(add_each(depending, "dependentRequired"));
    if (!allowed_) return {};
    if (shape_.open) SWITCHYARD_TRY(add_each(*allowed_, "propertyNames"));
    shape_.open = false;
    return {};
  }
  Status add_each(const std::vector<std::string>& list, std::string_view keyword) {
    const bool forbidden = additional_ != nullptr && !shape_.open;
    for (const std::string& name : list) {
      if (shape_.has(name)) continue;
      if (shape_.patterns != nullptr)
        return unsupported(at_, keyword, fmt::format("of \"{}\" beside \"patternProperties\" ", name));
      if (forbidden && keyword == "required")
        return fail(at_, keyword, fmt::format("names \"{}\", which additionalProperties forbids", name));
      if (!forbidden) add(name, nullptr);
    }
    return {};
  }

  const json::object& schema_;
  const SchemaParts& parts_;
  const std::string& at_;
  const json::value* additional_;
  std::vector<std::string> required_;
  std::set<std::string, std::less<>> needed_;        // the same
  std::optional<std::vector<std::string>> allowed_;  // there are no other names
  ObjectShape shape_;
};

}  // namespace

Result<ObjectShape> ObjectShape::of(const json::object& schema, const SchemaParts& parts, bool closed,
                                    const std::string& at) {
  return ShapeReader(schema, parts, at).read(closed);
}

bool ObjectShape::is_any(const json::object& schema) {
  static constexpr const char* kKeywords[] = {"properties",        "patternProperties", "additionalProperties",
                                              "required",          "minProperties",     "maxProperties",
                                              "dependentRequired", "propertyNames"};
  return std::none_of(std::begin(kKeywords), std::end(kKeywords),
                      [&](const char* keyword) { return schema.contains(keyword); });
}

bool ObjectShape::has(std::string_view name) const {
  return std::any_of(members.begin(), members.end(), [&](const Member& member) { return member.name == name; });
}

}  // namespace switchyard::structured
