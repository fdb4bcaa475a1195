// Room for connections: each is an open file of the process.
#pragma once

#include <cstdint>

namespace switchyard::frontend {

// Raises the process's soft limit of open files to its hard one, and warns when even that has no room for so many
// connections; those beyond it wait to be accepted until others close. Nothing here waits with select(), which knows
// only 1024 files. Returns the limit in force. Thread: any.
uint64_t raise_open_files_limit(uint64_t connections_max);

}  // namespace switchyard::frontend
