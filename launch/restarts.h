// When a process that has ended is started again: after 100 ms, after twice as long each time it ends again, up to 30
// s; one that ends 8 times within 10 minutes is given up. After 10 minutes without an end it counts from the start. One
// that ended in order (it was told to) comes back after 100 ms and is not counted, unless it ran for less than a
// second.
//
// Pure: callers say what happened and when. Bounded: 8 times a process.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

namespace switchyard::launch {

class Restarts {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kDelayFirst{100};
  static constexpr std::chrono::milliseconds kDelayMax{30000};
  static constexpr std::chrono::minutes kMemory{10};
  static constexpr size_t kEndsMax = 8;                   // within kMemory
  static constexpr std::chrono::seconds kRunsAtLeast{1};  // before an end in order is believed

  // All run.
  explicit Restarts(size_t process_count) : processes_(process_count) {}

  // How long until it is to be started again; nothing: it is given up.
  std::optional<std::chrono::milliseconds> ended(size_t process, Time now, bool in_order = false);
  // A process whose time has come.
  std::optional<size_t> take_due(Time now);
  // When the next one's time comes.
  std::optional<Time> next() const;
  bool given_up(size_t process) const { return processes_.at(process).given_up; }
  // Ends that count, as of the last one.
  size_t ends(size_t process) const { return processes_.at(process).ends.size(); }
  // When it is started again; nothing: it runs, or is given up.
  std::optional<Time> due(size_t process) const { return processes_.at(process).due; }

 private:
  struct Process {
    std::optional<Time> due;
    std::optional<Time> started;  // again
    bool given_up = false;
    std::chrono::milliseconds delay = kDelayFirst;  // after the next end
    std::deque<Time> ends;                          // within kMemory
  };
  std::vector<Process> processes_;
};

}  // namespace switchyard::launch
