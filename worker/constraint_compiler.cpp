#include "worker/constraint_compiler.h"

#include <string_view>
#include <utility>
#include <vector>

#include "common/text/tokenizer.h"

namespace switchyard::worker {

ConstraintCompiler::ConstraintCompiler(std::string model_path, uint32_t vocab_size)
    : model_path_(std::move(model_path)), vocab_size_(vocab_size), thread_([this] { run(); }) {}

ConstraintCompiler::~ConstraintCompiler() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

Status ConstraintCompiler::compile(structured::Constraint constraint, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kWaitingMax) return Error{Errc::kOverloaded, "too many constraints wait to be compiled"};
    waiting_.emplace_back(std::move(constraint), std::move(done));
  }
  changed_.notify_one();
  return {};
}

Status ConstraintCompiler::open_store() {
  if (store_) return {};
  SWITCHYARD_ASSIGN(const auto tokenizer, text::Tokenizer::load(model_path_));
  std::vector<std::string_view> tokens(vocab_size_);
  std::vector<bool> specials(vocab_size_);
  for (uint32_t i = 0; i < vocab_size_; ++i) {
    const auto id = static_cast<int32_t>(i);
    tokens[i] = tokenizer->token_bytes(id);
    specials[i] = tokenizer->is_special(id);
  }
  store_.emplace(std::make_shared<const structured::Vocabulary>(tokens, specials));
  return {};
}

void ConstraintCompiler::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (ending_) return;
    const auto [constraint, done] = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const Status opened = open_store();
    done(opened.ok() ? store_->get(constraint) : opened.error());
    lock.lock();
  }
}

}  // namespace switchyard::worker
