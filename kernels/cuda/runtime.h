// What the ops need of the device beside kernels: memory, one stream, and the way to and from the host.
//
// Device memory is managed: the host may touch it when finish() has returned, and only then. All ops of a process run
// in order on one stream.
//
// Thread: the engine thread. Errors of the device are fatal for the rank (architecture.md, failure model): they abort
// with CUDA's message.
#pragma once

#include <cstddef>

namespace switchyard::kernels::cuda {

// As the op table says.
void* allocate(size_t bytes);
void release(void* data, size_t bytes);
void finish();

// The ops' stream (cudaStream_t).
void* stream();
void check_launch();

// Device copies of what the host chose for one op: lists of rows, ids, offsets. Valid for kernels launched before the
// next kStagingBytes have been staged.
constexpr size_t kStagingBytes = size_t{64} << 20;
void* stage(const void* host, size_t bytes);
template <typename T>
const T* stage(const T* host, size_t count) {
  return static_cast<const T*>(stage(static_cast<const void*>(host), count * sizeof(T)));
}

// Device memory of one op, contents undefined; the next op may have it. Grows.
void* scratch(size_t bytes);

// Waits for all ops before, then copies.
void copy_to_host(void* host, const void* device, size_t bytes);

}  // namespace switchyard::kernels::cuda
