// How a rank waits for another: a layer's exchange takes tens of microseconds, so it polls; then it offers its core to
// others; after a while the peer must be computing, and it sleeps between polls rather than burn its core.
#pragma once

#include <sched.h>

#include <chrono>
#include <thread>

namespace switchyard::worker {

class Patience {
 public:
  explicit Patience(std::chrono::milliseconds deadline) : deadline_(deadline) {}

  // Called between polls; false once the deadline has passed.
  bool wait() {
    if (++polls_ % kSpins != 0) {
      __builtin_ia32_pause();
      return true;
    }
    const auto waited = Clock::now() - start_;
    if (waited > deadline_) return false;
    if (waited > kAwake) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    } else {
      sched_yield();
    }
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kSpins = 256;  // polls before the clock is read
  static constexpr std::chrono::milliseconds kAwake{2};

  const std::chrono::milliseconds deadline_;
  const Clock::time_point start_ = Clock::now();
  uint32_t polls_ = 0;
};

}  // namespace switchyard::worker
