#include "frontend/requests/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

std::string_view role_of(const json::object& message) {
  const json::value* role = message.if_contains("role");
  return role != nullptr && role->is_string() ? std::string_view(role->get_string()) : std::string_view();
}

ApiError missing(const std::string& where) {
  return invalid_request(fmt::format("Missing required parameter: '{}'.", where), where, "missing_required_parameter");
}

ApiError wrong_type(const std::string& where, const char* expected) {
  return invalid_request(fmt::format("Invalid type for '{}': expected {}.", where, expected), where, "invalid_type");
}

const json::value* find(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<ApiError> check_optional_string(const json::object& object, const std::string& where, const char* key) {
  const json::value* value = find(object, key);
  if (value != nullptr && !value->is_string()) return wrong_type(where + "." + key, "a string");
  return std::nullopt;
}

// [{"type":"text","text":...}, ...] as one text, a line each as in vLLM.
std::optional<ApiError> flatten_content(json::value& content, const std::string& where) {
  std::string text;
  for (const json::value& part : content.get_array()) {
    const json::object* object = part.if_object();
    const json::value* type = object == nullptr ? nullptr : object->if_contains("type");
    const json::value* piece = object == nullptr ? nullptr : object->if_contains("text");
    if (&part != &content.get_array().front()) text += '\n';
    if (part.is_string()) {
      text += std::string_view(part.get_string());
      continue;
    }
    if (type == nullptr || !type->is_string()) {
      return invalid_request(fmt::format("Invalid '{}': each part must be an object with a 'type'.", where), where,
                             "invalid_type");
    }
    if (type->get_string() != "text" && type->get_string() != "input_text" && type->get_string() != "output_text") {
      return invalid_request(fmt::format("Invalid '{}': this model takes text only, not parts of type '{}'.", where,
                                         std::string_view(type->get_string())),
                             where, "unsupported_content");
    }
    if (piece == nullptr || !piece->is_string()) {
      return invalid_request(fmt::format("Invalid '{}': a text part needs a string 'text'.", where), where,
                             "invalid_type");
    }
    text += std::string_view(piece->get_string());
  }
  content = json::string(text);
  return std::nullopt;
}

// {"name": "..."}, whose name may not be absent.
std::optional<ApiError> check_function(const json::object& holder, const std::string& where, const json::object** out) {
  const json::value* function = find(holder, "function");
  if (function == nullptr) return missing(where + ".function");
  if (!function->is_object()) return wrong_type(where + ".function", "an object");
  const json::value* name = find(function->get_object(), "name");
  if (name == nullptr) return missing(where + ".function.name");
  if (!name->is_string() || name->get_string().empty())
    return wrong_type(where + ".function.name", "a string that is not empty");
  *out = &function->get_object();
  return std::nullopt;
}

// The object that arguments stand for; null when they are none.
json::value arguments_object(const json::value* arguments) {
  if (arguments == nullptr) return json::object();
  if (arguments->is_object()) return *arguments;
  if (!arguments->is_string()) return nullptr;
  if (arguments->get_string().empty()) return json::object();
  boost::system::error_code error;
  json::value value = json::parse(arguments->get_string(), error);
  return error || !value.is_object() ? json::value(nullptr) : value;
}

std::optional<ApiError> check_call(const json::value& call, const std::string& where) {
  if (!call.is_object()) return wrong_type(where, "an object");
  if (auto error = check_optional_string(call.get_object(), where, "id")) return error;
  const json::object* function = nullptr;
  if (auto error = check_function(call.get_object(), where, &function)) return error;
  if (arguments_object(find(*function, "arguments")).is_null())
    return wrong_type(where + ".function.arguments", "a JSON object as a string");
  return std::nullopt;
}

std::optional<ApiError> check_calls(json::object& message, const std::string& where) {
  const json::value* calls = find(message, "tool_calls");
  if (calls != nullptr && !calls->is_array()) return wrong_type(where + ".tool_calls", "an array of objects");
  if (calls == nullptr || calls->get_array().empty()) {
    message.erase("tool_calls");
    return std::nullopt;
  }
  for (size_t i = 0; i < calls->get_array().size(); ++i)
    if (auto error = check_call(calls->get_array()[i], fmt::format("{}.tool_calls[{}]", where, i))) return error;
  return std::nullopt;
}

}  // namespace

