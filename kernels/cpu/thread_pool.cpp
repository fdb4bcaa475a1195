#include "kernels/api/thread_pool.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/out_of_memory.h"
#include "common/base/result.h"

namespace switchyard::kernels {
namespace {

// How long a waiter spins before it sleeps. Ops follow each other within a few microseconds inside a step; machines are
// shared and ranks may outnumber cores, so that a longer spin would take time from those who work.
constexpr std::chrono::microseconds kSpinTime{30};
constexpr int kPausesPerLook = 16;

void futex_wait(std::atomic<uint32_t>& word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void futex_wake_all(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, 0x7fffffff, nullptr, nullptr, 0);
}

// True as soon as done() holds, false after kSpinTime.
template <typename Done>
bool spin_until(Done done) {
  if (done()) return true;
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      _mm_pause();
      if (done()) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

void pin_this_thread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

}  // namespace

// Padded so that what one core spins on shares no cache line with what another writes.
struct ThreadPool::State {  // NOLINT(clang-analyzer-optin.performance.Padding)
  struct alignas(64) Scratch {
    void* data = nullptr;
    size_t bytes = 0;
  };

  // A call is `generation` going up by one; it is over when `pending` is back at 0. Each is a futex word of its own
  // cache line.
  alignas(64) std::atomic<uint32_t> generation{0};
  std::atomic<uint32_t> sleepers{0};
  alignas(64) std::atomic<uint32_t> pending{0};
  std::atomic<uint32_t> caller_sleeps{0};
  alignas(64) Work work = nullptr;
  void* context = nullptr;
  bool stop = false;
  std::vector<int> cores;  // one a member, or empty
  bool caller_pinned = false;
  std::vector<Scratch> scratch;
  std::vector<std::thread> threads;

  void member_loop(uint32_t member) {
    if (!cores.empty()) pin_this_thread(cores[member]);
    uint32_t seen = 0;
    for (;;) {
      const auto called = [&] { return generation.load(std::memory_order_acquire) != seen; };
      if (!spin_until(called)) {
        // Announced before the look that futex_wait repeats: a caller that sees no sleeper has changed the word before
        // that look.
        sleepers.fetch_add(1);
        while (generation.load() == seen) futex_wait(generation, seen);
        sleepers.fetch_sub(1);
      }
      ++seen;
      if (stop) return;
      work(context, member);
      if (pending.fetch_sub(1) == 1 && caller_sleeps.load() != 0) futex_wake_all(pending);
    }
  }

  void call() {
    generation.fetch_add(1);
    if (sleepers.load() != 0) futex_wake_all(generation);
  }
};

ThreadPool::ThreadPool(uint32_t thread_count, std::vector<int> cores) : state_(std::make_unique<State>()) {
  SWITCHYARD_CHECK(thread_count >= 1 && (cores.empty() || cores.size() == thread_count));
  state_->cores = std::move(cores);
  state_->scratch.resize(thread_count);
  for (uint32_t member = 1; member < thread_count; ++member) {
    state_->threads.emplace_back([state = state_.get(), member] { state->member_loop(member); });
  }
}

ThreadPool::~ThreadPool() {
  state_->stop = true;
  state_->call();
  for (std::thread& thread : state_->threads) thread.join();
  for (State::Scratch& scratch : state_->scratch) std::free(scratch.data);
}

uint32_t ThreadPool::size() const { return static_cast<uint32_t>(state_->scratch.size()); }

void ThreadPool::run(Work work, void* context) {
  State& s = *state_;
  if (!s.cores.empty() && !s.caller_pinned) {
    pin_this_thread(s.cores[0]);
    s.caller_pinned = true;
  }
  if (s.threads.empty()) {
    work(context, 0);
    return;
  }
  s.work = work;
  s.context = context;
  s.pending.store(static_cast<uint32_t>(s.threads.size()));
  s.call();
  work(context, 0);
  const auto done = [&] { return s.pending.load(std::memory_order_acquire) == 0; };
  if (spin_until(done)) return;
  s.caller_sleeps.store(1);
  for (uint32_t left = s.pending.load(); left != 0; left = s.pending.load()) futex_wait(s.pending, left);
  s.caller_sleeps.store(0);
}

void* ThreadPool::scratch(uint32_t member, size_t bytes) {
  State::Scratch& scratch = state_->scratch[member];
  if (scratch.bytes < bytes) {
    // Grown by half at least, so that a slowly growing batch does not allocate at each step.
    const size_t wanted = std::max(bytes, scratch.bytes + scratch.bytes / 2);
    const size_t rounded = (wanted + 4095) / 4096 * 4096;
    std::free(scratch.data);
    scratch.data = std::aligned_alloc(64, rounded);
    if (scratch.data == nullptr) out_of_memory(rounded);
    scratch.bytes = rounded;
  }
  return scratch.data;
}

}  // namespace switchyard::kernels
