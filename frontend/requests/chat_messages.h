// The messages and tools of a chat request: their shapes, and the form in which a chat template reads them.
//
// Thread: any; free functions. Nothing blocks.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <optional>

#include "common/base/result.h"
#include "frontend/http/errors.h"

namespace switchyard::frontend {

// Names the first field that has not OpenAI's shape. A content that is a list of text parts becomes one text; other
// parts are refused. tool_calls that are null or empty are left out, which templates take for calls.
std::optional<ApiError> check_message(boost::json::value& message, size_t index);
std::optional<ApiError> check_tools(const boost::json::array& tools);

// What a template wants that transformers leaves to its caller.
struct TemplateForm {
  bool arguments_are_text = false;   // of calls; else objects, as transformers' own templates read them
  bool content_may_be_null = false;  // of a message that has calls alone; else it is ""
};

// Renders messages and tools; fails as ChatTemplate::render().
using Render = std::function<Result<std::string>(const boost::json::value& messages, const boost::json::value& tools)>;
// Tried out on a small conversation, as llama.cpp does.
TemplateForm form_of_template(const Render& render);

// Checked messages in that form. Earlier reasoning gets every name that templates know it by: reasoning_content
// (DeepSeek, Qwen, GLM), reasoning (vLLM), thinking (gpt-oss, whose template refuses it beside content and calls).
void shape_messages(boost::json::value& messages, const TemplateForm& form);

}  // namespace switchyard::frontend
