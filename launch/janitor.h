// A helper process that removes the run directory when the launcher could not: killed by SIGKILL, it cannot clean up
// itself, and the directory holds the cluster's secret and MPI's shared memory.
//
// Thread: made before any thread and before the Supervisor, which would take it for an orphan of the cluster.
#pragma once

#include <string>

namespace switchyard::launch {

class Janitor {
 public:
  Janitor();   // starts the helper, in a session of its own; if that fails there is none, and the next start cleans up
  ~Janitor();  // ends it, and waits until it has
  Janitor(const Janitor&) = delete;
  Janitor& operator=(const Janitor&) = delete;

  // When this process is gone and the directory is still there, the helper removes it. Once.
  void watch(const std::string& directory);

 private:
  int socket_ = -1;  // to the helper; its end is how each learns that the other is gone
};

}  // namespace switchyard::launch
