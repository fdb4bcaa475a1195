#include "frontend/requests/responses_request.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/parse.hpp>

#include "frontend/requests/dialect.h"
#include "frontend/requests/request_fields.h"

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 4> kText = {"input_text", "output_text", "text", "refusal"};
constexpr std::array<std::string_view, 2> kReasoning = {"reasoning_text", "text"};
constexpr std::array<std::string_view, 1> kSummary = {"summary_text"};
// What chat calls otherwise.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames = {{
    {"messages", "input"},
    {"max_completion_tokens", "max_output_tokens"},
    {"response_format", "text.format"},
    {"reasoning_effort", "reasoning.effort"},
}};

std::optional<ApiError> read_message(const json::object& item, const std::string& where, Conversation& conversation) {
  std::string role;
  if (auto error = string_member(item, where, "role", role)) return error;
  const json::value* content = member(item, "content");
  if (content == nullptr) return missing_field(where + ".content");
  json::array parts;
  if (auto error = text_parts(*content, where + ".content", kText, parts)) return error;
  if (role == "assistant") {
    conversation.add_assistant_text(parts);
  } else if (role == "user" || role == "system" || role == "developer") {
    // Templates know the older name.
    conversation.add(role == "developer" ? "system" : role, std::move(parts));
  } else {
    return invalid_request(
        fmt::format("Invalid '{}.role': expected 'user', 'assistant', 'system' or 'developer'.", where),
        where + ".role", "invalid_value");
  }
  return std::nullopt;
}

std::optional<ApiError> read_reasoning(const json::object& item, const std::string& where, Conversation& conversation) {
  json::array parts;
  if (const json::value* content = member(item, "content"))
    if (auto error = text_parts(*content, where + ".content", kReasoning, parts)) return error;
  if (const json::value* summary = member(item, "summary"); summary != nullptr && parts.empty())
    if (auto error = text_parts(*summary, where + ".summary", kSummary, parts)) return error;
  for (const json::value& part : parts) conversation.add_reasoning(part.at("text").get_string());
  return std::nullopt;
}

std::optional<ApiError> read_call(const json::object& item, const std::string& where, Conversation& conversation) {
  std::string call, name, arguments;
  if (auto error = string_member(item, where, "call_id", call)) return error;
  if (auto error = string_member(item, where, "name", name)) return error;
  if (auto error = string_member(item, where, "arguments", arguments)) return error;
  boost::system::error_code wrong;
  json::value object = json::parse(arguments.empty() ? "{}" : arguments, wrong);
  if (wrong || !object.is_object()) return wrong_field(where + ".arguments", "a JSON object as a string");
  conversation.add_call(call, name, std::move(object));
  return std::nullopt;
}

std::optional<ApiError> read_output(const json::object& item, const std::string& where, Conversation& conversation) {
  std::string call;
  if (auto error = string_member(item, where, "call_id", call)) return error;
  const json::value* output = member(item, "output");
  if (output == nullptr) return missing_field(where + ".output");
  json::array parts;
  if (auto error = text_parts(*output, where + ".output", kText, parts)) return error;
  conversation.add_result(call, std::move(parts));
  return std::nullopt;
}

std::optional<ApiError> read_input(const json::object& body, Conversation& conversation) {
  const json::value* input = member(body, "input");
  if (input == nullptr) return missing_field("input");
  if (input->is_string()) {
    conversation.add("user", {text_part(input->get_string())});
    return std::nullopt;
  }
  if (!input->is_array()) return wrong_field("input", "a string or an array of items");
  const json::array& items = input->get_array();
  if (items.empty()) return invalid_request("Invalid 'input': empty array.", "input", "empty_array");
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string where = fmt::format("input[{}]", i);
    const json::object* item = nullptr;
    std::string type;
    if (auto error = object_with_type(items[i], where, "message", item, type)) return error;
    std::optional<ApiError> error;
    if (type == "message")
      error = read_message(*item, where, conversation);
    else if (type == "reasoning")
      error = read_reasoning(*item, where, conversation);
    else if (type == "function_call")
      error = read_call(*item, where, conversation);
    else if (type == "function_call_output")
      error = read_output(*item, where, conversation);
    else
      error = unsupported_kind(where, type);
    if (error) return error;
  }
  return std::nullopt;
}

