#include "common/structured/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "common/structured/automaton.h"
#include "common/structured/formats.h"
#include "common/structured/json_text.h"
#include "common/structured/multiples.h"
#include "common/structured/number_range.h"
#include "common/structured/object_members.h"
#include "common/structured/object_shape.h"
#include "common/structured/regex.h"
#include "common/structured/schema_parts.h"

namespace switchyard::structured {
namespace {

namespace json = boost::json;
using schema_error::at_place;
using schema_error::child;
using schema_error::fail;
using schema_error::unsupported;

constexpr uint32_t kCountMax = 20000;  // of characters, items or properties that a bound may name

constexpr std::string_view kUnsupported[] = {"$dynamicRef",
                                             "$recursiveRef",
                                             "not",
                                             "if",
                                             "then",
                                             "else",
                                             "dependentSchemas",
                                             "dependencies",
                                             "unevaluatedProperties",
                                             "unevaluatedItems",
                                             "additionalItems",
                                             "contains",
                                             "minContains",
                                             "maxContains"};

// Whether something within it refers to "#...": under an "$id" that is not the root.
bool has_own_reference(const json::value& value) {
  if (const json::array* list = value.if_array()) return std::any_of(list->begin(), list->end(), has_own_reference);
  const json::object* object = value.if_object();
  if (object == nullptr) return false;
  const json::value* reference = object->if_contains("$ref");
  if (reference != nullptr && reference->is_string() && reference->get_string().starts_with('#')) return true;
  return std::any_of(object->begin(), object->end(),
                     [](const auto& member) { return has_own_reference(member.value()); });
}

class SchemaCompiler {
 public:
  SchemaCompiler(const json::value& root, SchemaOptions options)
      : root_(root), options_(options), parts_(root), text_(grammar_), multiples_(grammar_) {}

  Result<Grammar> run() {
    const Rule rule = grammar_.add_rule("the schema", Grammar::Calls::kShared);
    references_.emplace("#", rule);
    SWITCHYARD_ASSIGN(const Expr body, compile(root_, ""));
    grammar_.define(rule, body);
    grammar_.set_root(rule);
    while (!waiting_.empty()) {
      const Reference next = waiting_.back();
      waiting_.pop_back();
      SWITCHYARD_ASSIGN(const Expr target, compile(*next.schema, next.pointer));
      grammar_.define(next.rule, target);
    }
    return std::move(grammar_);
  }

 private:
  struct Reference {
    const json::value* schema;
    std::string pointer;
    Rule rule;
  };

  // Merged schemas have the root's, too.
  bool is_id_of_root(const json::value& id) const {
    const json::object* root = root_.if_object();
    return root != nullptr && root->contains("$id") && root->at("$id") == id;
  }

  Result<Expr> compile(const json::value& schema, const std::string& at) {
    if (depth_ >= kSchemaDepthMax)
      return at_place(at, {Errc::kTooLarge, fmt::format("schemas are nested more than {} deep", kSchemaDepthMax)});
    if (++count_ > kSchemasMax)
      return at_place(at, {Errc::kTooLarge, fmt::format("more than {} schemas", kSchemasMax)});
    if (grammar_.overflowed()) return at_place(at, Grammar::too_large());
    ++depth_;
    auto result = schema.is_bool()     ? Result<Expr>(schema.get_bool() ? text_.value() : grammar_.never())
                  : schema.is_object() ? compile_object_form(schema.get_object(), at)
                                       : at_place(at, {Errc::kInvalid, "a schema must be an object or a boolean"});
    --depth_;
    return result;
  }

