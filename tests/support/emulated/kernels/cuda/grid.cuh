// A small emulation of CUDA's grid, which stands in the place of kernels/cuda/grid.cuh when the tests compile the
// kernels for the CPU: blocks run one after the other, a block's threads are fibers that meet at barriers and shuffles.
// A block whose threads do not all meet aborts with the kernel's place. What a race of threads would do, it does not
// show.
//
// Thread: any, one launch at a time a thread.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "kernels/cuda/runtime.h"

#define __global__
#define __device__
#define __host__
#define __shared__ static thread_local
#define __restrict__ __restrict
#define __launch_bounds__(...)

struct dim3 {
  uint32_t x = 1, y = 1, z = 1;
  dim3(uint32_t x_ = 1, uint32_t y_ = 1, uint32_t z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

// Of the fiber that runs.
extern thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace switchyard::grid {

void block_barrier();
// Waits until all lanes of the warp have given theirs; returns what `lane` gave.
uint64_t exchange_lanes(uint64_t mine, uint32_t lane);
void* dynamic_shared();
void run(dim3 blocks, uint32_t threads, size_t shared_bytes, const std::function<void()>& kernel);

template <typename T>
T shuffle(T value, uint32_t lane) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  bits = exchange_lanes(bits, lane);
  __builtin_memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace switchyard::grid

inline void __syncthreads() { switchyard::grid::block_barrier(); }
inline void __syncwarp() { switchyard::grid::shuffle(0, 0); }
template <typename T>
T __shfl_sync(uint32_t, T value, uint32_t lane) {
  return switchyard::grid::shuffle(value, lane);
}
template <typename T>
T __shfl_xor_sync(uint32_t, T value, uint32_t mask) {
  return switchyard::grid::shuffle(value, threadIdx.x % 32 ^ mask);
}
// Sum of products of the four signed bytes of a and b, and c.
inline int32_t __dp4a(int32_t a, int32_t b, int32_t c) {
  for (int i = 0; i < 32; i += 8) c += int32_t{static_cast<int8_t>(a >> i)} * int32_t{static_cast<int8_t>(b >> i)};
  return c;
}

namespace switchyard::kernels::cuda {

template <typename T>
T* shared_memory() {
  return static_cast<T*>(grid::dynamic_shared());
}

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, uint32_t threads, size_t shared_bytes, Arguments... arguments) {
  grid::run(blocks, threads, shared_bytes, [&] { kernel(arguments...); });
}

}  // namespace switchyard::kernels::cuda
