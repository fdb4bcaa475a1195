// Several stacks in one thread: what fibers of tests are made of. x86-64, System V calling convention.
#pragma once

#include <cstddef>

// Saves what a call must keep, on the stack, and changes stacks: *old_stack takes the old stack pointer.
extern "C" void switchyard_change_stack(void** old_stack, void* new_stack);

namespace switchyard::testing {

// A stack pointer for the first change to this memory, which enters the function; it must not return.
void* new_stack(char* memory, size_t bytes, void (*enter)());

}  // namespace switchyard::testing
