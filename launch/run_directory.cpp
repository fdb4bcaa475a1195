#include "launch/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "common/base/atomic_file.h"

namespace switchyard::launch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "switchyard-";
constexpr const char* kLock = "launcher.lock";

std::string default_base() {
  for (const char* candidate : {static_cast<const char*>(getenv("XDG_RUNTIME_DIR")), "/dev/shm"}) {
    if (candidate != nullptr && *candidate == '/' && access(candidate, W_OK | X_OK) == 0) return candidate;
  }
  return "/tmp";
}

// Directories of launchers that are gone: ours, with a lock file that nobody holds.
void remove_stale(const std::string& base) {
  std::error_code ec;
  for (fs::directory_iterator it(base, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string path = it->path().string();
    struct stat info {};
    if (!it->path().filename().string().starts_with(kPrefix)) continue;
    if (lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid()) continue;
    const int lock = open((path + "/" + kLock).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0) continue;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
    close(lock);
  }
}

Error io_error(const std::string& path) { return {Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))}; }

}  // namespace

Result<RunDirectory> RunDirectory::make(const std::string& wanted_base) {
  const std::string base = wanted_base.empty() ? default_base() : fs::absolute(wanted_base).string();
  remove_stale(base);
  std::string path = base + "/" + kPrefix + "XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return io_error(base);
  // Made and locked under another name first: a launcher that starts at the same time must not take it for stale.
  const std::string unlocked = path + "/" + kLock + ".new";
  const int lock = open(unlocked.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0 || rename(unlocked.c_str(), (path + "/" + kLock).c_str()) != 0) {
    const Error error = io_error(unlocked);
    if (lock >= 0) close(lock);
    std::error_code ignored;
    fs::remove_all(path, ignored);
    return error;
  }
  return RunDirectory(std::move(path), lock);
}

RunDirectory::RunDirectory(RunDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::exchange(other.lock_, -1)) {}

RunDirectory::~RunDirectory() {
  if (path_.empty()) return;
  // A killed rank's last files may still appear while this removes the rest.
  for (int attempt = 0; attempt < 20; ++attempt) {
    std::error_code ec;
    fs::remove_all(path_, ec);
    if (!fs::exists(path_, ec)) break;
    usleep(10000);
  }
  close(lock_);
}

Result<std::string> RunDirectory::write(const std::string& name, const std::string& content) const {
  const std::string path = path_ + "/" + name;
  // Nobody else writes into the directory: what is there is ours, and a mistake.
  std::error_code ec;
  if (fs::exists(path, ec)) return Error{Errc::kIo, path + ": is there already"};
  SWITCHYARD_TRY(write_file(path, content, 0600));
  return path;
}

Status RunDirectory::make_empty(const std::string& name) const {
  const std::string path = path_ + "/" + name;
  std::error_code ec;
  fs::remove_all(path, ec);
  if (ec) return Error{Errc::kIo, fmt::format("{}: {}", path, ec.message())};
  if (mkdir(path.c_str(), 0700) != 0) return io_error(path);
  return {};
}

}  // namespace switchyard::launch
