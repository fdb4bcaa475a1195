#include "frontend/http/answer_parts.h"

namespace switchyard::http {

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

}  // namespace switchyard::http
