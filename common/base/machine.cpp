#include "common/base/machine.h"

#include <sched.h>
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

std::vector<int> machine_cores() {
  std::vector<int> cores;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(static_cast<size_t>(core), &set)) cores.push_back(core);
    }
  }
  // Refused only on machines of more cores than the set can name.
  if (cores.empty()) cores.push_back(0);
  return cores;
}

}  // namespace switchyard
