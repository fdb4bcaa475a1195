#include "tests/simulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "tests/support/change_stack.h"

namespace switchyard::simulation {
namespace {

constexpr size_t kStackBytes = 512 << 10;
constexpr size_t kGuardBytes = 4096;

Fiber* current = nullptr;
std::vector<char*> free_stacks;

char* take_stack() {
  if (!free_stacks.empty()) {
    char* const memory = free_stacks.back();
    free_stacks.pop_back();
    return memory;
  }
  void* const memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SWITCHYARD_CHECK(memory != MAP_FAILED);
  SWITCHYARD_CHECK(mprotect(memory, kGuardBytes, PROT_NONE) == 0);
  return static_cast<char*>(memory);
}

}  // namespace

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)), memory_(take_stack()) {
  inside_ = testing::new_stack(memory_, kStackBytes, &Fiber::enter);
}

Fiber::~Fiber() {
  end();
  free_stacks.push_back(memory_);
}

void Fiber::enter() {
  current->run();
  SWITCHYARD_CHECK(false);  // nobody resumes what is done
}

void Fiber::run() {
  try {
    if (!ending_) body_();
  } catch (const Ended&) {
  }
  done_ = true;
  suspend();
}

void Fiber::resume() {
  SWITCHYARD_CHECK(current == nullptr && !done_);
  current = this;
  switchyard_change_stack(&outside_, inside_);
  current = nullptr;
}

void Fiber::end() {
  ending_ = true;
  if (!done_) resume();
  SWITCHYARD_CHECK(done_);
}

void Fiber::suspend() {
  Fiber* const fiber = current;
  switchyard_change_stack(&fiber->inside_, fiber->outside_);
  if (fiber->ending_ && !fiber->done_) throw Ended{};
}

Fiber* Fiber::running() { return current; }

}  // namespace switchyard::simulation
