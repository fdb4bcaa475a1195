// When a worker group whose job has ended is started again: after 1 s, after twice as long each time it ends again, up
// to 30 s; a group that ends 5 times within 10 minutes is given up. After 10 minutes without an end it counts from the
// start.
//
// Pure: callers say what happened and when. Bounded: 5 times a group.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace switchyard::launch {

class GroupRestarts {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kDelayFirst{1000};
  static constexpr std::chrono::milliseconds kDelayMax{30000};
  static constexpr std::chrono::minutes kMemory{10};
  static constexpr size_t kEndsMax = 5;  // within kMemory

  // All run.
  explicit GroupRestarts(uint32_t group_count) : groups_(group_count) {}

  // How long until it is to be started again; nothing: it is given up.
  std::optional<std::chrono::milliseconds> ended(uint32_t group, Time now);
  // A group whose time has come, which runs from here on.
  std::optional<uint32_t> take_due(Time now);
  // When the next one's time comes.
  std::optional<Time> next() const;
  bool any_runs() const;

 private:
  struct Group {
    bool runs = true;
    std::optional<Time> due;
    std::chrono::milliseconds delay = kDelayFirst;  // after the next end
    std::deque<Time> ends;                          // within kMemory
  };
  std::vector<Group> groups_;
};

}  // namespace switchyard::launch
