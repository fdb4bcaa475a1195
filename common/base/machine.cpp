#include "common/base/machine.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace switchyard {

uint64_t machine_memory_bytes() {
  uint64_t bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  // A container sees its own control group as the root. "max" (v2) is no number; v1's "no limit" is a huge one.
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    uint64_t limit = 0;
    if (std::ifstream(path) >> limit && limit != 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

}  // namespace switchyard
