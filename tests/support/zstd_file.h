// Test data that is stored compressed.
#pragma once

#include <string>

namespace switchyard::testing {

// The decompressed bytes of a .zst file, at most 256 MB. Throws std::runtime_error with the path when it cannot be
// read.
std::string read_zstd_file(const std::string& path);

}  // namespace switchyard::testing
