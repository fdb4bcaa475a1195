// How long the process's threads could have run and had no core, since others had them: what a rank's steps took beyond
// their own work on a machine that is too busy.
//
// Thread: one. Reads the second number of /proc/self/task/*/schedstat (nanoseconds on a run queue:
// https://docs.kernel.org/scheduler/sched-stats.html); 0 where the kernel keeps none.
#pragma once

#include <cstdint>
#include <map>

namespace switchyard::worker {

class CoreWait {
 public:
  // Since the start: of each span between two calls, what the thread waited that waited longest.
  double seconds();

 private:
  std::map<int, uint64_t> seen_;  // by thread, ns
  uint64_t total_ = 0;
};

}  // namespace switchyard::worker
