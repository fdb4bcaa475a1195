// kernels/cuda/runtime.h where the device is the host itself, and every op is done when it returns.
#include "kernels/cuda/runtime.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace switchyard::kernels::cuda {
namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Memory = std::unique_ptr<void, Free>;
Memory zeroed(size_t bytes) {
  const size_t size = (bytes + 255) / 256 * 256 + 256;
  Memory memory(std::aligned_alloc(256, size));
  std::memset(memory.get(), 0, size);
  return memory;
}

// As on the device, staged lists are found broken when they are used after their time: here after kKept others.
constexpr size_t kKept = 64;
thread_local std::vector<Memory> staged;
thread_local size_t next_staged = 0;
thread_local Memory scratch_memory;
thread_local size_t scratch_bytes = 0;

}  // namespace

void* allocate(size_t bytes) { return zeroed(bytes).release(); }
void release(void* data, size_t) { std::free(data); }
void* stream() { return nullptr; }
void check_launch() {}

void* stage(const void* host, size_t bytes) {
  staged.resize(kKept);
  Memory& memory = staged[next_staged++ % kKept];
  memory = zeroed(bytes);
  if (bytes != 0) std::memcpy(memory.get(), host, bytes);
  return memory.get();
}

void* scratch(size_t bytes) {
  if (bytes > scratch_bytes) {
    scratch_memory = zeroed(bytes);
    scratch_bytes = bytes;
  }
  std::memset(scratch_memory.get(), 0xff, bytes);
  return scratch_memory.get();
}

void copy_to_host(void* host, const void* device, size_t bytes) { std::memcpy(host, device, bytes); }
void finish() {}

}  // namespace switchyard::kernels::cuda
