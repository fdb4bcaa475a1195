#include "kernels/api/device.h"

#include <cuda_runtime.h>

#include <string>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/table.h"

namespace switchyard::kernels {

Result<const OpTable*> cuda_backend(uint32_t gpu) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return Error{Errc::kUnavailable, std::string("CUDA: ") + cudaGetErrorString(error)};
  cudaDeviceProp device{};
  const int index = static_cast<int>(gpu);
  if (index >= count || cudaSetDevice(index) != cudaSuccess || cudaGetDeviceProperties(&device, index) != cudaSuccess) {
    return Error{Errc::kUnavailable, "CUDA: there is no GPU " + std::to_string(gpu) + ", of " + std::to_string(count)};
  }
  if (device.major != 9 || device.minor != 0) {
    return Error{Errc::kUnavailable, std::string("CUDA: ") + device.name + " is of compute capability " +
                                         std::to_string(device.major) + "." + std::to_string(device.minor) +
                                         "; these programs are for 9.0"};
  }
  return &cuda::kTable;
}

DeviceMemory cuda_memory() {
  size_t free = 0;
  size_t total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return {};
  return {total, free, cuda::kStagingBytes};
}

}  // namespace switchyard::kernels
