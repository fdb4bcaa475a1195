// The op tables of devices other than the CPU.
#pragma once

#include "common/base/result.h"
#include "kernels/api/ops.h"

namespace switchyard::kernels {

// CUDA's, on one of this process's GPUs, which stays the process's. Fails with kUnavailable and the reason: built
// without CUDA, no driver, no such GPU, one of another architecture.
Result<const OpTable*> cuda_backend(uint32_t gpu);

}  // namespace switchyard::kernels