  Result<Expr> compile_object_form(const json::object& schema, const std::string& at) {
    for (const std::string_view keyword : kUnsupported)
      if (schema.contains(keyword)) return unsupported(at, keyword);
    if (const json::value* unique = schema.if_contains("uniqueItems");
        unique != nullptr && *unique != json::value(false))
      return unsupported(at, "uniqueItems");
    if (const json::value* id = schema.if_contains("$id"); id != nullptr && id->is_string() && !is_id_of_root(*id) &&
                                                           !id->get_string().starts_with('#') &&
                                                           has_own_reference(json::value(schema)))
      return unsupported(at, "$id", "of a part of the schema that has references of its own ");
    if (schema.contains("$ref")) return compile_reference(schema, at);
    for (const char* keyword : {"allOf", "anyOf", "oneOf"})
      if (schema.contains(keyword)) return compile_combination(schema, keyword, at);
    if (schema.contains("enum") || schema.contains("const")) return compile_values(schema, at);

    const auto types = SchemaParts::types(schema);
    if (!types.ok()) return at_place(at, types.error());
    if (*types == kAllTypes &&
        std::all_of(schema.begin(), schema.end(), [](const auto& m) { return is_annotation(m.key()); }))
      return text_.value();
    std::vector<Expr> choices;
    if ((*types & kNullType) != 0) choices.push_back(text_.null());
    if ((*types & kBooleanType) != 0) choices.push_back(text_.boolean());
    if ((*types & kNumberTypes) != 0) {
      SWITCHYARD_ASSIGN(const Expr number, compile_number(schema, (*types & kFractionType) == 0, at));
      choices.push_back(number);
    }
    if ((*types & kStringType) != 0) {
      SWITCHYARD_ASSIGN(const Expr string, compile_string(schema, at));
      choices.push_back(string);
    }
    if ((*types & kArrayType) != 0) {
      SWITCHYARD_ASSIGN(const Expr array, compile_array(schema, at));
      choices.push_back(array);
    }
    if ((*types & kObjectType) != 0) {
      SWITCHYARD_ASSIGN(const Expr object, compile_object(schema, at));
      choices.push_back(object);
    }
    return grammar_.choice(std::move(choices));
  }

  // --- references and combinations -----------------------------------------------------------------------------------

  Result<Expr> compile_reference(const json::object& schema, const std::string& at) {
    const json::value& reference = schema.at("$ref");
    if (!reference.is_string()) return fail(at, "$ref", "must be a string");
    json::object rest = schema;
    rest.erase("$ref");
    const bool alone = std::all_of(rest.begin(), rest.end(), [](const auto& m) { return is_annotation(m.key()); });
    const std::string pointer(reference.get_string());
    const auto target = parts_.resolve(pointer);
    if (!target.ok()) return at_place(child(at, "$ref"), target.error());
    if (!alone) {
      const auto merged = parts_.merge(schema, json::value(json::object()));
      if (!merged.ok()) return at_place(at, merged.error());
      return compile(*merged, at);
    }
    const auto [found, added] = references_.emplace(pointer, 0);
    if (added) {
      found->second = grammar_.add_rule(fmt::format("\"$ref\": \"{}\"", pointer), Grammar::Calls::kShared);
      waiting_.push_back({*target, pointer.substr(1), found->second});
    }
    return grammar_.call(found->second);
  }

  Result<Expr> compile_combination(const json::object& schema, const char* keyword, const std::string& at) {
    const json::array* list = schema.at(keyword).if_array();
    if (list == nullptr || list->empty()) return fail(at, keyword, "must be an array of schemas");
    const std::string here = child(at, keyword);
    json::object rest = schema;
    rest.erase(keyword);
    const bool alone = std::all_of(rest.begin(), rest.end(), [](const auto& m) { return is_annotation(m.key()); });
    if (std::string_view(keyword) == "allOf") {
      json::value all = alone ? json::value(true) : json::value(rest);
      for (size_t i = 0; i < list->size(); ++i) {
        auto merged = parts_.merge(all, (*list)[i]);
        if (!merged.ok()) return at_place(fmt::format("{}/{}", here, i), merged.error());
        all = std::move(*merged);
      }
      return compile(all, at);
    }
    if (std::string_view(keyword) == "oneOf") {
      for (size_t i = 0; i < list->size(); ++i) {
        for (size_t j = i + 1; j < list->size(); ++j) {
          if (!parts_.disjoint((*list)[i], (*list)[j]))
            return unsupported(at, "oneOf", fmt::format("whose alternatives {} and {} may both hold ", i, j));
        }
      }
    }
    std::vector<Expr> choices;
    for (size_t i = 0; i < list->size(); ++i) {
      const std::string place = fmt::format("{}/{}", here, i);
      if (alone) {
        SWITCHYARD_ASSIGN(const Expr part, compile((*list)[i], place));
        choices.push_back(part);
      } else {
        const auto merged = parts_.merge((*list)[i], json::value(rest));
        if (!merged.ok()) return at_place(place, merged.error());
        SWITCHYARD_ASSIGN(const Expr part, compile(*merged, place));
        choices.push_back(part);
      }
    }
    return grammar_.choice(std::move(choices));
  }

  // --- values --------------------------------------------------------------------------------------------------------

