#include "frontend/api/constraint_checker.h"

#include <string>
#include <string_view>
#include <utility>

namespace switchyard::frontend {

using structured::Constraint;

ConstraintChecker::ConstraintChecker() : thread_([this] { run(); }) {}

ConstraintChecker::~ConstraintChecker() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

Status ConstraintChecker::check(Constraint constraint, std::weak_ptr<Responder> responder, Done done) {
  std::optional<Status> verdict;
  {
    const std::lock_guard lock(mutex_);
    verdict = find(constraint);
    if (!verdict) {
      if (waiting_.size() >= kWaitingMax)
        return Error{Errc::kOverloaded, "Too many grammars are waiting to be compiled."};
      waiting_.push_back({std::move(constraint), std::move(responder), std::move(done)});
    }
  }
  verdict ? done(*verdict) : changed_.notify_one();
  return {};
}

void ConstraintChecker::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (ending_) return;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    std::optional<Status> verdict = find(next.constraint);  // somebody who waited before asked for the same
    lock.unlock();
    if (const ResponderPtr responder = next.responder.lock()) {
      const bool is_new = !verdict;
      if (is_new) {
        const auto compiled = structured::compile(next.constraint);
        verdict = compiled.ok() ? Status() : Status(compiled.error());
      }
      responder->post([done = std::move(next.done), verdict = *verdict] { done(verdict); });
      if (is_new) {
        const std::lock_guard keeping(mutex_);
        keep(std::move(next.constraint), *verdict);
      }
    }
    lock.lock();
  }
}

size_t ConstraintChecker::Hash::operator()(const Constraint* constraint) const {
  const size_t of_text = std::hash<std::string_view>()(constraint->text);
  return of_text * 31 + static_cast<size_t>(constraint->kind) * 2 + (constraint->open_objects ? 1 : 0);
}

std::optional<Status> ConstraintChecker::find(const Constraint& constraint) {
  const auto found = places_.find(&constraint);
  if (found == places_.end()) return std::nullopt;
  known_.splice(known_.begin(), known_, found->second);
  return found->second->verdict;
}

void ConstraintChecker::keep(Constraint constraint, const Status& verdict) {
  known_.push_front({std::move(constraint), verdict});
  places_.emplace(&known_.front().constraint, known_.begin());
  known_bytes_ += known_.front().bytes();
  while (known_.size() > kKnownMax || (known_bytes_ > kKnownBytesMax && known_.size() > 1)) {
    known_bytes_ -= known_.back().bytes();
    places_.erase(&known_.back().constraint);
    known_.pop_back();
  }
}

}  // namespace switchyard::frontend
