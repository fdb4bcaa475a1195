// A process that must not outlive the one that started it.
#pragma once

#include <sys/types.h>

namespace switchyard {

// From now on the kernel kills this process (SIGKILL) when its parent ends, however that happens. Linux ties this to
// the parent's *thread* that forked: the launcher must fork from a thread that lives as long as itself.
// expected_parent: the parent's pid as the parent knew it, passed on the command line (--die-with-parent PID); when the
// parent is already another one, it died before this call and the process exits at once. 0: no check. Call first thing
// in main().
void die_with_parent(pid_t expected_parent);

}  // namespace switchyard
