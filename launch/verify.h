// `switchyard verify`: a checkpoint's files against the checksums that were given with them.
//
// Thread: one. Blocks until every file has been read.
#pragma once

#include <string>

#include "common/base/result.h"

namespace switchyard::launch {

struct VerifyOptions {
  std::string model;   // directory
  bool write = false;  // make SHA256SUMS of what is there
};

// Prints a line a file, as `sha256sum -c` does. The error names what is wrong: a file, or the checkpoint as a whole,
// whose headers are checked as at a start.
Status run_verify(const VerifyOptions& options);

}  // namespace switchyard::launch
