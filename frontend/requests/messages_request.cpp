#include "frontend/requests/messages_request.h"

#include <fmt/format.h>

#include <array>

#include "frontend/requests/dialect.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 1> kText = {"text"};
// What chat calls otherwise.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kNames = {
    {{"stop", "stop_sequences"},
     {"response_format", "output_config.format"},
     {"reasoning_effort", "output_config.effort"}}};

std::optional<ApiError> read_result(const json::object& block, const std::string& where, Conversation& conversation) {
  std::string call;
  if (auto error = string_member(block, where, "tool_use_id", call)) return error;
  json::array parts;
  if (const json::value* content = member(block, "content"))
    if (auto error = text_parts(*content, where + ".content", kText, parts)) return error;
  if (const json::value* failed = member(block, "is_error")) {
    if (!failed->is_bool()) return wrong_field(where + ".is_error", "a boolean");
    if (failed->get_bool() && parts.empty()) parts.push_back(text_part(""));
    if (failed->get_bool()) parts[0].at("text").get_string().insert(0, "Error: ");
  }
  conversation.add_result(call, std::move(parts));
  return std::nullopt;
}

// Results come before the texts that stand around them in one message: templates want them right behind the calls.
std::optional<ApiError> read_user(const json::array& blocks, const std::string& where, Conversation& conversation) {
  json::array texts;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", where, i);
    const json::object* block = nullptr;
    std::string type, text;
    if (auto error = object_with_type(blocks[i], here, "", block, type)) return error;
    if (type == "tool_result") {
      if (auto error = read_result(*block, here, conversation)) return error;
    } else if (type == "text") {
      if (auto error = string_member(*block, here, "text", text)) return error;
      texts.push_back(text_part(text));
    } else {
      return unsupported_kind(here, type);
    }
  }
  if (!texts.empty()) conversation.add("user", std::move(texts));
  return std::nullopt;
}

std::optional<ApiError> read_tool_use(const json::object& block, const std::string& where, Conversation& conversation) {
  std::string id, name;
  if (auto error = string_member(block, where, "id", id)) return error;
  if (auto error = string_member(block, where, "name", name)) return error;
  const json::value* input = member(block, "input");
  if (input == nullptr) return missing_field(where + ".input");
  if (!input->is_object()) return wrong_field(where + ".input", "an object");
  conversation.add_call(id, name, *input);
  return std::nullopt;
}

std::optional<ApiError> read_assistant(const json::array& blocks, const std::string& where,
                                       Conversation& conversation) {
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", where, i);
    const json::object* block = nullptr;
    std::string type, text;
    if (auto error = object_with_type(blocks[i], here, "", block, type)) return error;
    if (type == "text") {
      if (auto error = string_member(*block, here, "text", text)) return error;
      conversation.add_assistant_text({text_part(text)});
    } else if (type == "thinking") {
      if (auto error = string_member(*block, here, "thinking", text)) return error;
      conversation.add_reasoning(text);
    } else if (type == "tool_use") {
      if (auto error = read_tool_use(*block, here, conversation)) return error;
    } else {
      return unsupported_kind(here, type);
    }
  }
  return std::nullopt;
}

std::optional<ApiError> read_message(const json::value& message, const std::string& where, bool last,
                                     Conversation& conversation) {
  if (!message.is_object()) return wrong_field(where, "an object");
  std::string role;
  if (auto error = string_member(message.get_object(), where, "role", role)) return error;
  const json::value* content = member(message.get_object(), "content");
  if (content == nullptr) return missing_field(where + ".content");
  if (!content->is_string() && !content->is_array())
    return wrong_field(where + ".content", "a string or an array of blocks");
  const json::array blocks = content->is_array() ? content->get_array() : json::array{text_part(content->get_string())};
  if (role == "user") return read_user(blocks, where + ".content", conversation);
  if (role == "system") {
    json::array parts;
    if (auto error = text_parts(*content, where + ".content", kText, parts)) return error;
    conversation.add("system", std::move(parts));
    return std::nullopt;
  }
  if (role != "assistant")
    return invalid_request(fmt::format("Invalid '{}.role': expected 'user', 'assistant' or 'system'.", where),
                           where + ".role", "invalid_value");
  if (last)
    return invalid_request("The conversation must end with a user message: prefilling the answer is not supported.",
                           where, "unsupported_parameter");
  return read_assistant(blocks, where + ".content", conversation);
}

std::optional<ApiError> read_conversation(const json::object& body, json::object& chat) {
  Conversation conversation;
  if (const json::value* system = member(body, "system")) {
    json::array parts;
    if (auto error = text_parts(*system, "system", kText, parts)) return error;
    if (!parts.empty()) conversation.add("system", std::move(parts));
  }
  const json::value* messages = member(body, "messages");
  if (messages == nullptr) return missing_field("messages");
  if (!messages->is_array()) return wrong_field("messages", "an array of objects");
  const json::array& list = messages->get_array();
  if (list.empty()) return invalid_request("Invalid 'messages': empty array.", "messages", "empty_array");
  for (size_t i = 0; i < list.size(); ++i)
    if (auto error = read_message(list[i], fmt::format("messages[{}]", i), i + 1 == list.size(), conversation))
      return error;
  chat["messages"] = std::move(conversation.messages());
  return std::nullopt;
}

