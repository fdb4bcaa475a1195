#include "common/base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace switchyard {
namespace {

namespace fs = std::filesystem;

Error cannot_write(const std::string& path, int cause) {
  return {Errc::kIo, fmt::format("cannot write {}: {}", path, std::strerror(cause))};
}

std::string directory_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// A rename is on the disk when the directory is; file systems that cannot sync one say so, and are left to themselves.
void sync_directory(const std::string& path) {
  const int directory = open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  (void)fsync(directory);
  close(directory);
}

}  // namespace

AtomicFile::AtomicFile(std::string path, std::string partial, bool is_named, int descriptor)
    : path_(std::move(path)), partial_(std::move(partial)), is_named_(is_named), descriptor_(descriptor) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      is_named_(std::exchange(other.is_named_, false)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (is_named_) unlink(partial_.c_str());
}

Result<AtomicFile> AtomicFile::create(const std::string& path, mode_t mode) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return cannot_write(path, errno);
    return AtomicFile(path, "", false, descriptor);
  }
  std::error_code unresolved;
  const bool is_link = fs::is_symlink(path, unresolved);
  const std::string place = is_link ? fs::weakly_canonical(path, unresolved).string() : path;
  static std::atomic<uint64_t> made{0};  // two of one process must not write into one file
  std::string partial = fmt::format("{}.{}-{}.partial", place, getpid(), made.fetch_add(1));
  int descriptor = open(directory_of(place).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
  // Three ways in which systems say that they have none.
  const bool is_named = descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
  if (is_named) descriptor = open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (descriptor < 0) return cannot_write(path, errno);
  return AtomicFile(place, std::move(partial), is_named, descriptor);
}

Status AtomicFile::write(const void* data, size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, from, std::min(bytes, size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return cannot_write(path_, errno);
    from += written;
    bytes -= static_cast<size_t>(written);
  }
  return {};
}

Status AtomicFile::commit() {
  if (!partial_.empty()) return put_in_place();
  return close(std::exchange(descriptor_, -1)) == 0 ? Status() : cannot_write(path_, errno);
}

Status AtomicFile::put_in_place() {
  if (fsync(descriptor_) != 0) return cannot_write(path_, errno);
  if (!is_named_) {
    const std::string nameless = fmt::format("/proc/self/fd/{}", descriptor_);
    if (linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, partial_.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return cannot_write(path_, errno);
    is_named_ = true;
  }
  // Network file systems report at the close what they could not write.
  if (close(std::exchange(descriptor_, -1)) != 0 || rename(partial_.c_str(), path_.c_str()) != 0)
    return cannot_write(path_, errno);
  is_named_ = false;
  sync_directory(path_);
  return {};
}

Status write_file(const std::string& path, std::string_view content, mode_t mode) {
  SWITCHYARD_ASSIGN(AtomicFile file, AtomicFile::create(path, mode));
  SWITCHYARD_TRY(file.write(content.data(), content.size()));
  return file.commit();
}

void ignore_file_size_signal() { signal(SIGXFSZ, SIG_IGN); }

}  // namespace switchyard
