// The handler does only what POSIX allows in one (signal-safety(7)): it reads atomics, calls stat(), write(), _exit().
#include "common/base/mapped_files.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace switchyard {
namespace {

// Set last and cleared first: `begin`, so that who sees it sees the rest.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<uint64_t> file_bytes{0};
  std::atomic<char*> path{nullptr};
};
Slot slots[kMappedFilesMax];

char process_name[64];

// A line put together without allocating.
class Line {
 public:
  Line& operator<<(const char* text) {
    const size_t bytes = strnlen(text, sizeof text_ - used_);
    memcpy(text_ + used_, text, bytes);
    used_ += bytes;
    return *this;
  }
  Line& operator<<(uint64_t number) {
    char digits[20];
    size_t count = 0;
    do digits[count++] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0 && used_ < sizeof text_) text_[used_++] = digits[--count];
    return *this;
  }
  void write() const { (void)!::write(STDERR_FILENO, text_, used_); }

 private:
  char text_[4096 + 256];
  size_t used_ = 0;
};

void on_bus_error(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Line line;
  line << "fatal: " << process_name << ": ";
  const Slot* found = nullptr;
  for (const Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin != 0 && begin <= address && address < slot.end.load(std::memory_order_relaxed)) found = &slot;
  }
  if (found == nullptr) {
    line << "memory failed (SIGBUS): out of shared memory, or a file was truncated while it was mapped\n";
  } else {
    const char* path = found->path.load(std::memory_order_relaxed);
    const uint64_t bytes = found->file_bytes.load(std::memory_order_relaxed);
    struct stat now {};
    line << path;
    if (stat(path, &now) == 0 && static_cast<uint64_t>(now.st_size) < bytes) {
      line << " was truncated while it was mapped: " << static_cast<uint64_t>(now.st_size) << " of " << bytes
           << " bytes are left\n";
    } else {
      line << " cannot be read where it is mapped: truncated and written anew, or its disk failed\n";
    }
  }
  line.write();
  _exit(1);
}

}  // namespace

MappedName::MappedName(const void* begin, size_t bytes, const std::string& path, size_t file_bytes) {
  if (begin == nullptr) return;
  for (size_t i = 0; i < kMappedFilesMax; ++i) {
    Slot& slot = slots[i];
    if (slot.taken.load(std::memory_order_relaxed) || slot.taken.exchange(true)) continue;
    slot.path.store(strdup(path.c_str()), std::memory_order_relaxed);
    slot.file_bytes.store(file_bytes, std::memory_order_relaxed);
    slot.end.store(reinterpret_cast<uintptr_t>(begin) + bytes, std::memory_order_relaxed);
    slot.begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_release);
    slot_ = static_cast<int>(i);
    return;
  }
}

MappedName::~MappedName() {
  if (slot_ < 0) return;
  Slot& slot = slots[slot_];
  slot.begin.store(0);
  std::free(slot.path.exchange(nullptr));
  slot.taken.store(false);
}

MappedName::MappedName(MappedName&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}

MappedName& MappedName::operator=(MappedName&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

void end_with_file_name(const std::string& who) {
  strncpy(process_name, who.c_str(), sizeof process_name - 1);
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace switchyard