std::optional<ApiError> function_of(const json::object& tool, const std::string& where, json::object& function) {
  std::string name;
  if (auto error = string_member(tool, where, "name", name)) return error;
  if (const json::value* parameters = member(tool, "parameters"); parameters != nullptr && !parameters->is_object())
    return wrong_field(where + ".parameters", "an object");
  function = tool;
  function.erase("type");
  return std::nullopt;
}

void read_tool_choice(const json::object& body, json::object& chat) {
  const json::value* choice = member(body, "tool_choice");
  if (choice == nullptr) return;
  chat["tool_choice"] = *choice;
  const json::object* named = choice->if_object();
  const json::value* name = named == nullptr ? nullptr : member(*named, "name");
  if (name == nullptr) return;
  chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", *name}}}};
}

std::optional<ApiError> read_reasoning_options(const json::object& body, json::object& chat) {
  const json::value* reasoning = member(body, "reasoning");
  if (reasoning == nullptr) return std::nullopt;
  if (!reasoning->is_object()) return wrong_field("reasoning", "an object");
  std::string effort;
  if (auto error = string_member(reasoning->get_object(), "reasoning", "effort", effort, false)) return error;
  if (effort.empty()) return std::nullopt;
  chat["reasoning_effort"] = effort;
  json::value& kwargs = chat["chat_template_kwargs"];
  if (kwargs.is_null()) kwargs = json::object();
  if (!kwargs.is_object()) return std::nullopt;  // chat says so
  for (const char* name : {"enable_thinking", "thinking"}) kwargs.get_object().emplace(name, effort != "none");
  return std::nullopt;
}

std::optional<ApiError> read_text_options(const json::object& body, json::object& chat) {
  const json::value* text = member(body, "text");
  if (text == nullptr) return std::nullopt;
  if (!text->is_object()) return wrong_field("text", "an object");
  const json::value* format = member(text->get_object(), "format");
  if (format == nullptr) return std::nullopt;
  const json::object* object = nullptr;
  std::string type;
  if (auto error = object_with_type(*format, "text.format", "", object, type)) return error;
  json::object chat_format{{"type", type}};
  if (type == "json_schema") {
    json::object schema = *object;
    schema.erase("type");
    chat_format["json_schema"] = std::move(schema);
  }
  chat["response_format"] = std::move(chat_format);
  return std::nullopt;
}

std::optional<ApiError> read_logprobs(const json::object& body, json::object& chat) {
  if (const json::value* include = member(body, "include")) {
    if (!include->is_array()) return wrong_field("include", "an array of strings");
    for (const json::value& what : include->get_array())
      if (what == "message.output_text.logprobs") chat["logprobs"] = true;
  }
  if (const json::value* top = member(body, "top_logprobs")) {
    chat["top_logprobs"] = *top;
    chat["logprobs"] = true;
  }
  return std::nullopt;
}

// What would make the answer another one, and is not there.
std::optional<ApiError> refuse_unsupported(const json::object& body) {
  const auto refused = [](const char* name) {
    return invalid_request(fmt::format("'{}' is not supported.", name), name, "unsupported_parameter");
  };
  for (const char* name : {"conversation", "prompt"})
    if (member(body, name) != nullptr) return refused(name);
  const json::value* background = member(body, "background");
  if (background != nullptr && *background != false) return refused("background");
  const json::value* truncation = member(body, "truncation");
  if (truncation != nullptr && *truncation != "disabled")
    return invalid_request("'truncation' other than 'disabled' is not supported.", "truncation",
                           "unsupported_parameter");
  return std::nullopt;
}