  Result<Expr> compile_values(const json::object& schema, const std::string& at) {
    json::array values;
    if (const json::value* one = schema.if_contains("const")) {
      values.push_back(*one);
    } else if (const json::array* list = schema.at("enum").if_array()) {
      values = *list;
    } else {
      return fail(at, "enum", "must be an array");
    }
    for (const auto& member : schema) {
      const std::string_view keyword = member.key();
      if (keyword != "enum" && keyword != "const" && keyword != "type" && !is_annotation(keyword))
        return unsupported(at, keyword, "beside \"enum\" or \"const\" ");
    }
    const auto types = SchemaParts::types(schema);
    if (!types.ok()) return at_place(at, types.error());
    std::vector<Expr> choices;
    for (const json::value& value : values)
      if ((type_of(value) & *types) != 0) choices.push_back(grammar_.literal(json_literal(value)));
    return grammar_.choice(std::move(choices));
  }

  Result<Expr> compile_number(const json::object& schema, bool integer, const std::string& at) {
    NumberForm form{.integer = integer};
    if (const json::value* factor = schema.if_contains("multipleOf")) {
      const auto decimal = Decimal::of(*factor);
      if (!decimal.ok() || decimal->negative || decimal->is_zero())
        return fail(at, "multipleOf", "must be a number above 0");
      const bool power = decimal->whole.empty() &&
                         decimal->fraction.find_first_not_of('0') + 1 == decimal->fraction.size() &&
                         decimal->fraction.back() == '1' && decimal->fraction.size() <= kFractionDigits;
      const auto whole = Multiples::Factor::of(*decimal);
      if (!power && !whole)
        return unsupported(at, "multipleOf",
                           fmt::format("other than whole numbers up to {} and powers of ten ", Multiples::kFactorMax));
      if (power) {
        form.fraction_digits = static_cast<uint32_t>(decimal->fraction.size());
      } else {
        form.integer = true;
        if (whole->factor != 1 || whole->zeros != 0) {
          form.sizes = [this, whole](const std::string& least, const std::string& most) {
            return multiples_.between(*whole, least, most);
          };
        }
      }
    }
    NumberBounds bounds;
    for (const char* keyword : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
      const json::value* bound = schema.if_contains(keyword);
      if (bound == nullptr) continue;
      const auto decimal = Decimal::of(*bound);
      if (!decimal.ok()) return fail(at, keyword, "must be a number");
      const std::string_view name = keyword;
      const bool exclusive = name.starts_with("exclusive");
      if (name == "minimum" || name == "exclusiveMinimum")
        bounds.raise_least(*decimal, exclusive);
      else
        bounds.lower_most(*decimal, exclusive);
    }
    if (!schema.contains("multipleOf")) {
      for (const auto& bound : {bounds.least, bounds.most})  // one digit more: there is a number just inside of it
        if (bound)
          form.fraction_digits = std::max(form.fraction_digits, static_cast<uint32_t>(bound->fraction.size() + 1));
    }
    if (bounds.none() && !form.sizes) {
      if (form.integer) return text_.integer();
      if (form.fraction_digits == kFractionDigits) return text_.number();
    }
    const Rule rule = grammar_.add_rule(fmt::format("the number at {}", at), Grammar::Calls::kInlined);
    grammar_.define(rule, number_within(grammar_, bounds, form));
    return grammar_.call(rule);
  }

  // A bound on a count, if the schema has it.
  Result<std::optional<uint32_t>> count(const json::object& schema, const char* keyword, const std::string& at) {
    const json::value* value = schema.if_contains(keyword);
    if (value == nullptr) return std::optional<uint32_t>();
    const auto decimal = Decimal::of(*value);
    if (!decimal.ok() || decimal->negative || !decimal->fraction.empty()) return fail(at, keyword, "must be a count");
    if (decimal->whole.size() > 5 || (!decimal->whole.empty() && std::stoul(decimal->whole) > kCountMax))
      return fail(at, keyword, fmt::format("is more than {}", kCountMax), Errc::kTooLarge);
    return std::optional<uint32_t>(decimal->whole.empty() ? 0U : static_cast<uint32_t>(std::stoul(decimal->whole)));
  }

