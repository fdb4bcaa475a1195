#include <sys/mman.h>

#include "kernels/cpu/tables.h"

namespace switchyard::kernels::cpu {

void* allocate(size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  madvise(data, bytes, MADV_HUGEPAGE);
  return data;
}

void release(void* data, size_t bytes) { munmap(data, bytes); }

void finish() {}

}  // namespace switchyard::kernels::cpu
