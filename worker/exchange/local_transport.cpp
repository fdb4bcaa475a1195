// Ranks as threads: each rank publishes where its bytes lie, all meet, each copies its own share, all meet again.
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>

#include "worker/exchange/transport.h"

namespace switchyard::worker {
namespace {

class SingleTransport final : public Transport {
 public:
  const char* name() const override { return "local"; }
  uint32_t rank() const override { return 0; }
  uint32_t size() const override { return 1; }
  Status all_gather(const void* send, size_t bytes, void* recv) override {
    if (bytes != 0) std::memcpy(recv, send, bytes);
    return {};
  }
  Status all_to_all(const void* send, const uint32_t* send_offsets, void* recv, const uint32_t* recv_offsets,
                    size_t item_bytes) override {
    const size_t bytes = (send_offsets[1] - send_offsets[0]) * item_bytes;
    if (bytes != 0) {
      std::memcpy(static_cast<std::byte*>(recv) + recv_offsets[0] * item_bytes,
                  static_cast<const std::byte*>(send) + send_offsets[0] * item_bytes, bytes);
    }
    return {};
  }
};

struct Published {
  const void* data = nullptr;
  const uint32_t* offsets = nullptr;
};

// What the ranks of one process share.
struct Group {
  Group(uint32_t n, uint32_t ms, Epoch e) : published(n), arrived_at(n, 0), deadline(ms), epoch(e) {}

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Published> published;
  std::vector<uint64_t> arrived_at;  // meetings each rank has come to
  std::chrono::milliseconds deadline;
  const Epoch epoch;
  std::string failure;

  // Returns once every rank has come to its `meeting`-th meeting.
  Status meet(uint32_t rank, uint64_t meeting) {
    std::unique_lock lock(mutex);
    arrived_at[rank] = meeting;
    changed.notify_all();
    const auto all_here = [&] {
      for (const uint64_t at : arrived_at) {
        if (at < meeting) return false;
      }
      return true;
    };
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!all_here() && failure.empty() && !epoch.over() && std::chrono::steady_clock::now() < end)
      changed.wait_for(lock, std::chrono::milliseconds(1));  // nobody announces an epoch's end here
    if (!all_here() && failure.empty() && epoch.over()) return epoch.end();
    if (failure.empty() && !all_here()) {
      for (size_t r = 0; r < arrived_at.size(); ++r) {
        if (arrived_at[r] < meeting) failure += (failure.empty() ? "late: rank " : ", rank ") + std::to_string(r);
      }
      changed.notify_all();
    }
    if (!failure.empty()) return Error{Errc::kTimeout, failure};
    return {};
  }
};

class LocalTransport final : public Transport {
 public:
  LocalTransport(std::shared_ptr<Group> group, uint32_t rank) : group_(std::move(group)), rank_(rank) {}
  const char* name() const override { return "local"; }
  uint32_t rank() const override { return rank_; }
  uint32_t size() const override { return static_cast<uint32_t>(group_->published.size()); }

  Status all_gather(const void* send, size_t bytes, void* recv) override {
    publish(send, nullptr);
    SWITCHYARD_TRY(group_->meet(rank_, ++meetings_));
    for (uint32_t r = 0; r < size(); ++r) {
      if (bytes != 0) std::memcpy(static_cast<std::byte*>(recv) + r * bytes, group_->published[r].data, bytes);
    }
    return group_->meet(rank_, ++meetings_);
  }

  Status all_to_all(const void* send, const uint32_t* send_offsets, void* recv, const uint32_t* recv_offsets,
                    size_t item_bytes) override {
    publish(send, send_offsets);
    SWITCHYARD_TRY(group_->meet(rank_, ++meetings_));
    for (uint32_t s = 0; s < size(); ++s) {
      const Published& from = group_->published[s];
      const size_t items = from.offsets[rank_ + 1] - from.offsets[rank_];
      SWITCHYARD_CHECK(items == recv_offsets[s + 1] - recv_offsets[s]);
      if (items == 0) continue;
      std::memcpy(static_cast<std::byte*>(recv) + recv_offsets[s] * item_bytes,
                  static_cast<const std::byte*>(from.data) + from.offsets[rank_] * item_bytes, items * item_bytes);
    }
    return group_->meet(rank_, ++meetings_);
  }

 private:
  void publish(const void* data, const uint32_t* offsets) {
    const std::lock_guard lock(group_->mutex);
    group_->published[rank_] = {data, offsets};
  }

  std::shared_ptr<Group> group_;
  uint32_t rank_;
  uint64_t meetings_ = 0;
};

}  // namespace

std::unique_ptr<Transport> make_single_transport() { return std::make_unique<SingleTransport>(); }

std::vector<std::unique_ptr<Transport>> make_local_transports(uint32_t size, uint32_t deadline_ms, Epoch epoch) {
  auto group = std::make_shared<Group>(size, deadline_ms, epoch);
  std::vector<std::unique_ptr<Transport>> transports;
  for (uint32_t r = 0; r < size; ++r) transports.push_back(std::make_unique<LocalTransport>(group, r));
  return transports;
}

}  // namespace switchyard::worker
