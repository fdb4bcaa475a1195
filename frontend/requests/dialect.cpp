#include "frontend/requests/dialect.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::frontend {

namespace json = boost::json;

json::object shared_fields(const json::object& body) {
  json::object chat;
  for (const char* name :
       {"model", "stream", "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty",
        "repetition_penalty", "seed", "logit_bias", "stop_token_ids", "min_tokens", "ignore_eos", "skip_special_tokens",
        "include_stop_str_in_output", "structured_outputs", "priority", "chat_template_kwargs"}) {
    if (const json::value* value = body.if_contains(name)) chat[name] = *value;
  }
  return chat;
}

ApiError in_words_of(ApiError error, FieldNames names) {
  for (const auto& [chat, dialect] : names) {
    if (error.param != chat) continue;
    error.param = dialect;
    const std::string named = fmt::format("'{}", chat);
    if (const size_t at = error.message.find(named); at != std::string::npos)
      error.message.replace(at + 1, chat.size(), dialect);
    break;
  }
  return error;
}

ApiError missing_field(const std::string& where) {
  return invalid_request(fmt::format("Missing required parameter: '{}'.", where), where, "missing_required_parameter");
}

ApiError wrong_field(const std::string& where, const char* expected) {
  return invalid_request(fmt::format("Invalid type for '{}': expected {}.", where, expected), where, "invalid_type");
}

ApiError unsupported_kind(const std::string& where, std::string_view kind) {
  return invalid_request(fmt::format("Invalid '{}': type '{}' is not supported.", where, kind), where,
                         "unsupported_content");
}

const json::value* member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains({key.data(), key.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<ApiError> string_member(const json::object& object, const std::string& where, std::string_view key,
                                      std::string& out, bool required) {
  const json::value* value = member(object, key);
  const std::string full = fmt::format("{}.{}", where, key);
  if (value == nullptr) return required ? std::optional(missing_field(full)) : std::nullopt;
  if (!value->is_string()) return wrong_field(full, "a string");
  out = value->get_string();
  return std::nullopt;
}

std::optional<ApiError> object_with_type(const json::value& item, const std::string& where, std::string_view otherwise,
                                         const json::object*& object, std::string& type) {
  if (!item.is_object()) return wrong_field(where, "an object");
  object = &item.get_object();
  type = otherwise;
  return string_member(*object, where, "type", type, otherwise.empty());
}

json::object text_part(std::string_view text) { return {{"type", "text"}, {"text", text}}; }

std::optional<ApiError> text_parts(const json::value& content, const std::string& where,
                                   std::span<const std::string_view> kinds, json::array& parts) {
  if (content.is_string()) {
    parts.push_back(text_part(content.get_string()));
    return std::nullopt;
  }
  if (!content.is_array()) return wrong_field(where, "a string or an array of text parts");
  for (size_t i = 0; i < content.get_array().size(); ++i) {
    const std::string here = fmt::format("{}[{}]", where, i);
    const json::object* part = nullptr;
    std::string type;
    if (auto error = object_with_type(content.get_array()[i], here, "", part, type)) return error;
    if (std::find(kinds.begin(), kinds.end(), type) == kinds.end()) return unsupported_kind(here, type);
    std::string text;
    if (auto error = string_member(*part, here, type == "refusal" ? "refusal" : "text", text)) return error;
    parts.push_back(text_part(text));
  }
  return std::nullopt;
}

std::optional<ApiError> read_tools(const json::object& body, std::string_view kind, std::string_view otherwise,
                                   FunctionOf function_of, json::object& chat) {
  const json::value* tools = member(body, "tools");
  if (tools == nullptr) return std::nullopt;
  if (!tools->is_array()) return wrong_field("tools", "an array of objects");
  json::array functions;
  for (size_t i = 0; i < tools->get_array().size(); ++i) {
    const std::string where = fmt::format("tools[{}]", i);
    const json::object* tool = nullptr;
    std::string type;
    if (auto error = object_with_type(tools->get_array()[i], where, otherwise, tool, type)) return error;
    if (type != kind) return unsupported_kind(where, type);
    json::object function;
    if (auto error = function_of(*tool, where, function)) return error;
    functions.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  chat["tools"] = std::move(functions);
  return std::nullopt;
}

void Conversation::add(std::string_view role, json::array parts) {
  messages_.push_back(json::object{{"role", role}, {"content", std::move(parts)}});
}

void Conversation::add_result(std::string_view call_id, json::array parts) {
  messages_.push_back(json::object{{"role", "tool"}, {"tool_call_id", call_id}, {"content", std::move(parts)}});
}

json::object& Conversation::assistant() {
  if (messages_.empty() || messages_.back().at("role") != "assistant")
    messages_.push_back(json::object{{"role", "assistant"}, {"content", nullptr}});
  return messages_.back().get_object();
}

void Conversation::add_assistant_text(const json::array& parts) {
  json::value& content = assistant()["content"];
  if (content.is_null()) content = json::array();
  for (const json::value& part : parts) content.get_array().push_back(part);
}

void Conversation::add_reasoning(std::string_view text) {
  json::value& reasoning = assistant()["reasoning_content"];
  if (reasoning.is_null()) reasoning = "";
  reasoning.get_string().append(text);
}

void Conversation::add_call(std::string_view call_id, std::string_view name, json::value arguments) {
  json::value& calls = assistant()["tool_calls"];
  if (calls.is_null()) calls = json::array();
  calls.get_array().push_back(
      {{"id", call_id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", std::move(arguments)}}}});
}

}  // namespace switchyard::frontend
