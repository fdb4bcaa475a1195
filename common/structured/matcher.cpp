#include "common/structured/matcher.h"

#include <fmt/format.h>

namespace switchyard::structured {

Masks::Masks(Automaton automaton, std::shared_ptr<const Vocabulary> vocabulary, size_t memory_max)
    : automaton_(std::move(automaton)),
      vocabulary_(std::move(vocabulary)),
      memory_max_(memory_max),
      current_(std::make_shared<Configurations>(automaton_, *vocabulary_)) {}

size_t Masks::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  return automaton_.memory_bytes() + current_->memory_bytes();
}

void Masks::renew(std::shared_ptr<Configurations>& from, Configuration& at) {
  if (current_->memory_bytes() > memory_max_) current_ = std::make_shared<Configurations>(automaton_, *vocabulary_);
  if (from == current_) return;
  at = current_->import(*from, at);
  from = current_;
}

Matcher::Matcher(std::shared_ptr<Masks> masks) : masks_(std::move(masks)) {
  const std::lock_guard lock(masks_->mutex_);
  memo_ = masks_->current_;
  at_ = memo_->start();
  look();
}

void Matcher::look() {
  may_end_ = memo_->may_end(at_);
  may_go_on_ = memo_->may_go_on(at_);
}

Status Matcher::fill_mask(MaskView mask) {
  const std::lock_guard lock(masks_->mutex_);
  masks_->renew(memo_, at_);
  return memo_->fill_mask(at_, mask);
}

Status Matcher::accept(int32_t token) {
  const std::lock_guard lock(masks_->mutex_);
  masks_->renew(memo_, at_);
  const std::string_view bytes = masks_->vocabulary_->bytes(token);
  Configuration next = Configurations::kDead;
  if (!bytes.empty()) {
    SWITCHYARD_ASSIGN(next, memo_->advance(at_, bytes));
  }
  if (next == Configurations::kDead)
    return Error{Errc::kInvalid, fmt::format("token {} does not fit the grammar", token)};
  at_ = next;
  look();
  return {};
}

}  // namespace switchyard::structured