std::optional<ApiError> function_of(const json::object& tool, const std::string& where, json::object& function) {
  std::string name, description;
  if (auto error = string_member(tool, where, "name", name)) return error;
  if (auto error = string_member(tool, where, "description", description, false)) return error;
  function["name"] = name;
  if (!description.empty()) function["description"] = description;
  const json::value* schema = member(tool, "input_schema");
  if (schema == nullptr) return missing_field(where + ".input_schema");
  if (!schema->is_object()) return wrong_field(where + ".input_schema", "an object");
  function["parameters"] = *schema;
  return std::nullopt;
}

std::optional<ApiError> read_tool_choice(const json::object& body, json::object& chat) {
  const json::value* choice = member(body, "tool_choice");
  if (choice == nullptr) return std::nullopt;
  const json::object* object = nullptr;
  std::string type, name;
  if (auto error = object_with_type(*choice, "tool_choice", "", object, type)) return error;
  if (const json::value* one = member(*object, "disable_parallel_tool_use")) {
    if (!one->is_bool()) return wrong_field("tool_choice.disable_parallel_tool_use", "a boolean");
    chat["parallel_tool_calls"] = !one->get_bool();
  }
  if (type == "any") {
    chat["tool_choice"] = "required";
  } else if (type == "tool") {
    if (auto error = string_member(*object, "tool_choice", "name", name)) return error;
    chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", name}}}};
  } else if (type == "auto" || type == "none") {
    chat["tool_choice"] = type;
  } else {
    return unsupported_kind("tool_choice", type);
  }
  return std::nullopt;
}

std::optional<ApiError> read_thinking(const json::object& body, json::object& chat) {
  const json::value* thinking = member(body, "thinking");
  if (thinking == nullptr) return std::nullopt;
  const json::object* object = nullptr;
  std::string type;
  if (auto error = object_with_type(*thinking, "thinking", "", object, type)) return error;
  if (type != "enabled" && type != "disabled" && type != "adaptive") return unsupported_kind("thinking", type);
  if (const json::value* budget = member(*object, "budget_tokens"); budget != nullptr && !budget->is_number())
    return wrong_field("thinking.budget_tokens", "an integer");
  std::string display;
  if (auto error = string_member(*object, "thinking", "display", display, false)) return error;
  const bool on = type != "disabled";
  chat["include_reasoning"] = on && display != "omitted";
  json::value& kwargs = chat["chat_template_kwargs"];
  if (kwargs.is_null()) kwargs = json::object();
  if (!kwargs.is_object()) return std::nullopt;  // chat says so
  for (const char* name : {"enable_thinking", "thinking"}) kwargs.get_object().emplace(name, on);
  return std::nullopt;
}

std::optional<ApiError> read_output_config(const json::object& body, json::object& chat) {
  const json::value* config = member(body, "output_config");
  if (config == nullptr) return std::nullopt;
  if (!config->is_object()) return wrong_field("output_config", "an object");
  std::string effort, type;
  if (auto error = string_member(config->get_object(), "output_config", "effort", effort, false)) return error;
  if (!effort.empty()) chat["reasoning_effort"] = effort;
  const json::value* format = member(config->get_object(), "format");
  if (format == nullptr) return std::nullopt;
  const json::object* object = nullptr;
  if (auto error = object_with_type(*format, "output_config.format", "", object, type)) return error;
  const json::value* schema = member(*object, "schema");
  chat["response_format"] = {
      {"type", type}, {"json_schema", {{"name", "output"}, {"schema", schema == nullptr ? json::value() : *schema}}}};
  return std::nullopt;
}

std::optional<ApiError> chat_of(const json::object& body, json::object& chat) {
  chat = shared_fields(body);
  if (auto error = read_conversation(body, chat)) return error;
  if (auto error = read_tools(body, "custom", "custom", function_of, chat)) return error;
  if (auto error = read_tool_choice(body, chat)) return error;
  if (auto error = read_output_config(body, chat)) return error;
  return read_thinking(body, chat);
}

std::optional<ApiError> translated(std::optional<ApiError> error) {
  if (error) error = in_words_of(std::move(*error), kNames);
  return error;
}

}  // namespace

std::optional<ApiError> parse_messages(const json::object& body, const ModelFacts& model, ChatRequest& request) {
  json::object chat;
  if (auto error = chat_of(body, chat)) return error;
  const json::value* max_tokens = member(body, "max_tokens");
  if (max_tokens == nullptr) return missing_field("max_tokens");
  chat["max_tokens"] = *max_tokens;
  if (const json::value* temperature = member(body, "temperature");
      temperature != nullptr && temperature->is_number() && temperature->to_number<double>() > 1)
    return invalid_request("Invalid 'temperature': expected a value <= 1.", "temperature", "decimal_above_max_value");
  if (const json::value* stop = member(body, "stop_sequences")) {
    if (!stop->is_array()) return wrong_field("stop_sequences", "an array of strings");
    chat["stop"] = *stop;
  }
  if (auto error = translated(parse_chat(chat, model, request))) return error;
  if (request.check) request.check->refusal = in_words_of(std::move(request.check->refusal), kNames);
  return std::nullopt;
}

std::optional<ApiError> parse_messages_prompt(const json::object& body, ChatRequest& request) {
  json::object chat;
  if (auto error = chat_of(body, chat)) return error;
  return translated(parse_chat_prompt(chat, request));
}

}  // namespace switchyard::frontend
