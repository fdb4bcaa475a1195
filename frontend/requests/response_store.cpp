#include "frontend/requests/response_store.h"

namespace switchyard::frontend {
namespace {

// What the entry's own bookkeeping takes, about.
constexpr size_t kOverheadBytes = 256;

size_t bytes_of(const StoredResponse& response) {
  return response.body.size() + response.conversation.size() + kOverheadBytes;
}

}  // namespace

void ResponseStore::put(StoredResponse response) {
  const size_t bytes = bytes_of(response);
  if (bytes > bytes_max_) return;
  auto kept = std::make_shared<const StoredResponse>(std::move(response));
  const std::lock_guard lock(mutex_);
  while (bytes_ + bytes > bytes_max_) remove(std::prev(list_.end()));
  list_.push_front(kept);
  by_id_[kept->id] = list_.begin();
  bytes_ += bytes;
}

std::shared_ptr<const StoredResponse> ResponseStore::find(const std::string& id, size_t key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || (*found->second)->key != key) return nullptr;
  list_.splice(list_.begin(), list_, found->second);
  return list_.front();
}

bool ResponseStore::erase(const std::string& id, size_t key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || (*found->second)->key != key) return false;
  remove(found->second);
  return true;
}

void ResponseStore::remove(List::iterator at) {
  bytes_ -= bytes_of(**at);
  by_id_.erase((*at)->id);
  list_.erase(at);
}

}  // namespace switchyard::frontend
