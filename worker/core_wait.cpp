#include "worker/core_wait.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/base/clock.h"

namespace switchyard::worker {

double CoreWait::seconds() {
  if (simulated_clock != nullptr) return 0;
  std::map<int, uint64_t> now;
  uint64_t most = 0;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::FILE* file = std::fopen((task.path() / "schedstat").c_str(), "r");
    if (file == nullptr) continue;  // it has ended, or there are none
    unsigned long long ran = 0;
    unsigned long long waited = 0;
    if (std::fscanf(file, "%llu %llu", &ran, &waited) == 2) {
      const int thread = std::atoi(task.path().filename().c_str());
      const auto before = seen_.find(thread);
      if (before != seen_.end() && waited > before->second) most = std::max<uint64_t>(most, waited - before->second);
      now.emplace(thread, waited);
    }
    std::fclose(file);
  }
  seen_ = std::move(now);
  total_ += most;
  return 1e-9 * static_cast<double>(total_);
}

}  // namespace switchyard::worker