  Result<Expr> compile_string(const json::object& schema, const std::string& at) {
    SWITCHYARD_ASSIGN(const auto least, count(schema, "minLength", at));
    SWITCHYARD_ASSIGN(const auto most, count(schema, "maxLength", at));
    const json::value* pattern = schema.if_contains("pattern");
    const json::value* format = schema.if_contains("format");
    if (format != nullptr && format->is_string() && is_free_format(format->get_string())) format = nullptr;
    if (pattern == nullptr && format == nullptr) {
      if (least.value_or(0) == 0 && !most) return text_.string();
      return text_.string(least.value_or(0), most);
    }
    const char* keyword = pattern != nullptr ? "pattern" : "format";
    for (const char* other : {"minLength", "maxLength"})
      if (schema.contains(other)) return unsupported(at, other, fmt::format("beside \"{}\" ", keyword));
    if (pattern != nullptr && format != nullptr) return unsupported(at, "format", "beside \"pattern\" ");
    const json::value& value = pattern != nullptr ? *pattern : *format;
    if (!value.is_string()) return fail(at, keyword, "must be a string");
    std::string regex(value.get_string());
    if (format != nullptr) {
      regex = format_regex(value.get_string());
      if (regex.empty())
        return fail(at, "format", fmt::format("of \"{}\" is not supported", std::string_view(value.get_string())));
    }
    const auto inner =
        parse_regex(grammar_, regex, pattern != nullptr ? RegexMatch::kAnywhere : RegexMatch::kWhole, &json_character);
    if (!inner.ok()) return at_place(child(at, keyword), inner.error());
    return grammar_.sequence({grammar_.literal("\""), *inner, grammar_.literal("\"")});
  }

  // --- arrays and objects --------------------------------------------------------------------------------------------

  // A rule of its own, so that what is repeated, or nested, is built once.
  Expr as_rule(std::string name, Expr body, Grammar::Calls calls) {
    const Rule rule = grammar_.add_rule(std::move(name), calls);
    grammar_.define(rule, body);
    return grammar_.call(rule);
  }

  Result<Expr> compile_array(const json::object& schema, const std::string& at) {
    SWITCHYARD_ASSIGN(const auto min_items, count(schema, "minItems", at));
    SWITCHYARD_ASSIGN(const auto max_items, count(schema, "maxItems", at));
    const uint32_t least = min_items.value_or(0);
    if (max_items && *max_items < least) return grammar_.never();
    std::vector<Expr> items;
    if (const json::value* prefix = schema.if_contains("prefixItems")) {
      if (!prefix->is_array()) return fail(at, "prefixItems", "must be an array of schemas");
      const std::string here = child(at, "prefixItems");
      for (size_t i = 0; i < prefix->get_array().size(); ++i) {
        SWITCHYARD_ASSIGN(const Expr item, compile(prefix->get_array()[i], fmt::format("{}/{}", here, i)));
        items.push_back(item);
      }
    }
    Expr item = items.empty() || !options_.closed ? text_.value() : grammar_.never();
    if (const json::value* rest = schema.if_contains("items")) {
      if (rest->is_array()) return unsupported(at, "items", "as an array (before draft 2020-12) ");
      SWITCHYARD_ASSIGN(item, compile(*rest, child(at, "items")));
      item = as_rule(fmt::format("the items of {}", at), item,
                     max_items.value_or(least) > 2 ? Grammar::Calls::kShared : Grammar::Calls::kInlined);
    } else if (items.empty() && !schema.contains("prefixItems") && least == 0 && !max_items) {
      return text_.array();
    }
    auto& g = grammar_;
    const Expr comma = g.sequence({g.literal(","), text_.space()});
    const auto known = static_cast<uint32_t>(items.size());
    const uint32_t most = max_items.value_or(UINT32_MAX);
    const auto left = [&](uint32_t bound, uint32_t used) { return bound > used ? bound - used : 0; };
    // What follows item i - 1: from the last one backwards.
    const uint32_t begun = std::max(known, 1U);
    Expr tail = g.repeat(g.sequence({comma, item}), left(least, begun),
                         max_items ? std::optional<uint32_t>(left(most, begun)) : std::nullopt);
    for (uint32_t i = known; i-- > 1;) {
      if (i >= most) {
        tail = g.empty();
        continue;
      }
      tail = g.sequence({comma, items[i], tail});
      if (i >= least) tail = g.optional(tail);
    }
    const Expr all = g.sequence({known == 0 ? item : items[0], tail, text_.space()});
    std::vector<Expr> contents;
    if (least == 0) contents.push_back(g.empty());
    if (most > 0) contents.push_back(all);
    const Expr body = g.sequence({g.literal("["), text_.space(), g.choice(std::move(contents)), g.literal("]")});
    return as_rule(fmt::format("the array at {}", at), body, Grammar::Calls::kShared);
  }

