// Reductions over a warp and a block in one order, whatever the number of blocks. Every thread gets the result.
#pragma once

#include "kernels/cuda/grid.cuh"

namespace switchyard::kernels::cuda {

constexpr uint32_t kWarp = 32;
constexpr uint32_t kAllLanes = 0xffffffffU;

struct Sum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Most {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

template <typename T, typename Join>
__device__ inline T reduce_warp(T value, Join join) {
  for (uint32_t distance = kWarp / 2; distance != 0; distance /= 2) {
    value = join(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

// Of whole warps, at most 32 of them.
template <typename T, typename Join>
__device__ inline T reduce_block(T value, Join join) {
  __shared__ T of_warps[kWarp];
  const uint32_t warps = blockDim.x / kWarp;
  value = reduce_warp(value, join);
  __syncthreads();  // those before may still read
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = value;
  __syncthreads();
  T all = of_warps[0];
  for (uint32_t w = 1; w < warps; ++w) all = join(all, of_warps[w]);
  return all;
}

}  // namespace switchyard::kernels::cuda
