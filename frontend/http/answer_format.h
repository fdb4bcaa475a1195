// How answers look: chat and legacy completions, whole and in chunks. Everything returned is JSON text.
//
// Shapes: platform.openai.com/docs/api-reference (chat, completions); return_token_ids, stop_reason and the choice of
// logprobs as vLLM.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "frontend/http/generation.h"
#include "frontend/http/served_model.h"

namespace switchyard::http {

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
  virtual std::string whole(std::vector<std::unique_ptr<Choice>>& choices, const Usage& usage) = 0;
  // Before a choice's first delta; "" = nothing.
  virtual std::string opening(Choice& choice) = 0;
  // The chunks of what one step has added.
  virtual std::vector<std::string> delta(Choice& choice, const Delta& delta) = 0;
  virtual std::string finish(Choice& choice) = 0;
  virtual std::string usage(const Usage& usage) = 0;
};

std::unique_ptr<AnswerFormat> make_chat_format(AnswerHead head, std::shared_ptr<const ServedModel> model);
std::unique_ptr<AnswerFormat> make_completion_format(AnswerHead head, std::shared_ptr<const ServedModel> model);

}  // namespace switchyard::http
