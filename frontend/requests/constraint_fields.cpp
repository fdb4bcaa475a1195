#include "frontend/requests/constraint_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "common/structured/constraint.h"
#include "frontend/parsing/json_scan.h"
#include "frontend/parsing/parser.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;
using structured::Constraint;

class ConstraintReader {
 public:
  ConstraintReader(RequestFields& fields, const ModelFacts& model, GenerationRequest& request)
      : fields_(fields), model_(model), request_(request) {}

  void read() {
    response_format();
    structured_outputs();
    for (const auto& [name, kind] :
         {std::pair{"guided_json", Constraint::Kind::kJsonSchema}, std::pair{"guided_regex", Constraint::Kind::kRegex},
          std::pair{"guided_choice", Constraint::Kind::kChoice},
          std::pair{"guided_grammar", Constraint::Kind::kGrammar}}) {
      if (const json::value* value = fields_.find(name); value != nullptr) value_of(name, name, kind, *value);
    }
    for (const char* name : {"guided_whitespace_pattern", "structural_tag"}) {
      if (fields_.find(name) != nullptr) fields_.fail(fmt::format("'{}' is not supported.", name), name, kUnsupported);
    }
  }

  void tool_choice(ChatRequest& request) {
    const json::value& tools = request.tools;
    const json::value* choice = fields_.find("tool_choice");
    if (choice == nullptr || !tools.is_array()) return;
    const bool required = choice->is_string() && choice->get_string() == "required";
    if (!required && !choice->is_object()) return;
    json::array functions;
    for (const json::value& tool : tools.get_array()) {
      const json::object* object = tool.if_object();
      const json::value* function = object == nullptr ? nullptr : object->if_contains("function");
      const json::value* name =
          function == nullptr || !function->is_object() ? nullptr : function->get_object().if_contains("name");
      if (name == nullptr || !name->is_string())
        return fields_.fail("Invalid 'tools': each tool needs a 'function' with a 'name'.", "tools", "invalid_value");
      functions.push_back(*function);
    }
    request.must_call = true;
    if (!required) return named(*choice, functions, request.must_call_function);
    json::array calls;
    json::object definitions;
    for (json::value& function : functions) {
      json::value parameters = parameters_of(function);
      if (!hoist(parameters, definitions)) return;
      calls.push_back({{"type", "object"},
                       {"properties", {{"name", {{"const", function.at("name")}}}, {"parameters", parameters}}},
                       {"required", {"name", "parameters"}}});
    }
    json::object schema{{"type", "array"}, {"minItems", 1}, {"items", {{"anyOf", std::move(calls)}}}};
    const json::value* parallel = fields_.find("parallel_tool_calls");
    if (parallel != nullptr && *parallel == json::value(false)) schema["maxItems"] = 1;
    if (!definitions.empty()) schema["$defs"] = std::move(definitions);
    set("tool_choice", "tools", {.kind = Constraint::Kind::kJsonSchema, .text = json::serialize(schema)});
  }

 private:
  static constexpr const char* kUnsupported = "unsupported_parameter";

  static json::value parameters_of(const json::value& function) {
    const json::value* parameters = function.get_object().if_contains("parameters");
    if (parameters == nullptr || parameters->is_null()) return {{"type", "object"}, {"properties", json::object()}};
    return *parameters;
  }

  // Moves a schema's "$defs" to where its references will look for them: the root.
  bool hoist(json::value& schema, json::object& definitions) {
    json::object* object = schema.if_object();
    json::value* own = object == nullptr ? nullptr : object->if_contains("$defs");
    if (own == nullptr || !own->is_object()) return true;
    for (const auto& definition : own->get_object()) {
      const auto [found, added] = definitions.emplace(definition.key(), definition.value());
      if (!added && found->value() != definition.value()) {
        fields_.fail(
            fmt::format("Invalid 'tools': two tools define \"{}\" differently.", std::string_view(definition.key())),
            "tools", "invalid_value");
        return false;
      }
    }
    object->erase("$defs");
    return true;
  }

  void named(const json::value& choice, const json::array& functions, std::string& chosen) {
    const json::object& object = choice.get_object();
    const json::value* function = object.if_contains("function");
    const json::value* name =
        function == nullptr || !function->is_object() ? nullptr : function->get_object().if_contains("name");
    if (name == nullptr || !name->is_string())
      return fields_.fail("Invalid 'tool_choice': an object must name a function.", "tool_choice", "invalid_value");
    const auto found =
        std::find_if(functions.begin(), functions.end(), [&](const json::value& f) { return f.at("name") == *name; });
    if (found == functions.end()) {
      return fields_.fail(
          fmt::format("Invalid 'tool_choice': no tool is called '{}'.", std::string_view(name->get_string())),
          "tool_choice", "invalid_value");
    }
    chosen = std::string(name->get_string());
    set("tool_choice", "tools",
        {.kind = Constraint::Kind::kJsonSchema, .text = json::serialize(parameters_of(*found))});
  }

