// Answers of /v1/responses: output items, and events that tell their growth, numbered.
//
// Shapes: platform.openai.com/docs/api-reference/responses-streaming. Reasoning is the content of its item
// (reasoning_text), not a summary. No [DONE]: response.completed, response.incomplete or response.failed ends a stream.
#pragma once

#include <memory>
#include <string>

#include "frontend/answers/answer_format.h"
#include "frontend/requests/response_store.h"
#include "frontend/requests/responses_request.h"

namespace switchyard::frontend {

struct ResponsesHead {
  std::string id;
  int64_t created = 0;  // seconds since 1970
  std::shared_ptr<const ResponsesRequest> request;
  std::shared_ptr<ResponseStore> store;
  size_t key = 0;  // whose answer it is
};

// An answer that the request wants stored is, when it is complete.
std::unique_ptr<AnswerFormat> make_responses_format(ResponsesHead head, std::shared_ptr<const ServedModel> model);

}  // namespace switchyard::frontend
