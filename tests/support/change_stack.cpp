#include "tests/support/change_stack.h"

#include <cstring>

asm(R"(
.text
.globl switchyard_change_stack
.type switchyard_change_stack, @function
switchyard_change_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size switchyard_change_stack, .-switchyard_change_stack
)");

namespace switchyard::testing {

void* new_stack(char* memory, size_t bytes, void (*enter)()) {
  // As switchyard_change_stack leaves it: six registers and the address to return to; behind it where that one would
  // return to, so that the stack is aligned as after a call, and whoever walks it finds an end.
  auto* top = reinterpret_cast<void**>(memory + bytes) - 2;
  top[0] = reinterpret_cast<void*>(enter);
  top[1] = nullptr;
  std::memset(top - 6, 0, 6 * sizeof(void*));
  return top - 6;
}

}  // namespace switchyard::testing