  void response_format() {
    const json::value* format = fields_.find("response_format");
    if (format == nullptr) return;
    const json::object* object = format->if_object();
    const json::value* type = object == nullptr ? nullptr : object->if_contains("type");
    if (type == nullptr || !type->is_string())
      return fields_.wrong_type("response_format", "an object with a 'type'", *format);
    if (type->get_string() == "text") return;
    if (type->get_string() == "json_object") return set("response_format", "response_format", {});
    if (type->get_string() != "json_schema") {
      return fields_.fail(
          fmt::format("'response_format' of type '{}' is not supported.", std::string_view(type->get_string())),
          "response_format", kUnsupported);
    }
    const json::value* holder = object->if_contains("json_schema");
    const json::value* schema =
        holder == nullptr || !holder->is_object() ? nullptr : holder->get_object().if_contains("schema");
    if (schema == nullptr) {
      return fields_.fail("Missing required parameter: 'response_format.json_schema.schema'.", "response_format",
                          "missing_required_parameter");
    }
    const json::value* strict = holder->get_object().if_contains("strict");
    if (strict != nullptr && !strict->is_bool() && !strict->is_null())
      return fields_.wrong_type("response_format.json_schema.strict", "a boolean", *strict);
    set("response_format", "response_format.json_schema.schema",
        {.kind = Constraint::Kind::kJsonSchema,
         .text = json::serialize(*schema),
         .open_objects = strict != nullptr && *strict == json::value(false)});
  }

  void structured_outputs() {
    const json::value* value = fields_.find("structured_outputs");
    if (value == nullptr) return;
    if (!value->is_object()) return fields_.wrong_type("structured_outputs", "an object", *value);
    size_t count = 0;
    for (const auto& member : value->get_object()) {
      const std::string_view name = member.key();
      const std::string where = fmt::format("structured_outputs.{}", name);
      if (member.value().is_null() || member.value() == json::value(false)) continue;
      ++count;
      if (name == "json") {
        value_of("structured_outputs", where, Constraint::Kind::kJsonSchema, member.value());
      } else if (name == "regex") {
        value_of("structured_outputs", where, Constraint::Kind::kRegex, member.value());
      } else if (name == "choice") {
        value_of("structured_outputs", where, Constraint::Kind::kChoice, member.value());
      } else if (name == "grammar") {
        value_of("structured_outputs", where, Constraint::Kind::kGrammar, member.value());
      } else if (name == "json_object") {
        set("structured_outputs", where, {});
      } else {
        fields_.fail(fmt::format("'{}' is not supported.", where), "structured_outputs", kUnsupported);
      }
    }
    if (count == 0) {
      fields_.fail("Invalid 'structured_outputs': one of json, regex, choice, grammar, json_object is expected.",
                   "structured_outputs", "invalid_value");
    }
  }

  // A schema may be given as JSON or as its text.
  void value_of(const char* field, const std::string& where, Constraint::Kind kind, const json::value& value) {
    const bool is_schema = kind == Constraint::Kind::kJsonSchema;
    if (kind == Constraint::Kind::kChoice && !value.is_array())
      return fields_.wrong_type(where, "an array of strings", value);
    if (kind != Constraint::Kind::kChoice && !is_schema && !value.is_string())
      return fields_.wrong_type(where, "a string", value);
    set(field, where,
        {.kind = kind, .text = value.is_string() ? std::string(value.get_string()) : json::serialize(value)});
  }

  void set(const char* field, const std::string& where, Constraint constraint) {
    if (!fields_.ok()) return;
    if (!model_.has_tokenizer) {
      return fields_.fail(fmt::format("'{}' needs the model's tokenizer.json, which it does not have.", where), field,
                          kUnsupported);
    }
    if (request_.sampling.has_constraint()) {
      return fields_.fail(fmt::format("'{}' and another field both say which form the answer must have.", where), field,
                          "invalid_value");
    }
    wire::Constraint& out = *request_.sampling.mutable_constraint();
    switch (constraint.kind) {
      case Constraint::Kind::kJsonObject: out.set_kind(wire::CONSTRAINT_JSON_OBJECT); break;
      case Constraint::Kind::kJsonSchema: out.set_kind(wire::CONSTRAINT_JSON_SCHEMA); break;
      case Constraint::Kind::kRegex: out.set_kind(wire::CONSTRAINT_REGEX); break;
      case Constraint::Kind::kChoice: out.set_kind(wire::CONSTRAINT_CHOICE); break;
      case Constraint::Kind::kGrammar: out.set_kind(wire::CONSTRAINT_GRAMMAR); break;
    }
    out.set_text(constraint.text);
    out.set_open_objects(constraint.open_objects);
    request_.check = {std::move(constraint), invalid_request(where + ": ", field, "invalid_value")};
  }

  RequestFields& fields_;
  const ModelFacts& model_;
  GenerationRequest& request_;
};

}  // namespace

void read_constraint(RequestFields& fields, const ModelFacts& model, GenerationRequest& request) {
  ConstraintReader(fields, model, request).read();
}

void read_tool_choice(RequestFields& fields, const ModelFacts& model, ChatRequest& request) {
  ConstraintReader(fields, model, request).tool_choice(request);
}

void begin_behind_reasoning(const parsing::ReasoningFormat& format, std::string_view prompt, wire::Sampling& sampling) {
  if (!sampling.has_constraint()) return;
  wire::Constraint& constraint = *sampling.mutable_constraint();
  std::string_view written = prompt;
  while (!written.empty() && parsing::is_space(written.back())) written.remove_suffix(1);
  if (format.open.empty()) {  // harmony; a prompt may have written the answer's header
    constraint.set_in_harmony(!written.ends_with("<|message|>"));
    return;
  }
  if (written.ends_with(format.close)) return;
  constraint.set_begins_after(std::string(format.close));
  if (!parsing::begins_inside(format, prompt)) constraint.set_reasoning_opens(std::string(format.open));
}

}  // namespace switchyard::frontend
