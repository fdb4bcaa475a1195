#include "frontend/answers/generation.h"

#include <algorithm>
#include <utility>

namespace switchyard::frontend {

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
      tokenizer_(std::move(tokenizer)),
      decoder_(tokenizer_, request.skip_special_tokens),
      stops_(request.stop, request.include_stop_str_in_output) {
  if (prompt_->parsing) parser_ = std::make_unique<parsing::Parser>(prompt_->parsing->options);
}

// A parser's markers are text to it, whether or not the client wants special tokens; they end what was half a
// character.
std::string Choice::decode(int32_t id) {
  if (!prompt_->parsing || !request_.skip_special_tokens || !prompt_->parsing->keeps(id)) return decoder_.push(id);
  return decoder_.flush() + tokenizer_->token_text(id);
}

void Choice::add_text(std::string_view piece, Delta& delta) {
  if (parser_)
    parsing::append(delta.events, parser_->push(piece));
  else
    delta.text += piece;
}

void Choice::end_text(Delta& delta) {
  if (parser_) parsing::append(delta.events, parser_->finish());
}

const char* Choice::finish_reason() const {
  // As OpenAI: an answer that had to call one function just stops.
  const bool may_call = parser_ && prompt_->parsing->options->call_mode != parsing::CallMode::kNamed;
  if (finish_ == Finish::kStop && may_call && parser_->complete_calls() > 0) return "tool_calls";
  return to_string(finish_);
}

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
    if (parser_ && parser_->in_reasoning()) ++reasoning_tokens_;
    StopStrings::Piece piece = stops_.push(decode(id), armed);
    add_text(piece.text, delta);
    if (piece.stop) {
      finish_ = Finish::kStop;
      stop_reason_ = stops_.stop(*piece.stop);
      stopped_here_ = output.finish() == wire::FINISH_NONE;
      end_text(delta);
    }
  }
  if (finish_ != Finish::kNone || output.finish() == wire::FINISH_NONE) return delta;
  // The length is used up, or the constraint is fulfilled: an incomplete character becomes U+FFFD, and what was held
  // back is text after all.
  add_text(stops_.push(decoder_.flush(), false).text + stops_.flush(), delta);
  end_text(delta);
  finish_ = output.finish() == wire::FINISH_COMPLETE ? Finish::kStop : Finish::kLength;
  return delta;
}

void Choice::stop_at_token(int32_t id, Delta& delta) {
  finish_ = Finish::kStop;
  const auto& own = request_.stop_token_ids;
  if (std::find(own.begin(), own.end(), id) != own.end()) stop_reason_ = id;
  std::string rest;
  if (request_.include_stop_str_in_output) rest = decode(id);
  rest += decoder_.flush();
  add_text(stops_.push(rest, false).text + stops_.flush(), delta);
  end_text(delta);
}

}  // namespace switchyard::frontend
