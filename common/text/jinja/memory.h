// How much a render may hold: bytes of the texts, lists, mappings and objects that it made and that are still alive.
//
// Thread: a budget belongs to one render, one thread; while the render runs, it is the thread's current one, and what
// the thread makes is counted. What is made outside of a render (a template's constants, the request's messages) is
// not: the limits on their sources bound it.
// Errors: TemplateError, before the memory is taken.
#pragma once

#include <cstddef>

namespace switchyard::text::jinja {

class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit) : limit_(limit) {}

  // Makes a budget the thread's current one.
  class Use {
   public:
    explicit Use(MemoryBudget& budget);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
  };

  // Null outside of a render.
  static MemoryBudget* current();

  // Fails where `bytes` more would be too much.
  void require(size_t bytes) const;
  void take(size_t bytes) {
    require(bytes);
    used_ += bytes;
  }
  void give(size_t bytes) { used_ -= bytes; }

 private:
  size_t limit_;
  size_t used_ = 0;
};

// Before something of a known size is made.
void require_memory(size_t bytes);

// A part of the current budget, given back at its end; of none outside of a render.
class MemoryShare {
 public:
  explicit MemoryShare(size_t bytes = 0) { grow(bytes); }
  ~MemoryShare() {
    if (budget_ != nullptr) budget_->give(bytes_);
  }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  void grow(size_t bytes) {
    if (budget_ == nullptr) return;
    budget_->take(bytes);
    bytes_ += bytes;
  }

 private:
  MemoryBudget* budget_ = MemoryBudget::current();
  size_t bytes_ = 0;
};

// About what the allocator and the reference counts add to each value on the heap.
inline constexpr size_t kValueOverheadBytes = 64;

}  // namespace switchyard::text::jinja
