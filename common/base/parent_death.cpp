#include "common/base/parent_death.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace switchyard {

void die_with_parent(pid_t expected_parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died between fork and prctl: then we already belong to init or a subreaper, and no signal would
  // come.
  if (expected_parent != 0 && getppid() != expected_parent) _exit(1);
}

}  // namespace switchyard
