// What the formats of answer_format.h share.
#pragma once

#include <span>
#include <string_view>

#include "frontend/answers/answer_format.h"
#include "frontend/http/json_writer.h"

namespace switchyard::frontend {

// {"id":..,"object":..,"created":..,"model":.. of an object that the caller goes on with.
void begin_answer(JsonWriter& json, const AnswerHead& head, std::string_view object, const std::string& model);
void write_usage(JsonWriter& json, const Usage& usage);  // the value
// "usage": null, which OpenAI puts into every chunk of a stream that ends with its usage.
void end_chunk(JsonWriter& json, const AnswerHead& head);
void write_ids(JsonWriter& json, std::string_view name, std::span<const int32_t> ids);
void write_finish(JsonWriter& json, const Choice& choice);  // finish_reason and stop_reason
void write_no_finish(JsonWriter& json);
// The elements of an array of scored tokens, as chat and responses have them. top_count: of the likeliest, at most.
void write_token_logprobs(JsonWriter& json, const ServedModel& model, std::span<const wire::TokenLogprob> logprobs,
                          uint32_t top_count);
// The end of a stream of chunks: its usage, if it is to be there, and [DONE].
std::string end_of_chunks(const AnswerHead& head, std::string_view object, const std::string& model,
                          const Usage& usage);
std::string failed_chunk(const ApiError& error);

}  // namespace switchyard::frontend
