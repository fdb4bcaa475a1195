// Who tells whom that a burst begins: a rank with work asks the first rank of its epoch, and that tells all, once a
// burst. Over the ranks' ordinary connections (common/net), so that an idle group costs nothing.
//
// Thread: any. The callback comes without locks held, on the net thread or on that of ask().
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/net/net.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::worker {

class BurstRelay {
 public:
  using Begin = std::function<void(uint64_t epoch, uint64_t burst)>;

  BurstRelay(net::Service& net, Begin begin) : net_(net), begin_(std::move(begin)) {}

  // From now on the epoch's first rank is at this address, or is this one (host "").
  void enter(uint64_t epoch, const std::string& host, uint16_t port);
  void ask(uint64_t epoch, uint64_t burst);
  // Of a rank that takes this one for the first: burst 0 says only that it is here.
  void on_step_begin(const net::ConnectionPtr& from, const wire::StepBegin& frame);
  void on_gone(const net::ConnectionPtr& peer);

 private:
  using Burst = std::pair<uint64_t, uint64_t>;  // epoch, number

  void relay(const Burst& burst, std::unique_lock<std::mutex>& lock);
  static void send(const net::ConnectionPtr& to, const Burst& burst);

  net::Service& net_;
  const Begin begin_;
  std::mutex mutex_;  // guards what follows
  uint64_t epoch_ = 0;
  bool is_first_ = false;
  net::Service::Id connector_ = 0;
  net::ConnectionPtr first_;
  std::vector<net::ConnectionPtr> peers_;
  Burst asked_{0, 0}, told_{0, 0};
};

}  // namespace switchyard::worker