std::optional<ApiError> check_message(json::value& message, size_t index) {
  const std::string where = fmt::format("messages[{}]", index);
  if (!message.is_object()) return invalid_request(fmt::format("Invalid '{}': not an object.", where), where);
  json::object& object = message.get_object();
  const std::string_view role = role_of(object);
  if (role.empty()) return missing(where + ".role");
  for (const char* key : {"reasoning_content", "reasoning", "tool_call_id", "name"})
    if (auto error = check_optional_string(object, where, key)) return error;
  if (auto error = check_calls(object, where)) return error;

  json::value* content = object.if_contains("content");
  if (content == nullptr || content->is_null()) {
    // An assistant's message may consist of tool calls alone.
    if (role == "assistant") return std::nullopt;
    return missing(where + ".content");
  }
  if (content->is_array()) return flatten_content(*content, where + ".content");
  if (!content->is_string()) return wrong_type(where + ".content", "a string or an array of text parts");
  return std::nullopt;
}

std::optional<ApiError> check_tools(const json::array& tools) {
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string where = fmt::format("tools[{}]", i);
    if (!tools[i].is_object()) return wrong_type(where, "an object");
    const json::object* function = nullptr;
    if (auto error = check_function(tools[i].get_object(), where, &function)) return error;
    const json::value* parameters = find(*function, "parameters");
    if (parameters != nullptr && !parameters->is_object())
      return wrong_type(where + ".function.parameters", "an object");
  }
  return std::nullopt;
}

void shape_messages(json::value& messages, const TemplateForm& form) {
  for (json::value& item : messages.get_array()) {
    json::object& message = item.get_object();
    if (role_of(message) != "assistant") continue;
    const json::value* content = find(message, "content");
    const bool has_content = content != nullptr && (!content->is_string() || !content->get_string().empty());
    const bool may_be_null = form.content_may_be_null && message.contains("tool_calls");
    // A new member moves the others: no pointer into the message holds beyond it.
    if (content == nullptr) message["content"] = may_be_null ? json::value(nullptr) : json::value("");
    if (json::value* calls = message.if_contains("tool_calls")) {
      for (json::value& call : calls->get_array()) {
        json::object& function = call.get_object()["function"].get_object();
        json::value& arguments = function["arguments"];
        if (!form.arguments_are_text)
          arguments = arguments_object(arguments.is_null() ? nullptr : &arguments);
        else if (!arguments.is_string() || arguments.get_string().empty())
          arguments = arguments.is_object() ? json::serialize(arguments) : "{}";
      }
    }
    const json::value* reasoning = find(message, "reasoning_content");
    if (reasoning == nullptr) reasoning = find(message, "reasoning");
    if (reasoning == nullptr) continue;
    const json::value text = *reasoning;
    message["reasoning_content"] = text;
    message["reasoning"] = text;
    if (!(has_content && message.contains("tool_calls")) && !message.contains("thinking")) message["thinking"] = text;
  }
}

TemplateForm form_of_template(const Render& render) {
  static const json::value kTools = json::parse(
      R"([{"type": "function", "function": {"name": "probe_name", "description": "A probe.", "parameters": {
          "type": "object", "properties": {"probe_key": {"type": "string"}}, "required": ["probe_key"]}}}])");
  static const json::value kConversation = json::parse(
      R"([{"role": "user", "content": "Hello"},
          {"role": "assistant", "content": null, "tool_calls": [{"id": "abcdefghi", "type": "function", "function": {
            "name": "probe_name", "arguments": "{\"probe_key\": \"probe_value\"}"}}]},
          {"role": "tool", "tool_call_id": "abcdefghi", "name": "probe_name", "content": "Done"}])");
  const auto rendered = [&](const TemplateForm& form) -> std::optional<std::string> {
    json::value messages = kConversation;
    shape_messages(messages, form);
    Result<std::string> text = render(messages, kTools);
    if (!text.ok() || text->find("probe_value") == std::string::npos) return std::nullopt;
    return std::move(*text);
  };
  const auto count_of_none = [](const std::string& text) {
    size_t count = 0;
    for (size_t at = text.find("None"); at != std::string::npos; at = text.find("None", at + 1)) ++count;
    return count;
  };
  for (const bool as_text : {false, true}) {
    const TemplateForm null_form{.arguments_are_text = as_text, .content_may_be_null = true};
    const TemplateForm empty_form{.arguments_are_text = as_text, .content_may_be_null = false};
    const auto with_null = rendered(null_form);
    const auto with_empty = rendered(empty_form);
    // A template may print a null as Python does.
    if (with_null && (!with_empty || count_of_none(*with_null) <= count_of_none(*with_empty))) return null_form;
    if (with_empty) return empty_form;
  }
  return {};
}

}  // namespace switchyard::frontend
