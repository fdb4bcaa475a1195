// The private directory of one running cluster: its resolved YAML, its secret, the temporary files of MPI.
//
// Thread: any. A directory is held by a file lock of the launcher, so that one whose launcher was killed is known as
// stale, and removed by the next start.
#pragma once

#include <string>

#include "common/base/result.h"

namespace switchyard::launch {

class RunDirectory {
 public:
  // Makes BASE/switchyard-XXXXXX, mode 0700. base "": $XDG_RUNTIME_DIR, else /dev/shm, else /tmp: memory rather than
  // disk, since MPI's shared segments lie here too. Removes stale ones of this user there.
  static Result<RunDirectory> make(const std::string& base);
  RunDirectory(RunDirectory&& other) noexcept;
  RunDirectory& operator=(RunDirectory&&) = delete;
  ~RunDirectory();  // removes it

  const std::string& path() const { return path_; }
  // Writes a file of mode 0600 into it; gives its path.
  Result<std::string> write(const std::string& name, const std::string& content) const;
  // Makes an empty directory in it, of mode 0700; what was there under the name is removed.
  Status make_empty(const std::string& name) const;

 private:
  RunDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_ = -1;
};

}  // namespace switchyard::launch
