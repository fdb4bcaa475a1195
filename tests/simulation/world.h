// Simulated time: one queue of events, in which processes live, wait, freeze and die. While a World exists it is the
// clock of its thread (common/base/clock.h), and what runs in it runs one event at a time, in an order that the seed
// alone decides.
//
// A process is what its events do; blocking code in it (a rank's engine thread) is a fiber. A frozen process's events
// wait until it goes on, a dead one's are forgotten.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "tests/simulation/fiber.h"
#include "tests/simulation/random.h"

namespace switchyard::simulation {

class Process {
 public:
  Process(uint32_t slot_index, std::string process_name, Random own)
      : slot(slot_index), name(std::move(process_name)), random(own) {}

  const uint32_t slot;     // the machine, so to speak: processes live there one after the other
  const std::string name;  // "rank 1"
  Random random;           // for what happens in it
  double slowness = 1;

  bool alive() const { return alive_; }
  bool frozen() const { return frozen_; }

 private:
  friend class World;
  bool alive_ = true;
  bool frozen_ = false;
  std::vector<std::function<void()>> held_;  // while frozen
  std::unique_ptr<Fiber> fiber_;
  uint64_t wait_ = 0;                     // counts the fiber's waits; a wake-up of an earlier one is stale
  const Condition* waits_for_ = nullptr;  // the fiber
  std::function<bool()> polls_;           // likewise
  Time until_ = Time::max();              // of the wait
  Time alarm_ = Time::max();              // when somebody looks at until_
};
using ProcessPtr = std::shared_ptr<Process>;

// One thing that happened, cheap to note: text is made of it only for people.
struct Event {
  Time at{};
  const char* what = "";
  uint32_t slot = 0;  // where
  std::array<uint64_t, 3> values{};
};

class World final : public Clock {
 public:
  static constexpr size_t kEventsKept = 64;

  World();
  ~World() override;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Time now() const override { return now_; }
  double seconds() const { return std::chrono::duration<double>(now_.time_since_epoch()).count(); }

  // --- events
  void after(Duration delay, std::function<void()> event);  // of nobody
  void after(const ProcessPtr& process, Duration delay, std::function<void()> event);
  // At once, unless it is frozen or dead.
  void in(ProcessPtr process, const std::function<void()>& event);
  // Runs the next event; false when there is none before the end.
  bool step(Time end);
  uint64_t steps() const { return steps_; }
  // Called after every event.
  std::function<void()> check;

  // --- processes
  // The process that the running event belongs to; null: nobody's.
  const ProcessPtr& current() const { return current_; }
  void start_fiber(const ProcessPtr& process, std::function<void()> body);
  // Its fiber is unwound, its events are forgotten.
  void kill(const ProcessPtr& process);
  // From its own fiber, at its end.
  void leave(const ProcessPtr& process) { process->alive_ = false; }
  void freeze(const ProcessPtr& process) { process->frozen_ = true; }
  void thaw(const ProcessPtr& process);

  // --- inside a fiber
  // A slow process takes longer.
  void sleep(Duration duration);
  // Until it holds, which is looked at after every event of the process; false: the time is up.
  bool wait_until(const std::function<bool()>& holds, Time until);
  void wait(Condition& condition, std::unique_lock<std::mutex>& lock, std::optional<Time> until) override;
  void notify(Condition& condition) override;

  // --- what happened
  void note(const char* what, uint32_t slot, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0);
  // Of all notes so far: the same seed gives the same.
  uint64_t hash() const { return hash_; }
  std::vector<Event> latest() const;
  std::function<void(const Event&)> on_note;  // for people who want to see all

 private:
  struct Entry {
    Time at{};
    uint64_t order = 0;
    ProcessPtr process;  // null: nobody's
    std::function<void()> run;
  };
  static bool later(const Entry& a, const Entry& b) { return std::pair(a.at, a.order) > std::pair(b.at, b.order); }

  void wake_at(const ProcessPtr& process, Time at);
  void suspend(const ProcessPtr& process, Time until);
  void alarm_at(const ProcessPtr& process, Time at);
  void resume(const ProcessPtr& process);

  Time now_{std::chrono::seconds(1000)};  // 0 means never to some
  uint64_t order_ = 0;
  uint64_t steps_ = 0;
  std::vector<Entry> queue_;  // a heap
  ProcessPtr current_;
  std::vector<ProcessPtr> with_fibers_;
  uint64_t hash_ = 0xcbf29ce484222325U;
  uint64_t noted_ = 0;
  std::array<Event, kEventsKept> kept_;
};

}  // namespace switchyard::simulation