std::optional<ApiError> read_previous(const json::object& body, ResponseStore& store, size_t key,
                                      Conversation& conversation) {
  const json::value* previous = member(body, "previous_response_id");
  if (previous == nullptr) return std::nullopt;
  if (!previous->is_string()) return wrong_field("previous_response_id", "a string");
  const std::string id{previous->get_string()};
  const auto stored = store.find(id, key);
  if (stored == nullptr) {
    ApiError error = unknown_response(id);
    error.status = 400;
    error.param = "previous_response_id";
    error.code = "previous_response_not_found";
    return error;
  }
  conversation = Conversation(json::parse(stored->conversation).get_array());
  return std::nullopt;
}

void say(const json::object& body, const ModelFacts& model, const ResponsesRequest& request, json::object& said) {
  const auto as_sent = [&](const char* name, json::value otherwise) {
    const json::value* value = member(body, name);
    said[name] = value == nullptr ? std::move(otherwise) : *value;
  };
  for (const char* name : {"instructions", "max_output_tokens", "previous_response_id", "user"}) as_sent(name, nullptr);
  as_sent("metadata", json::object());
  as_sent("tools", json::array());
  as_sent("tool_choice", "auto");
  as_sent("reasoning", json::object{{"effort", nullptr}, {"summary", nullptr}});
  as_sent("text", json::object{{"format", {{"type", "text"}}}});
  as_sent("top_logprobs", 0);
  as_sent("temperature", model.temperature);
  as_sent("top_p", model.top_p);
  said["background"] = false;
  said["parallel_tool_calls"] = request.parallel_tool_calls;
  said["store"] = request.store;
  said["truncation"] = "disabled";
}

}  // namespace

ApiError unknown_response(const std::string& id) {
  return {.status = 404,
          .message = fmt::format("The response '{}' does not exist: it was not stored, or not on this frontend, or its "
                                 "room has been given to others.",
                                 id),
          .param = {},
          .code = "response_not_found"};
}

std::optional<ApiError> parse_responses(const json::object& body, const ModelFacts& model, ResponseStore& store,
                                        size_t key, ResponsesRequest& request) {
  if (auto error = refuse_unsupported(body)) return error;
  json::object chat = shared_fields(body);
  Conversation conversation;
  if (auto error = read_previous(body, store, key, conversation)) return error;
  if (auto error = read_input(body, conversation)) return error;
  if (auto error = read_tools(body, "function", "", function_of, chat)) return error;
  read_tool_choice(body, chat);
  if (auto error = read_reasoning_options(body, chat)) return error;
  if (auto error = read_text_options(body, chat)) return error;
  if (auto error = read_logprobs(body, chat)) return error;
  for (const auto& [chat_name, name] : {std::pair("max_completion_tokens", "max_output_tokens"),
                                        std::pair("parallel_tool_calls", "parallel_tool_calls")})
    if (const json::value* value = member(body, name)) chat[chat_name] = *value;

  RequestFields fields(body);
  const auto instructions = fields.string("instructions");
  request.store = fields.boolean("store").value_or(true);
  if (const json::value* metadata = fields.find("metadata"); metadata != nullptr && !metadata->is_object())
    fields.wrong_type("metadata", "an object", *metadata);
  static_cast<void>(fields.string("user"));
  if (!fields.ok()) return fields.error();

  if (request.store) request.conversation = conversation.messages();
  if (instructions) {
    Conversation instructed;
    instructed.add("system", {text_part(*instructions)});
    for (json::value& message : conversation.messages()) instructed.messages().push_back(std::move(message));
    conversation = std::move(instructed);
  }
  chat["messages"] = std::move(conversation.messages());
  if (auto error = parse_chat(chat, model, request)) return in_words_of(std::move(*error), kNames);
  if (request.check) request.check->refusal = in_words_of(std::move(request.check->refusal), kNames);
  request.max_tokens_field = "max_output_tokens";
  say(body, model, request, request.said);
  return std::nullopt;
}

}  // namespace switchyard::frontend
