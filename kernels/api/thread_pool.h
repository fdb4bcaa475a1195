// A persistent pool of worker threads for ops: fork and join, no queue.
//
// The calling (engine) thread is member 0 and takes part. Between calls members spin briefly, then sleep on a futex, so
// that an idle rank uses no CPU.
//
// Thread: run() from one thread at a time. Work must not throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace switchyard::kernels {

class ThreadPool {
 public:
  // cores: one a member, which it is pinned to (the caller at its first run()), or none.
  explicit ThreadPool(uint32_t thread_count, std::vector<int> cores = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  uint32_t size() const;

  // Calls work(context, member) on every member, 0 .. size()-1, and returns when all have returned.
  using Work = void (*)(void* context, uint32_t member);
  void run(Work work, void* context);

  // body(begin, end) over [0, count) in contiguous parts of at least `grain` items. Which member gets which part never
  // changes results.
  template <typename Body>
  void parallel_for(size_t count, size_t grain, Body&& body);

  // 64-byte aligned scratch of a member, kept between calls, grown as needed; contents undefined.
  void* scratch(uint32_t member, size_t bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

template <typename Body>
void ThreadPool::parallel_for(size_t count, size_t grain, Body&& body) {
  if (count == 0) return;
  const size_t most = (count + grain - 1) / grain;
  const size_t parts = most < size() ? most : size();
  if (parts <= 1) {
    body(size_t{0}, count);
    return;
  }
  struct Context {
    size_t count;
    size_t parts;
    std::remove_reference_t<Body>* body;
  } context{count, parts, &body};
  run(
      [](void* p, uint32_t member) {
        const auto& c = *static_cast<Context*>(p);
        if (member >= c.parts) return;
        const size_t begin = c.count * member / c.parts;
        const size_t end = c.count * (member + 1) / c.parts;
        if (begin < end) (*c.body)(begin, end);
      },
      &context);
}

}  // namespace switchyard::kernels
