// How a rank waits for another: a layer's exchange takes tens of microseconds, so it polls; then it offers its core to
// others; after a while the peer must be computing, and it sleeps between polls rather than burn its core. Nobody waits
// for a rank beyond the epoch.
#pragma once

#include <sched.h>

#include <chrono>
#include <string>
#include <thread>

#include "worker/exchange/epoch.h"

namespace switchyard::worker {

class Patience {
 public:
  Patience(std::chrono::milliseconds deadline, const Epoch& epoch) : deadline_(deadline), epoch_(epoch) {}

  // Called between polls; false once the deadline has passed or the epoch is over.
  bool wait() {
    if (++polls_ % kSpins != 0) {
      __builtin_ia32_pause();
      return true;
    }
    const auto waited = Clock::now() - start_;
    if (waited > deadline_ || epoch_.over()) return false;
    if (waited > kAwake) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    } else {
      sched_yield();
    }
    return true;
  }

  // Why wait() said no. who: "rank 2".
  Error error(const std::string& what, const std::string& who) const {
    return epoch_.over() ? epoch_.end() : Error{Errc::kTimeout, what + ": " + who + " did not answer in time"};
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kSpins = 256;  // polls before the clock is read
  static constexpr std::chrono::milliseconds kAwake{2};

  const std::chrono::milliseconds deadline_;
  const Epoch& epoch_;
  const Clock::time_point start_ = Clock::now();
  uint32_t polls_ = 0;
};

}  // namespace switchyard::worker
