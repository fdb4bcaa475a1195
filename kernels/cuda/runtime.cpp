#include "kernels/cuda/runtime.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/base/result.h"

namespace switchyard::kernels::cuda {
namespace {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "CUDA: %s: %s\n", what, cudaGetErrorString(error));
  std::abort();
}

struct State {
  cudaStream_t stream = nullptr;
  // The same offsets in pinned host memory and on the device.
  char* staging_host = nullptr;
  char* staging_device = nullptr;
  size_t staged = 0;
  void* scratch = nullptr;
  size_t scratch_bytes = 0;

  State() {
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    check(cudaMallocHost(reinterpret_cast<void**>(&staging_host), kStagingBytes), "cudaMallocHost");
    check(cudaMalloc(reinterpret_cast<void**>(&staging_device), kStagingBytes), "cudaMalloc");
  }
};

State& state() {
  static State one;
  return one;
}

}  // namespace

void* allocate(size_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaMallocManaged(&data, bytes == 0 ? 1 : bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky
    return nullptr;
  }
  check(error, "cudaMallocManaged");
  check(cudaMemset(data, 0, bytes), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  return data;
}

void release(void* data, size_t) {
  finish();
  check(cudaFree(data), "cudaFree");
}

void* stream() { return state().stream; }

void check_launch() { check(cudaGetLastError(), "a kernel was not launched"); }

void* stage(const void* host, size_t bytes) {
  State& s = state();
  SWITCHYARD_CHECK(bytes <= kStagingBytes);
  if (s.staged + bytes > kStagingBytes) {
    finish();
    s.staged = 0;
  }
  const size_t at = s.staged;
  s.staged += (bytes + 255) / 256 * 256;
  if (bytes != 0) {
    std::memcpy(s.staging_host + at, host, bytes);
    check(cudaMemcpyAsync(s.staging_device + at, s.staging_host + at, bytes, cudaMemcpyHostToDevice, s.stream),
          "cudaMemcpyAsync");
  }
  return s.staging_device + at;
}

void* scratch(size_t bytes) {
  State& s = state();
  if (bytes > s.scratch_bytes) {
    finish();
    check(cudaFree(s.scratch), "cudaFree");
    check(cudaMalloc(&s.scratch, bytes), "cudaMalloc");
    s.scratch_bytes = bytes;
  }
  return s.scratch;
}

void copy_to_host(void* host, const void* device, size_t bytes) {
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, state().stream), "cudaMemcpyAsync");
  finish();
}

void finish() { check(cudaStreamSynchronize(state().stream), "an op failed on the device"); }

}  // namespace switchyard::kernels::cuda
