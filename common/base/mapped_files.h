// Who is behind a mapped address, for the moment in which reading it fails.
//
// A file that is cut short while it is mapped, or whose disk fails, ends the reader with SIGBUS. A process that names
// its mappings here, and has called end_with_file_name(), ends with a line that names the file:
//   fatal: rank 2: /models/m/model.safetensors was truncated while it was mapped: 512 of 4096 bytes are left
//
// Thread: any. Bounded: the first kMappedFilesMax mappings are known, others are nameless.
#pragma once

#include <cstddef>
#include <string>

namespace switchyard {

inline constexpr size_t kMappedFilesMax = 4096;

// Known while the object lives. path: as in a message; it is looked up in the file system when the signal comes.
class MappedName {
 public:
  MappedName() = default;
  // file_bytes: of the whole file, while it is as it was when it was mapped.
  MappedName(const void* begin, size_t bytes, const std::string& path, size_t file_bytes);
  ~MappedName();
  MappedName(MappedName&& other) noexcept;
  MappedName& operator=(MappedName&& other) noexcept;
  MappedName(const MappedName&) = delete;
  MappedName& operator=(const MappedName&) = delete;

 private:
  int slot_ = -1;
};

// From now on SIGBUS ends this process with exit code 1 and a last line on stderr, of which `who` is a part.
void end_with_file_name(const std::string& who);

}  // namespace switchyard
