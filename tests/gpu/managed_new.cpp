// All that `new` gives in the GPU's test binaries is managed memory, so that the kernel tests, which are written for
// any table, may hand a device their vectors.
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>

namespace {

// One arena, given out first fit by size class: tests hold little and free it all.
constexpr size_t kArenaBytes = size_t{4} << 30;
constexpr size_t kClasses = 33;

struct Arena {
  std::mutex mutex;
  char* memory = nullptr;
  size_t used = 0;
  void* free_lists[kClasses] = {};

  Arena() {
    void* data = nullptr;
    if (cudaMallocManaged(&data, kArenaBytes) == cudaSuccess) memory = static_cast<char*>(data);
    cudaGetLastError();  // without a GPU: all_tables() says so
  }
};

Arena& arena() {
  // Not destroyed: statics of others are freed after it.
  static Arena* one = new (std::malloc(sizeof(Arena))) Arena;
  return *one;
}

// A block of 2^c bytes with its class in the 256 bytes before it, which also align it.
constexpr size_t kHead = 256;

bool is_ours(const Arena& a, const void* data) {
  const auto* p = static_cast<const char*>(data);
  return a.memory != nullptr && p >= a.memory && p < a.memory + kArenaBytes;
}

void* take(size_t bytes) {
  Arena& a = arena();
  if (a.memory == nullptr) return std::malloc(bytes);
  size_t c = 9;
  while ((size_t{1} << c) < bytes + kHead) ++c;
  const std::lock_guard lock(a.mutex);
  char* block = static_cast<char*>(a.free_lists[c]);
  if (block != nullptr) {
    a.free_lists[c] = *reinterpret_cast<void**>(block);
  } else {
    if (a.used + (size_t{1} << c) > kArenaBytes) return nullptr;
    block = a.memory + a.used;
    a.used += size_t{1} << c;
  }
  *reinterpret_cast<size_t*>(block) = c;
  return block + kHead;
}

void give_back(void* data) {
  if (data == nullptr) return;
  Arena& a = arena();
  if (!is_ours(a, data)) {
    std::free(data);
    return;
  }
  char* block = static_cast<char*>(data) - kHead;
  const std::lock_guard lock(a.mutex);
  const size_t c = *reinterpret_cast<size_t*>(block);
  *reinterpret_cast<void**>(block) = a.free_lists[c];
  a.free_lists[c] = block;
}

}  // namespace

void* operator new(size_t bytes) {
  void* data = take(bytes);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}
void* operator new[](size_t bytes) { return operator new(bytes); }
void* operator new(size_t bytes, std::align_val_t) {
  return operator new(bytes);
}  // kHead aligns more than any asks for
void operator delete(void* data) noexcept { give_back(data); }
void operator delete[](void* data) noexcept { give_back(data); }
void operator delete(void* data, size_t) noexcept { give_back(data); }
void operator delete[](void* data, size_t) noexcept { give_back(data); }
void operator delete(void* data, std::align_val_t) noexcept { give_back(data); }
void operator delete(void* data, size_t, std::align_val_t) noexcept { give_back(data); }
