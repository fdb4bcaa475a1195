#include "tests/simulation/clients.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::simulation {
namespace {

constexpr std::chrono::milliseconds kAskAgain{50};

}  // namespace

Clients::Clients(World& world, Cluster& cluster, const Plan& plan, const std::vector<Reference>& references,
                 Checks& checks)
    : world_(world), cluster_(cluster), references_(references), checks_(checks), open_(plan.requests.size()) {
  for (const PlannedRequest& request : plan.requests) {
    calls_.emplace_back();
    calls_.back().plan = request;
  }
}

void Clients::start() {
  for (size_t i = 0; i < calls_.size(); ++i) world_.after(calls_[i].plan.at, [this, i] { ask(i); });
  look_for_lost();
}

void Clients::ask(size_t index) {
  Call& call = calls_[index];
  const uint32_t frontend = call.plan.frontend;
  if (cluster_.pool(frontend) == nullptr) return ask_again(index);  // nobody listens there
  call.frontend = cluster_.current_frontend(frontend);
  world_.in(call.frontend, [this, index, frontend, &call] {
    auto ticket = cluster_.pool(frontend)->generate(request_pool()[call.plan.request], cluster_.reactor(frontend),
                                                    [this, index](wire::Output& output) { take(index, output); });
    if (!ticket.ok()) {  // 503
      call.frontend = nullptr;
      return ask_again(index);
    }
    call.ticket = ticket->id;
    world_.note("asks", call.frontend->slot, index, call.plan.request);
    if (call.plan.cancel_after == 0) close(call);
  });
}

void Clients::ask_again(size_t index) {
  world_.after(kAskAgain, [this, index] { ask(index); });
}

// The client leaves.
void Clients::close(Call& call) {
  call.cancelled = call.done = true;
  --open_;
  world_.note("leaves", call.frontend->slot, call.ticket);
  cluster_.pool(call.plan.frontend)->cancel(call.ticket);
}

void Clients::take(size_t index, const wire::Output& output) {
  Call& call = calls_[index];
  const auto name = [&] { return fmt::format("request {} (of the pool: {})", index, call.plan.request); };
  if (call.cancelled) return;  // on its way when the client left
  if (call.done) return checks_.fail(name() + " gets an output after its end");
  const auto& ids = output.token_ids();
  call.got.tokens.insert(call.got.tokens.end(), ids.begin(), ids.end());
  tokens_ += static_cast<uint64_t>(ids.size());
  world_.note("output", call.frontend->slot, index, call.got.tokens.size(), static_cast<uint64_t>(output.finish()));
  if (output.finish() == wire::FINISH_ERROR || output.finish() == wire::FINISH_CANCELLED)
    checks_.fail(fmt::format("{} ends with {}: {}", name(), wire::FinishReason_Name(output.finish()), output.error()));
  const bool ends = output.finish() != wire::FINISH_NONE;
  if (!references_.empty()) {
    const Reference& want = references_[call.plan.request];
    const auto& got = call.got.tokens;
    const bool begins = got.size() <= want.tokens.size() && std::equal(got.begin(), got.end(), want.tokens.begin());
    if (!begins || (ends && (got.size() != want.tokens.size() || output.finish() != want.finish))) {
      checks_.fail(fmt::format("{} has other tokens than undisturbed: [{}] of [{}]", name(), fmt::join(got, " "),
                               fmt::join(want.tokens, " ")));
    }
  }
  if (ends) {
    call.got.finish = output.finish();
    call.done = true;
    ++whole_;
    --open_;
  } else if (call.got.tokens.size() >= call.plan.cancel_after) {
    close(call);
  }
}

// Clients of a frontend that died see their connections close.
void Clients::look_for_lost() {
  for (Call& call : calls_) {
    if (call.done || !call.frontend || call.frontend->alive()) continue;
    call.cancelled = call.done = true;
    --open_;
    world_.note("lost with its frontend", call.frontend->slot, call.ticket);
  }
  world_.after(kAskAgain, [this] { look_for_lost(); });
}

std::string Clients::why_not_done() const {
  std::string open;
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (calls_[i].done) continue;
    open += fmt::format("{}request {} ({} of {} tokens{})", open.empty() ? "" : ", ", i, calls_[i].got.tokens.size(),
                        references_[calls_[i].plan.request].tokens.size(), calls_[i].ticket == 0 ? ", not taken" : "");
  }
  return open;
}

std::vector<Reference> Clients::streams() const {
  std::vector<Reference> streams;
  for (const Call& call : calls_) streams.push_back(call.got);
  return streams;
}

}  // namespace switchyard::simulation
