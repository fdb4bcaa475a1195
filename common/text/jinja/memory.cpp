#include "common/text/jinja/memory.h"

#include <fmt/format.h>

#include "common/text/jinja/value.h"

namespace switchyard::text::jinja {
namespace {

thread_local MemoryBudget* current_budget = nullptr;

}  // namespace

MemoryBudget::Use::Use(MemoryBudget& budget) { current_budget = &budget; }
MemoryBudget::Use::~Use() { current_budget = nullptr; }

MemoryBudget* MemoryBudget::current() { return current_budget; }

void MemoryBudget::require(size_t bytes) const {
  if (bytes > limit_ - used_) {
    fail(fmt::format("MemoryError: the template holds more than {} MiB of text and lists", limit_ >> 20));
  }
}

void require_memory(size_t bytes) {
  if (current_budget != nullptr) current_budget->require(bytes);
}

}  // namespace switchyard::text::jinja
