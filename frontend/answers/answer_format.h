// How answers look, a format a dialect: OpenAI's chat and legacy completions, Anthropic's messages
// (messages_format.cpp) and OpenAI's responses (responses_format.cpp); whole and streamed.
//
// Shapes: platform.openai.com/docs/api-reference (chat, completions); return_token_ids, stop_reason and the choice of
// logprobs as vLLM.
//
// Thread: one at a time. A format belongs to one request, whose choices it sees in the order of their outputs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "frontend/answers/generation.h"
#include "frontend/answers/served_model.h"
#include "frontend/http/errors.h"

namespace switchyard::frontend {

struct Usage {
  uint64_t prompt_tokens = 0;
  uint64_t completion_tokens = 0;
  uint64_t cached_tokens = 0;
  uint64_t reasoning_tokens = 0;  // of the completion
};

struct AnswerHead {
  std::string id;
  int64_t created = 0;  // seconds since 1970
  bool include_usage = false;
  bool return_token_ids = false;
  bool logprobs = false;
  uint32_t top_logprobs = 0;
  bool echo = false;              // completions
  bool include_reasoning = true;  // chat
  uint32_t n = 1;
};

class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  // Of a request that fails before its answer has begun.
  virtual ErrorForm errors() const { return ErrorForm::kOpenAi; }

  // A whole answer: what each step adds, then the JSON text of all.
  virtual void gather(Choice& choice, Delta& delta);
  virtual std::string whole(std::vector<std::unique_ptr<Choice>>& choices, const Usage& usage) = 0;

  // A stream. Everything returned is server-sent events, any number of them, framed (sse.h).
  // Before a choice's first delta.
  virtual std::string opening(Choice& choice) = 0;
  // What one step has added.
  virtual std::string delta(Choice& choice, const Delta& delta) = 0;
  virtual std::string finish(Choice& choice) = 0;
  // When all choices have finished, or instead when the request fails.
  virtual std::string end(const Usage& usage) = 0;
  virtual std::string failed(const ApiError& error) = 0;
};

std::unique_ptr<AnswerFormat> make_chat_format(AnswerHead head, std::shared_ptr<const ServedModel> model);
std::unique_ptr<AnswerFormat> make_completion_format(AnswerHead head, std::shared_ptr<const ServedModel> model);

}  // namespace switchyard::frontend
