// What tells one model's files from another's (Checkpoint::fingerprint()).
//
// Thread: one. Reads the headers, and 64 pages a file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/safetensors.h"

namespace switchyard::checkpoint {

// files: the directory's, each with a header that could be read.
Result<std::string> fingerprint_of(const std::string& directory, std::vector<std::shared_ptr<const MappedFile>> files);

}  // namespace switchyard::checkpoint
