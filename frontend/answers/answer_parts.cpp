#include "frontend/answers/answer_parts.h"

#include <algorithm>

#include "frontend/http/sse.h"

namespace switchyard::frontend {
namespace {

void write_token(JsonWriter& json, const ServedModel& model, int32_t id, float logprob) {
  json.string("token", model.token_string(id));
  json.key("logprob").float32(logprob);
  json.key("bytes").begin_array();
  for (const char byte : model.tokenizer()->token_bytes(id)) json.integer(static_cast<unsigned char>(byte));
  json.end_array();
}

}  // namespace

void AnswerFormat::gather(Choice& choice, Delta& delta) {
  choice.text += delta.text;
  for (const parsing::Event& event : delta.events) choice.message.add(event);
  for (auto& logprob : delta.logprobs) choice.logprobs.push_back(std::move(logprob));
}

void begin_answer(JsonWriter& json, const AnswerHead& head, std::string_view object, const std::string& model) {
  json.begin_object().string("id", head.id).string("object", object).integer("created", head.created);
  json.string("model", model);
}

void write_usage(JsonWriter& json, const Usage& usage) {
  const auto count = [](uint64_t value) { return static_cast<int64_t>(value); };
  json.begin_object();
  json.integer("prompt_tokens", count(usage.prompt_tokens));
  json.integer("completion_tokens", count(usage.completion_tokens));
  json.integer("total_tokens", count(usage.prompt_tokens + usage.completion_tokens));
  json.key("prompt_tokens_details").begin_object().integer("cached_tokens", count(usage.cached_tokens)).end_object();
  json.key("completion_tokens_details").begin_object();
  json.integer("reasoning_tokens", count(usage.reasoning_tokens)).end_object();
  json.end_object();
}

void end_chunk(JsonWriter& json, const AnswerHead& head) {
  if (head.include_usage) json.null("usage");
  json.end_object();
}

void write_ids(JsonWriter& json, std::string_view name, std::span<const int32_t> ids) {
  json.key(name).begin_array();
  for (const int32_t id : ids) json.integer(id);
  json.end_array();
}

void write_finish(JsonWriter& json, const Choice& choice) {
  json.string("finish_reason", choice.finish_reason());
  json.key("stop_reason");
  const auto& reason = choice.stop_reason();
  if (const auto* text = std::get_if<std::string>(&reason))
    json.string(*text);
  else if (const auto* id = std::get_if<int32_t>(&reason))
    json.integer(*id);
  else
    json.null();
}

void write_no_finish(JsonWriter& json) { json.null("finish_reason"); }

void write_token_logprobs(JsonWriter& json, const ServedModel& model, std::span<const wire::TokenLogprob> logprobs,
                          uint32_t top_count) {
  for (const auto& token : logprobs) {
    json.begin_object();
    write_token(json, model, token.token_id(), token.logprob());
    json.key("top_logprobs").begin_array();
    const int count = std::min({static_cast<int>(top_count), token.top_ids_size(), token.top_logprobs_size()});
    for (int i = 0; i < count; ++i) {
      json.begin_object();
      write_token(json, model, token.top_ids(i), token.top_logprobs(i));
      json.end_object();
    }
    json.end_array().end_object();
  }
}

std::string end_of_chunks(const AnswerHead& head, std::string_view object, const std::string& model,
                          const Usage& usage) {
  if (!head.include_usage) return sse_event(kDone);
  JsonWriter json;
  begin_answer(json, head, object, model);
  json.key("choices").begin_array().end_array().key("usage");
  write_usage(json, usage);
  json.end_object();
  return sse_event(json.text()) + sse_event(kDone);
}

std::string failed_chunk(const ApiError& error) { return sse_event(error_body(error)); }

}  // namespace switchyard::frontend
