#include "frontend/http/generation.h"

#include <algorithm>
#include <utility>

namespace switchyard::http {

const char* to_string(Finish finish) {
  switch (finish) {
    case Finish::kNone: return "";
    case Finish::kStop: return "stop";
    case Finish::kLength: return "length";
  }
  return "";
}

Choice::Choice(const GenerationRequest& request, std::shared_ptr<Prompt> prompt, uint32_t index,
               std::shared_ptr<const text::Tokenizer> tokenizer)
    : request_(request),
      prompt_(std::move(prompt)),
      index_(index),
      decoder_(std::move(tokenizer), request.skip_special_tokens),
      stops_(request.stop, request.include_stop_str_in_output) {}

Delta Choice::take(wire::Output& output) {
  Delta delta;
  prompt_->cached_tokens = std::max(prompt_->cached_tokens, output.cached_tokens());
  for (auto& logprob : *output.mutable_prompt_logprobs()) prompt_logprobs_.push_back(std::move(logprob));
  const int count = output.token_ids_size();
  for (int i = 0; i < count && finish_ == Finish::kNone; ++i) {
    const int32_t id = output.token_ids(i);
    token_ids_.push_back(id);
    delta.token_ids.push_back(id);
    if (i < output.logprobs_size()) delta.logprobs.push_back(std::move(*output.mutable_logprobs(i)));
    if (i + 1 == count && output.finish() == wire::FINISH_STOP) {
      stop_at_token(id, delta);
      return delta;
    }
    const bool armed = token_ids_.size() > request_.min_tokens;
    StopStrings::Piece piece = stops_.push(decoder_.push(id), armed);
    delta.text += piece.text;
    if (piece.stop) {
      finish_ = Finish::kStop;
      stop_reason_ = stops_.stop(*piece.stop);
      stopped_here_ = output.finish() == wire::FINISH_NONE;
    }
  }
  if (finish_ != Finish::kNone || output.finish() == wire::FINISH_NONE) return delta;
  // The length is used up: an incomplete character becomes U+FFFD, and what was held back is text after all.
  delta.text += stops_.push(decoder_.flush(), false).text + stops_.flush();
  finish_ = Finish::kLength;
  return delta;
}

void Choice::stop_at_token(int32_t id, Delta& delta) {
  finish_ = Finish::kStop;
  const auto& own = request_.stop_token_ids;
  if (std::find(own.begin(), own.end(), id) != own.end()) stop_reason_ = id;
  std::string rest;
  if (request_.include_stop_str_in_output) rest = decoder_.push(id);
  rest += decoder_.flush();
  delta.text += stops_.push(rest, false).text + stops_.flush();
}

}  // namespace switchyard::http
