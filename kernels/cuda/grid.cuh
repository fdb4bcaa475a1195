// What a kernel's source takes from CUDA beyond the language: launching. The tests compile the same sources against
// an emulation of the grid that stands in this file's place (tests/support/emulated).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/runtime.h"

namespace switchyard::kernels::cuda {

// Dynamic shared memory of the block, as many bytes as it was launched with.
template <typename T>
__device__ inline T* shared_memory() {
  extern __shared__ __align__(16) unsigned char switchyard_shared[];
  return reinterpret_cast<T*>(switchyard_shared);
}

// kernel<<<blocks, threads, shared_bytes>>>(arguments...) on the ops' stream; a refused launch is a bug and aborts.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, uint32_t threads, size_t shared_bytes, Arguments... arguments) {
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return;
  kernel<<<blocks, threads, shared_bytes, static_cast<cudaStream_t>(stream())>>>(arguments...);
  check_launch();
}

}  // namespace switchyard::kernels::cuda
