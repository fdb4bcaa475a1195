// What the dialects that are not OpenAI's chat share on their way to a ChatRequest: their bodies are rewritten as
// bodies of /v1/chat/completions, whose parser then fills defaults and checks what means the same everywhere. So every
// field acts in every dialect, and what chat refuses is refused everywhere.
//
// Thread: any; free functions. Nothing blocks.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "frontend/http/errors.h"

namespace switchyard::frontend {

// The fields that have one meaning and one name in all dialects, sampling above all; OpenAI's and vLLM's.
boost::json::object shared_fields(const boost::json::object& body);

// An error that speaks of a chat's field, in the words of another dialect. names: (of chat, of the dialect).
using FieldNames = std::span<const std::pair<std::string_view, std::string_view>>;
ApiError in_words_of(ApiError error, FieldNames names);

ApiError missing_field(const std::string& where);
ApiError wrong_field(const std::string& where, const char* expected);
ApiError unsupported_kind(const std::string& where, std::string_view kind);

// Members of an object that stands at `where`; null counts as absent.
const boost::json::value* member(const boost::json::object& object, std::string_view key);
std::optional<ApiError> string_member(const boost::json::object& object, const std::string& where, std::string_view key,
                                      std::string& out, bool required = true);
// The object at list[i], and its "type", `otherwise` if it has none.
std::optional<ApiError> object_with_type(const boost::json::value& item, const std::string& where,
                                         std::string_view otherwise, const boost::json::object*& object,
                                         std::string& type);
// A text, or a list of parts of the kinds named, as the parts of a chat message. Other kinds are refused by name.
std::optional<ApiError> text_parts(const boost::json::value& content, const std::string& where,
                                   std::span<const std::string_view> kinds, boost::json::array& parts);

// body's tools, all of one kind (what one has that names none: `otherwise`), as functions of a chat. function_of makes
// a chat's function of the tool that stands at `where`.
using FunctionOf = std::optional<ApiError> (*)(const boost::json::object& tool, const std::string& where,
                                               boost::json::object& function);
std::optional<ApiError> read_tools(const boost::json::object& body, std::string_view kind, std::string_view otherwise,
                                   FunctionOf function_of, boost::json::object& chat);

// A conversation as messages of a chat. What the assistant says in several pieces is one message.
class Conversation {
 public:
  Conversation() = default;
  explicit Conversation(boost::json::array messages) : messages_(std::move(messages)) {}

  void add(std::string_view role, boost::json::array parts);
  void add_result(std::string_view call_id, boost::json::array parts);
  void add_assistant_text(const boost::json::array& parts);
  void add_reasoning(std::string_view text);
  void add_call(std::string_view call_id, std::string_view name, boost::json::value arguments);

  boost::json::array& messages() { return messages_; }

 private:
  boost::json::object& assistant();

  boost::json::array messages_;
};

boost::json::object text_part(std::string_view text);

}  // namespace switchyard::frontend
