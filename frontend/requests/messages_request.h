// Bodies of /v1/messages and /v1/messages/count_tokens, Anthropic's form, as chats.
//
// Shape: docs.anthropic.com/en/api/messages. Besides its own fields those of dialect.h act. thinking becomes the
// template's switches, enable_thinking and thinking, and output_config.effort its reasoning_effort; budget_tokens is
// checked and has no effect. A tool's result
// with is_error begins with "Error: ", since chat templates have no other place for it.
//
// Thread: any; free functions. Nothing blocks.
#pragma once

#include <boost/json/object.hpp>
#include <optional>

#include "frontend/http/errors.h"
#include "frontend/requests/request_parsing.h"

namespace switchyard::frontend {

// The first problem, or none.
std::optional<ApiError> parse_messages(const boost::json::object& body, const ModelFacts& model, ChatRequest& request);
// The prompt alone: what is counted. max_tokens is not needed.
std::optional<ApiError> parse_messages_prompt(const boost::json::object& body, ChatRequest& request);

}  // namespace switchyard::frontend
