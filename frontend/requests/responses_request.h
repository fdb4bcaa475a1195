// Bodies of /v1/responses as chats.
//
// Shape: platform.openai.com/docs/api-reference/responses. Besides its own fields those of dialect.h act. Tools other
// than functions, items other than texts and calls, and what would run in the background are refused by name.
//
// Thread: any; free functions. Nothing blocks.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>

#include "frontend/http/errors.h"
#include "frontend/requests/request_parsing.h"
#include "frontend/requests/response_store.h"

namespace switchyard::frontend {

struct ResponsesRequest : ChatRequest {
  bool store = true;
  // What the answer says of the request: the fields of a response that are not its own, defaults filled in.
  boost::json::object said;
  // The conversation so far as messages of a chat, without instructions, which the next response does not inherit.
  boost::json::array conversation;
};

// The first problem, or none. store, key: where a previous response is looked for.
std::optional<ApiError> parse_responses(const boost::json::object& body, const ModelFacts& model, ResponseStore& store,
                                        size_t key, ResponsesRequest& request);

ApiError unknown_response(const std::string& id);

}  // namespace switchyard::frontend
