#include "worker/messages.h"

namespace switchyard::worker {
namespace {

SamplingParams to_params(const wire::Sampling& from) {
  SamplingParams p;
  p.temperature = from.temperature();
  p.top_p = from.top_p();
  p.top_k = from.top_k();
  p.min_p = from.min_p();
  p.presence_penalty = from.presence_penalty();
  p.frequency_penalty = from.frequency_penalty();
  p.repetition_penalty = from.repetition_penalty() == 0.0F ? 1.0F : from.repetition_penalty();
  p.seed = from.seed();
  for (const auto& bias : from.logit_bias()) p.logit_bias.emplace_back(bias.token_id(), bias.bias());
  p.min_tokens = from.min_tokens();
  p.stop_token_ids.assign(from.stop_token_ids().begin(), from.stop_token_ids().end());
  p.logprobs = from.logprobs();
  p.top_logprobs = from.top_logprobs();
  p.prompt_logprobs = from.prompt_logprobs();
  return p;
}

void to_wire(const TokenLogprob& from, wire::TokenLogprob* to) {
  to->set_token_id(from.token_id);
  to->set_logprob(from.logprob);
  to->set_rank(from.rank);
  for (const auto& [id, logprob] : from.top) {
    to->add_top_ids(id);
    to->add_top_logprobs(logprob);
  }
}

Pooling pooling_of(wire::Pooling from) {
  switch (from) {
    case wire::POOLING_LAST: return Pooling::kLast;
    case wire::POOLING_MEAN: return Pooling::kMean;
    default: return Pooling::kNone;
  }
}

wire::FinishReason to_wire(Finish finish) {
  switch (finish) {
    case Finish::kNone: return wire::FINISH_NONE;
    case Finish::kStop: return wire::FINISH_STOP;
    case Finish::kLength: return wire::FINISH_LENGTH;
    case Finish::kCancelled: return wire::FINISH_CANCELLED;
    case Finish::kError: return wire::FINISH_ERROR;
    case Finish::kComplete: return wire::FINISH_COMPLETE;
  }
  return wire::FINISH_ERROR;
}

uint32_t http_status(Errc code) {
  switch (code) {
    case Errc::kInvalid:
    case Errc::kTooLarge: return 400;
    case Errc::kOverloaded: return 429;
    case Errc::kUnavailable: return 503;
    default: return 500;
  }
}

}  // namespace

std::unique_ptr<Sequence> to_sequence(const wire::Generate& from) {
  auto to = std::make_unique<Sequence>();
  to->trace_id = from.trace_id();
  to->priority = from.priority();
  to->params = to_params(from.sampling());
  to->pooling = pooling_of(from.pooling());
  to->max_tokens = to->pooling == Pooling::kNone ? from.max_tokens() : 0;
  to->prompt_count = static_cast<uint32_t>(from.prompt_token_ids_size());
  to->tokens.assign(from.prompt_token_ids().begin(), from.prompt_token_ids().end());
  to->tokens.insert(to->tokens.end(), from.generated_token_ids().begin(), from.generated_token_ids().end());
  return to;
}

structured::Constraint to_constraint(const wire::Constraint& from) {
  using Kind = structured::Constraint::Kind;
  structured::Constraint to;
  switch (from.kind()) {
    case wire::CONSTRAINT_JSON_SCHEMA: to.kind = Kind::kJsonSchema; break;
    case wire::CONSTRAINT_REGEX: to.kind = Kind::kRegex; break;
    case wire::CONSTRAINT_CHOICE: to.kind = Kind::kChoice; break;
    case wire::CONSTRAINT_GRAMMAR: to.kind = Kind::kGrammar; break;
    default: to.kind = Kind::kJsonObject; break;
  }
  to.text = from.text();
  to.open_objects = from.open_objects();
  to.begins_after = from.begins_after();
  to.reasoning_opens = from.reasoning_opens();
  to.in_harmony = from.in_harmony();
  return to;
}

void to_wire(const EngineOutput& from, uint64_t request_id, wire::Output* to) {
  to->set_request_id(request_id);
  to->mutable_token_ids()->Add(from.tokens.begin(), from.tokens.end());
  for (const auto& logprob : from.logprobs) to_wire(logprob, to->add_logprobs());
  for (const auto& logprob : from.prompt_logprobs) to_wire(logprob, to->add_prompt_logprobs());
  to->mutable_embedding()->Add(from.embedding.begin(), from.embedding.end());
  to->set_cached_tokens(from.cached_tokens);
  to->set_finish(to_wire(from.finish));
  if (from.finish == Finish::kNone) return;
  to->set_queue_seconds(from.queue_seconds);
  to->set_prefill_seconds(from.prefill_seconds);
  to->set_decode_seconds(from.decode_seconds);
  if (from.finish == Finish::kError) {
    to->set_error(from.error.message);
    to->set_error_status(http_status(from.error.code));
  }
}

void to_wire(const EngineStats& from, wire::RankReport* to) {
  to->set_sequences_running(from.running);
  to->set_sequences_waiting(from.waiting);
  to->set_kv_blocks_total(from.kv_blocks_total);
  to->set_kv_blocks_used(from.kv_blocks_used);
  to->set_steps(from.steps);
  to->set_prompt_tokens(from.prompt_tokens);
  to->set_generation_tokens(from.generation_tokens);
  to->set_exchange_dispatch_seconds(from.exchange.dispatch_seconds);
  to->set_exchange_combine_seconds(from.exchange.combine_seconds);
  to->set_exchange_bytes(from.exchange.bytes_sent);
  to->set_compute_seconds(from.compute_seconds);
  to->set_attended_positions(from.attended_positions);
  to->set_preemptions(from.preemptions);
  to->set_prefix_queries(from.prefix_queries);
  to->set_prefix_hits(from.prefix_hits);
}

void end_to_wire(wire::FinishReason finish, const Error& error, uint64_t request_id, wire::Output* to) {
  to->set_request_id(request_id);
  to->set_finish(finish);
  if (finish != wire::FINISH_ERROR) return;
  to->set_error(error.message);
  to->set_error_status(http_status(error.code));
}

}  // namespace switchyard::worker
