// What this process may use of the machine.
#pragma once

#include <cstdint>
#include <vector>

namespace switchyard {

// Bytes of memory: the machine's, or the limit of this process's control group (v2 or v1) where that is lower.
// Thread: any.
uint64_t machine_memory_bytes();

// The cores that this process may run on, ascending; never empty. Thread: any.
std::vector<int> machine_cores();

}  // namespace switchyard
