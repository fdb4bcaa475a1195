#include "frontend/api/generation_job.h"

#include "common/base/log.h"
#include "frontend/http/sse.h"

namespace switchyard::frontend {

GenerationJob::GenerationJob(Parts parts) : parts_(std::move(parts)) {}

GenerationJob::~GenerationJob() {
  if (!ended_) cancel_rest();
}

double GenerationJob::seconds_since_arrival() const {
  return std::chrono::duration<double>(Clock::now() - parts_.arrived).count();
}

void GenerationJob::start(ResponderPtr responder) {
  responder_ = std::move(responder);
  // The pool holds this job until the last output; the responder's callback ends it if the client goes first, and alone
  // holds it until the constraint has been checked.
  responder_->on_disconnect([job = shared_from_this()] {
    if (!job->ended_) job->end("abort", 499);  // as nginx logs a client that closed its request
  });
  if (ended_) return;
  if (!parts_.check) return send();
  const Status taken = parts_.checker->check(std::move(parts_.check->constraint), responder_,
                                             [job = weak_from_this()](const Status& verdict) {
                                               if (const auto here = job.lock()) here->on_checked(verdict);
                                             });
  if (!taken.ok()) refuse(error_of(taken.error()));
}

void GenerationJob::on_checked(const Status& verdict) {
  if (ended_) return;
  if (verdict.ok()) return send();
  ApiError refusal = std::move(parts_.check->refusal);
  refusal.message += verdict.error().message;
  refuse(refusal);
}

void GenerationJob::send() {
  const GenerationRequest& request = *parts_.request;
  for (const auto& prompt : parts_.prompts) {
    for (uint32_t i = 0; i < request.n; ++i) {
      choices_.push_back(
          std::make_unique<Choice>(request, prompt, static_cast<uint32_t>(choices_.size()), parts_.model->tokenizer()));
    }
  }
  last_output_.resize(choices_.size(), parts_.arrived);
  open_choices_ = choices_.size();

  for (const auto& choice : choices_) {
    if (ended_) return;
    const uint32_t index = choice->index();
    wire::Generate generate;
    const Prompt& prompt = choice->prompt();
    generate.mutable_prompt_token_ids()->Add(prompt.ids.begin(), prompt.ids.end());
    generate.set_max_tokens(parts_.max_tokens[index / request.n]);
    *generate.mutable_sampling() = request.sampling;
    generate.mutable_sampling()->set_seed(request.seed + index % request.n);
    generate.set_trace_id(parts_.request_id);
    generate.set_priority(parts_.admission->priority(request.priority));
    auto ticket = parts_.pool->generate(
        std::move(generate), responder_->reactor(),
        [job = shared_from_this(), index](wire::Output& output) { job->on_output(index, output); });
    if (!ticket.ok()) {
      ApiError error = error_of(ticket.error());
      error.retry_after_seconds = parts_.pool->retry_after_seconds();
      return fail(error);
    }
    choice->ticket = *ticket;
  }
  uint64_t prompt_tokens = 0;
  for (const auto& prompt : parts_.prompts) prompt_tokens += prompt->ids.size();
  parts_.metrics->prompt_tokens(static_cast<double>(prompt_tokens));
  parts_.admission->take_tokens(prompt_tokens);
}

void GenerationJob::on_output(uint32_t index, wire::Output& output) {
  Choice& choice = *choices_[index];
  if (ended_ || choice.finish() != Finish::kNone) return;
  if (output.finish() == wire::FINISH_ERROR)
    return fail(error_of_status(static_cast<int>(output.error_status()), output.error()));
  if (output.finish() == wire::FINISH_CANCELLED) return fail(unavailable("The request was cancelled by its rank."));

  if (output.token_ids_size() > 0) {
    const auto now = Clock::now();
    const double gap = std::chrono::duration<double>(now - last_output_[index]).count();
    choice.token_ids().empty() ? parts_.metrics->time_to_first_token(gap) : parts_.metrics->inter_token_latency(gap);
    last_output_[index] = now;
    parts_.metrics->generation_tokens(output.token_ids_size());
    parts_.admission->take_tokens(static_cast<uint64_t>(output.token_ids_size()));
  }
  if (output.finish() != wire::FINISH_NONE)
    parts_.metrics->stages(output.queue_seconds(), output.prefill_seconds(), output.decode_seconds());

  Delta delta = choice.take(output);
  if (choice.stopped_here()) parts_.pool->cancel(choice.ticket.id);
  if (parts_.request->stream) {
    stream(choice, delta);
  } else {
    parts_.format->gather(choice, delta);
  }
  if (ended_) return;  // the client was dropped while it was written to
  if (choice.finish() != Finish::kNone && --open_choices_ == 0) complete();
}

void GenerationJob::write(const std::string& events) {
  if (events.empty()) return;
  if (!streaming_) {
    streaming_ = true;
    responder_->add_header("Cache-Control", "no-cache");
    responder_->add_header("X-Accel-Buffering", "no");
    responder_->begin_stream(kEventStream);
  }
  responder_->write(events);
}

void GenerationJob::stream(Choice& choice, const Delta& delta) {
  if (!choice.opened) {
    write(parts_.format->opening(choice));
    choice.opened = true;
  }
  write(parts_.format->delta(choice, delta));
  if (choice.finish() != Finish::kNone) write(parts_.format->finish(choice));
}

Usage GenerationJob::usage() const {
  Usage usage;
  for (const auto& prompt : parts_.prompts) {
    usage.prompt_tokens += prompt->ids.size();
    usage.cached_tokens += prompt->cached_tokens;
  }
  for (const auto& choice : choices_) {
    usage.completion_tokens += choice->token_ids().size();
    usage.reasoning_tokens += choice->reasoning_tokens();
  }
  return usage;
}

void GenerationJob::complete() {
  if (parts_.request->stream) {
    write(parts_.format->end(usage()));
    responder_->end_stream();
  } else {
    responder_->respond({.status = 200, .body = parts_.format->whole(choices_, usage())});
  }
  end(to_string(choices_.front()->finish()), 200);
}

// As a request whose fields are wrong: it has not begun.
void GenerationJob::refuse(const ApiError& error) {
  ended_ = true;
  respond_error(*responder_, error, parts_.format->errors());
  parts_.admission.reset();
}

void GenerationJob::fail(const ApiError& error) {
  if (ended_) return;
  if (streaming_) {
    responder_->write(parts_.format->failed(error));
    responder_->end_stream();
    log_warn("request failed", {{"request", parts_.request_id}, {"why", error.message}});
  } else {
    respond_error(*responder_, error, parts_.format->errors());
  }
  end("error", error.status);
}

void GenerationJob::cancel_rest() {
  for (const auto& choice : choices_)
    if (choice->finish() == Finish::kNone && choice->ticket.id != 0) parts_.pool->cancel(choice->ticket.id);
}

void GenerationJob::end(const char* reason, int status) {
  ended_ = true;
  cancel_rest();
  const double seconds = seconds_since_arrival();
  parts_.metrics->request_finished(reason, seconds);
  const Usage total = usage();
  const Ticket ticket = choices_.empty() ? Ticket{} : choices_.front()->ticket;
  log_info("request", {{"request", parts_.request_id},
                       {"rank", ticket.rank},
                       {"epoch", ticket.epoch},
                       {"prompt_tokens", total.prompt_tokens},
                       {"tokens", total.completion_tokens},
                       {"status", status},
                       {"reason", reason},
                       {"ms", static_cast<int64_t>(seconds * 1000)}});
  parts_.admission.reset();
}

}  // namespace switchyard::frontend
