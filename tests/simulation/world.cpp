#include "tests/simulation/world.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/result.h"

namespace switchyard::simulation {
namespace {

// Between a notification and the moment in which the woken one runs.
constexpr Duration kWakeMax = std::chrono::microseconds(40);

}  // namespace

World::World() {
  SWITCHYARD_CHECK(simulated_clock == nullptr);
  simulated_clock = this;
}

World::~World() {
  for (const auto& process : std::exchange(with_fibers_, {})) kill(process);
  simulated_clock = nullptr;
}

// --- events

void World::after(Duration delay, std::function<void()> event) { after(nullptr, delay, std::move(event)); }

void World::after(const ProcessPtr& process, Duration delay, std::function<void()> event) {
  queue_.push_back({now_ + delay, ++order_, process, std::move(event)});
  std::push_heap(queue_.begin(), queue_.end(), later);
}

void World::in(ProcessPtr process, const std::function<void()>& event) {
  if (process == nullptr) return event();
  if (!process->alive_) return;
  if (process->frozen_) {
    process->held_.push_back(event);
    return;
  }
  const ProcessPtr before = std::exchange(current_, process);
  event();
  current_ = before;
  if (process->polls_ && process->alive_ && process->polls_()) {
    process->polls_ = nullptr;
    wake_at(process, now_ + process->random.between(Duration(0), kWakeMax));
  }
}

bool World::step(Time end) {
  if (queue_.empty() || queue_.front().at > end) {
    now_ = std::max(now_, end);
    return false;
  }
  std::pop_heap(queue_.begin(), queue_.end(), later);
  const Entry entry = std::move(queue_.back());
  queue_.pop_back();
  now_ = entry.at;
  ++steps_;
  in(entry.process, entry.run);
  if (check) check();
  return true;
}

// --- processes

void World::start_fiber(const ProcessPtr& process, std::function<void()> body) {
  SWITCHYARD_CHECK(process->fiber_ == nullptr);
  process->fiber_ = std::make_unique<Fiber>(std::move(body));
  with_fibers_.push_back(process);
  wake_at(process, now_);
}

void World::wake_at(const ProcessPtr& process, Time at) {
  after(process, at - now_, [this, process, wait = process->wait_] {
    if (process->wait_ == wait) resume(process);
  });
}

void World::resume(const ProcessPtr& process) {
  if (!process->fiber_ || process->fiber_->done()) return;
  ++process->wait_;
  process->waits_for_ = nullptr;
  process->polls_ = nullptr;
  process->until_ = Time::max();
  process->fiber_->resume();
}

void World::kill(const ProcessPtr& process) {
  process->alive_ = false;
  process->held_.clear();
  if (!process->fiber_) return;
  const ProcessPtr before = std::exchange(current_, process);
  process->fiber_->end();
  current_ = before;
  process->fiber_ = nullptr;
  std::erase(with_fibers_, process);
}

void World::thaw(const ProcessPtr& process) {
  if (!process->frozen_) return;
  process->frozen_ = false;
  for (auto& event : std::exchange(process->held_, {})) after(process, Duration(0), std::move(event));
}

// --- inside a fiber

void World::suspend(const ProcessPtr& process, Time until) {
  SWITCHYARD_CHECK(Fiber::running() != nullptr && Fiber::running() == process->fiber_.get());
  process->until_ = until;
  if (until < process->alarm_) alarm_at(process, until);
  Fiber::suspend();
}

// Deadlines mostly move on before they come: one event looks at them all.
void World::alarm_at(const ProcessPtr& process, Time at) {
  process->alarm_ = at;
  after(process, at - now_, [this, process, at] {
    if (process->alarm_ != at) return;
    process->alarm_ = Time::max();
    if (process->until_ <= now_) {
      resume(process);
    } else if (process->until_ != Time::max()) {
      alarm_at(process, process->until_);
    }
  });
}

void World::sleep(Duration duration) {
  const ProcessPtr process = current_;
  const auto scaled = Duration(static_cast<int64_t>(static_cast<double>(duration.count()) * process->slowness));
  const Time until = now_ + scaled;
  while (now_ < until) suspend(process, until);
}

bool World::wait_until(const std::function<bool()>& holds, Time until) {
  const ProcessPtr process = current_;
  while (!holds()) {
    if (now_ >= until) return false;
    process->polls_ = holds;
    suspend(process, until);
  }
  return true;
}

void World::wait(Condition& condition, std::unique_lock<std::mutex>& lock, std::optional<Time> until) {
  const ProcessPtr process = current_;
  process->waits_for_ = &condition;
  lock.unlock();
  suspend(process, until.value_or(Time::max()));
  lock.lock();
}

void World::notify(Condition& condition) {
  if (current_ == nullptr || current_->waits_for_ != &condition) return;
  wake_at(current_, now_ + current_->random.between(Duration(0), kWakeMax));
}

// --- what happened

void World::note(const char* what, uint32_t slot, uint64_t a, uint64_t b, uint64_t c) {
  const Event event{now_, what, slot, {a, b, c}};
  const auto mix = [this](uint64_t value) {
    hash_ = (hash_ ^ value) * 0x100000001b3U;
    hash_ ^= hash_ >> 29;
  };
  mix(static_cast<uint64_t>(now_.time_since_epoch().count()));
  for (const char* c_at = what; *c_at != 0; ++c_at) mix(static_cast<uint8_t>(*c_at));
  mix(slot);
  for (const uint64_t value : event.values) mix(value);
  kept_[noted_++ % kEventsKept] = event;
  if (on_note) on_note(event);
}

std::vector<Event> World::latest() const {
  std::vector<Event> events;
  for (uint64_t i = noted_ - std::min<uint64_t>(noted_, kEventsKept); i < noted_; ++i)
    events.push_back(kept_[i % kEventsKept]);
  return events;
}

}  // namespace switchyard::simulation
