#include "frontend/http/open_files.h"

#include <sys/resource.h>

#include "common/base/log.h"

namespace switchyard::frontend {

uint64_t raise_open_files_limit(uint64_t connections_max) {
  // Event loops, ranks, the coordinator, logs.
  constexpr uint64_t kOwnFiles = 256;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (limit.rlim_cur != limit.rlim_max && ::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  if (limit.rlim_cur < connections_max + kOwnFiles) {
    log_warn("the limit of open files has no room for frontend.max_connections",
             {{"open_files", limit.rlim_cur}, {"max_connections", connections_max}});
  }
  return limit.rlim_cur;
}

}  // namespace switchyard::frontend