  Result<Expr> compile_object(const json::object& schema, const std::string& at) {
    SWITCHYARD_ASSIGN(const auto least, count(schema, "minProperties", at));
    SWITCHYARD_ASSIGN(const auto most, count(schema, "maxProperties", at));
    if (ObjectShape::is_any(schema)) return text_.object();
    SWITCHYARD_ASSIGN(const ObjectShape shape, ObjectShape::of(schema, parts_, options_.closed, at));
    if (shape.impossible) return grammar_.never();
    Expr other = text_.value();
    if (shape.others != nullptr) {
      SWITCHYARD_ASSIGN(other, compile(*shape.others, child(at, "additionalProperties")));
    }
    MemberRules members(grammar_, text_);
    std::vector<std::string> names;
    const std::string here = child(at, "properties");
    for (const ObjectShape::Member& member : shape.members) {
      Expr value = other;
      if (member.schema != nullptr) {
        SWITCHYARD_ASSIGN(value, compile(*member.schema, child(here, member.name)));
      }
      names.push_back(member.name);
      members.add(member.name, value, member.required);
    }
    for (const auto& [name, required] : shape.dependencies) members.depend(name, required);
    if (shape.patterns != nullptr) {
      SWITCHYARD_TRY(add_pattern(*shape.patterns, shape.others != nullptr, names, at, members));
    } else if (shape.open && shape.other_names != nullptr) {
      const std::string place = child(at, "propertyNames");
      const auto of_strings = parts_.merge(*shape.other_names, json::value{{"type", "string"}});
      if (!of_strings.ok()) return at_place(place, of_strings.error());
      SWITCHYARD_ASSIGN(const Expr key, compile(*of_strings, place));
      members.set_others(key, other);
    } else if (shape.open) {
      members.set_others(text_.string_but(names), other);
    }
    const auto body = members.build(least.value_or(0), most);
    if (!body.ok()) return at_place(at, body.error());
    return as_rule(fmt::format("the object at {}", at), *body, Grammar::Calls::kShared);
  }

  Status add_pattern(const json::value& patterns, bool open, const std::vector<std::string>& names,
                     const std::string& at, MemberRules& members) {
    const json::object* object = patterns.if_object();
    if (object == nullptr) return fail(at, "patternProperties", "must be an object of schemas");
    if (object->empty()) return {};
    if (object->size() > 1) return unsupported(at, "patternProperties", "of more than one pattern ");
    if (open) return unsupported(at, "additionalProperties", "beside \"patternProperties\" ");
    const std::string pattern(object->begin()->key());
    const std::string here = child(child(at, "patternProperties"), pattern);
    const auto key = parse_regex(grammar_, pattern, RegexMatch::kAnywhere, &json_character);
    if (!key.ok()) return at_place(here, key.error());
    SWITCHYARD_TRY(refuse_overlap(pattern, names, at));
    SWITCHYARD_ASSIGN(const Expr value, compile(object->begin()->value(), here));
    members.set_others(grammar_.sequence({grammar_.literal("\""), *key, grammar_.literal("\"")}), value);
    return {};
  }

  // A property under two schemas, its own and the pattern's.
  static Status refuse_overlap(const std::string& pattern, const std::vector<std::string>& names,
                               const std::string& at) {
    Grammar alone;
    const Rule rule = alone.add_rule("the pattern", Grammar::Calls::kShared);
    SWITCHYARD_ASSIGN(const Expr body, parse_regex(alone, pattern, RegexMatch::kAnywhere, &utf8_character));
    alone.define(rule, body);
    alone.set_root(rule);
    const auto automaton = Automaton::compile(alone);
    if (!automaton.ok()) return {};  // matches nothing, or is refused as the grammar is compiled
    for (const std::string& name : names) {
      std::optional<State> state = automaton->start();  // no calls: one state says all
      for (const char c : name) {
        const auto edges = automaton->bytes(*state);
        const auto edge = std::find_if(edges.begin(), edges.end(), [&](const auto& e) {
          return e.first <= static_cast<uint8_t>(c) && static_cast<uint8_t>(c) <= e.last;
        });
        state = edge == edges.end() ? std::nullopt : std::optional<State>(edge->target);
        if (!state) break;
      }
      if (state && automaton->accepts(*state))
        return unsupported(at, "patternProperties", fmt::format("that match the property \"{}\" ", name));
    }
    return {};
  }

  const json::value& root_;
  const SchemaOptions options_;
  Grammar grammar_;
  SchemaParts parts_;
  JsonText text_;
  Multiples multiples_;
  std::map<std::string, Rule> references_;
  std::vector<Reference> waiting_;
  uint32_t depth_ = 0;
  uint32_t count_ = 0;
};

}  // namespace

Result<Grammar> parse_json_schema(const json::value& schema, SchemaOptions options) {
  return SchemaCompiler(schema, options).run();
}

Grammar any_json_object() {
  Grammar grammar;
  JsonText text(grammar);
  const Rule rule = grammar.add_rule("any object", Grammar::Calls::kShared);
  grammar.define(rule, text.object());
  grammar.set_root(rule);
  return grammar;
}

}  // namespace switchyard::structured
