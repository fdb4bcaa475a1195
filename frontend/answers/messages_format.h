// Answers of /v1/messages, Anthropic's form: content blocks, named events, errors of its own shape.
//
// Shapes: docs.anthropic.com/en/api/messages, docs.anthropic.com/en/docs/build-with-claude/streaming.
#pragma once

#include <memory>
#include <string>

#include "frontend/answers/answer_format.h"

namespace switchyard::frontend {

struct MessagesHead {
  std::string id;
  bool stream = false;
  bool include_reasoning = true;
};

std::unique_ptr<AnswerFormat> make_messages_format(MessagesHead head, std::shared_ptr<const ServedModel> model);

}  // namespace switchyard::frontend
