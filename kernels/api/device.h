// The op tables of devices other than the CPU.
#pragma once

#include "common/base/result.h"
#include "kernels/api/ops.h"

namespace switchyard::kernels {

// CUDA's, on one of this process's GPUs, which stays the process's. Fails with kUnavailable and the reason: built
// without CUDA, no driver, no such GPU, one of another architecture.
Result<const OpTable*> cuda_backend(uint32_t gpu);

// Bytes of the process's GPU, after cuda_backend().
struct DeviceMemory {
  uint64_t total = 0;
  uint64_t free = 0;
  uint64_t ops = 0;  // what the ops keep for themselves
};
DeviceMemory cuda_memory();

}  // namespace switchyard::kernels
