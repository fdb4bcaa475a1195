// The bodies of /v1/chat/completions and /v1/completions as structs: defaults filled in, every field checked. Fields
// that are not known are ignored, as OpenAI does.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/structured/constraint.h"
#include "common/wire/switchyard.pb.h"
#include "frontend/http/errors.h"

namespace switchyard::frontend {

// What requests are checked against, and what fills their gaps (generation_config.json's values, as vLLM's
// --generation-config auto).
struct ModelFacts {
  std::string name;            // as served
  int32_t vocab_size = 0;      // ids are in [0, vocab_size)
  bool has_tokenizer = true;   // false: prompts are token ids, and answers have no text
  uint32_t max_model_len = 0;  // prompt and answer, tokens
  std::vector<int32_t> eos_token_ids;
  double temperature = 1.0;
  double top_p = 1.0;
  int32_t top_k = 0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  wire::Pooling pooling = wire::POOLING_LAST;  // of embeddings
};

// A constraint whose text has not been looked into yet: that takes too long for a thread with streams.
struct ConstraintCheck {
  structured::Constraint constraint;
  ApiError refusal;  // if it cannot be compiled; why comes behind its message
};

// What both kinds of request have.
struct GenerationRequest {
  bool stream = false;
  bool include_usage = false;
  uint32_t n = 1;
  std::optional<uint32_t> max_tokens;
  const char* max_tokens_field = "max_tokens";  // the name that the request has it under
  uint32_t max_tokens_if_absent = UINT32_MAX;   // or as many as the context holds, if that is less
  uint32_t min_tokens = 0;
  wire::Sampling sampling;  // complete but for the seed of each choice; logprobs and top_logprobs as the request asks
  uint64_t seed = 0;        // of choice 0; choice i has seed + i
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;  // the request's own
  bool include_stop_str_in_output = false;
  bool skip_special_tokens = true;
  bool return_token_ids = false;
  std::optional<int32_t> priority;       // lower first
  std::optional<ConstraintCheck> check;  // of sampling.constraint
};

struct CompletionRequest : GenerationRequest {
  std::vector<std::variant<std::string, std::vector<int32_t>>> prompts;
  bool echo = false;
  bool add_special_tokens = true;
};

struct ChatRequest : GenerationRequest {
  boost::json::value messages;               // an array of objects with a role
  boost::json::value tools;                  // an array, or null
  boost::json::object chat_template_kwargs;  // add_generation_prompt included
  std::string chat_template;                 // "" = the model's own
  bool must_call = false;                    // tool_choice "required" or a function
  std::string must_call_function;            // "" = any
  bool parallel_tool_calls = true;           // false: the first call alone is answered
  bool include_reasoning = true;
};

// The first problem, or none. Nothing here blocks.
std::optional<ApiError> parse_completion(const boost::json::object& body, const ModelFacts& model,
                                         CompletionRequest& request);
std::optional<ApiError> parse_chat(const boost::json::object& body, const ModelFacts& model, ChatRequest& request);

// The fields that a chat prompt is made of (also in /tokenize). Contents that are lists of text parts become one text,
// unless they hold other parts, which are refused.
std::optional<ApiError> parse_chat_prompt(const boost::json::object& body, ChatRequest& request);

// The length that an answer to a prompt may have. prompt_field: "messages" or "prompt", for the error.
std::optional<ApiError> resolve_max_tokens(const GenerationRequest& request, const ModelFacts& model,
                                           size_t prompt_token_count, const char* prompt_field, uint32_t& max_tokens);

}  // namespace switchyard::frontend
