#include "worker/engine/mask_thread.h"

#include <utility>

namespace switchyard::worker {

MaskThread::~MaskThread() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void MaskThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || busy_; });
    if (ending_) return;
    lock.unlock();
    for (ConstrainedText* text : texts_) text->prepare();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

MaskThread::Round::Round(MaskThread& owner, std::vector<ConstrainedText*> texts)
    : owner_(texts.empty() ? nullptr : &owner) {
  if (owner_ == nullptr) return;
  {
    const std::lock_guard lock(owner.mutex_);
    owner.texts_ = std::move(texts);
    owner.busy_ = true;
  }
  if (!owner.thread_.joinable()) owner.thread_ = std::thread([&owner] { owner.run(); });
  owner.changed_.notify_all();
}

MaskThread::Round::~Round() {
  if (owner_ == nullptr) return;
  std::unique_lock lock(owner_->mutex_);
  owner_->changed_.wait(lock, [this] { return !owner_->busy_; });
}

}  // namespace switchyard::worker
