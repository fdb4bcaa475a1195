// Time, and waiting for it or for others, as one thing that a test can put another in the place of: a whole cluster
// then runs in one thread over a time of its own (tests/simulation). Everything that decides by the clock or sleeps in
// the coordinator, in a frontend's routing or in a rank asks here.
//
// Thread: any. What replaces the real clock does so for its own thread alone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

namespace switchyard {

using Time = std::chrono::steady_clock::time_point;

class Condition;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  // As Condition's, which call them.
  virtual void wait(Condition& condition, std::unique_lock<std::mutex>& lock, std::optional<Time> until) = 0;
  virtual void notify(Condition& condition) = 0;
};

// Of this thread; null: the real one.
inline constinit thread_local Clock* simulated_clock = nullptr;

inline Time now() { return simulated_clock == nullptr ? std::chrono::steady_clock::now() : simulated_clock->now(); }

inline double now_seconds() { return std::chrono::duration<double>(now().time_since_epoch()).count(); }

// std::condition_variable under this clock. Waits may return before they were notified.
class Condition {
 public:
  void wait(std::unique_lock<std::mutex>& lock) {
    if (simulated_clock != nullptr) return simulated_clock->wait(*this, lock, std::nullopt);
    real_.wait(lock);
  }
  template <typename Done>
  void wait(std::unique_lock<std::mutex>& lock, Done done) {
    while (!done()) wait(lock);
  }
  // What done() says once it is true, or the time is up.
  template <typename Done>
  bool wait_for(std::unique_lock<std::mutex>& lock, std::chrono::steady_clock::duration duration, Done done) {
    const Time until = now() + duration;
    while (!done()) {
      if (now() >= until) return done();
      if (simulated_clock != nullptr) {
        simulated_clock->wait(*this, lock, until);
      } else {
        real_.wait_until(lock, until);
      }
    }
    return true;
  }
  void notify_all() {
    if (simulated_clock != nullptr) return simulated_clock->notify(*this);
    real_.notify_all();
  }

 private:
  std::condition_variable real_;
};

}  // namespace switchyard
