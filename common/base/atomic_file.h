// Files that are written whole or not at all: without a name or under another one beside their place, synced, renamed.
//
// A writer that fails (disk full, limit of a file's size, a directory that is not there) or dies leaves what stood at
// the place before, and no unfinished file; only where the file system knows no files without names (O_TMPFILE; some
// network ones) does one that is killed leave PLACE.*.partial. Errors name the file and the system's cause. A
// place that is no regular file (a terminal, a pipe, /dev/stdout) is written to as it is, and a link stays a link.
//
// A file larger than RLIMIT_FSIZE is an error only in a process that ignores SIGXFSZ (ignore_file_size_signal()); the
// signal ends others.
//
// Thread: one. Blocks for the disk.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace switchyard {

class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path, mode_t mode = 0644);
  // Without commit(): nothing stays.
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  AtomicFile(const AtomicFile&) = delete;

  Status write(const void* data, size_t bytes);
  // The file is at its place, and on the disk. Once, as the last call.
  Status commit();

 private:
  AtomicFile(std::string path, std::string partial, bool is_named, int descriptor);
  Status put_in_place();

  std::string path_;
  std::string partial_;    // "": the place itself is written to
  bool is_named_ = false;  // there is a file at partial_
  int descriptor_ = -1;
};

// All of a small file.
Status write_file(const std::string& path, std::string_view content, mode_t mode = 0644);

// From now on a write beyond RLIMIT_FSIZE fails with an error, as one to a full disk does. Call early in main().
void ignore_file_size_signal();

}  // namespace switchyard
