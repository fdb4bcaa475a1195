// Regions are memfds: no name in a file system, no size limit but memory, gone with the last process. A rank opens
// another's through /proc, which the kernel allows to processes of one user.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "worker/exchange/shared_exchange.h"

namespace switchyard::worker {
namespace {

// What a rank tells the others about its region.
struct Offer {
  std::array<char, 64> machine{};  // and what lies behind process ids
  uint64_t process_names = 0;
  int32_t process = 0;
  int32_t file = -1;
};

Offer make_offer(int file) {
  Offer offer;
  std::ifstream("/proc/sys/kernel/random/boot_id").read(offer.machine.data(), offer.machine.size() - 1);
  struct stat space {};
  if (stat("/proc/self/ns/pid", &space) == 0) offer.process_names = space.st_ino;
  offer.process = static_cast<int32_t>(getpid());
  offer.file = file;
  return offer;
}

std::byte* map(int file, size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
}

// Another rank's region; null, with errno, if it cannot be had.
std::byte* map_offer(const Offer& offer, size_t bytes) {
  const std::string path = "/proc/" + std::to_string(offer.process) + "/fd/" + std::to_string(offer.file);
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return nullptr;
  std::byte* memory = map(file, bytes);
  const int error = errno;
  close(file);
  errno = error;
  return memory;
}

}  // namespace

SharedMemory::~SharedMemory() {
  for (std::byte* region : regions) {
    if (region != nullptr) munmap(region, bytes);
  }
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : regions(std::exchange(other.regions, {})), bytes(other.bytes), why_not(std::move(other.why_not)) {}

Result<SharedMemory> SharedMemory::make(Transport& transport, size_t bytes) {
  const uint32_t ranks = transport.size();
  const uint32_t rank = transport.rank();
  SharedMemory memory;
  memory.bytes = bytes;
  memory.regions.resize(ranks);
  if (ranks == 1) {
    void* mine = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mine == MAP_FAILED) return Error{Errc::kIo, "cannot map " + std::to_string(bytes) + " bytes for the exchange"};
    memory.regions[0] = static_cast<std::byte*>(mine);
    return memory;
  }

  const int file = memfd_create("switchyard-exchange", MFD_CLOEXEC);
  if (file >= 0 && ftruncate(file, static_cast<off_t>(bytes)) == 0) memory.regions[rank] = map(file, bytes);
  if (memory.regions[rank] == nullptr) memory.why_not = std::string("no shared memory: ") + std::strerror(errno);
  const Offer mine = make_offer(file);
  std::vector<Offer> offers(ranks);
  Status gathered = transport.all_gather(&mine, sizeof mine, offers.data());
  for (uint32_t r = 0; r < ranks && gathered.ok() && memory.why_not.empty(); ++r) {
    if (r == rank) continue;
    if (offers[r].machine != mine.machine || offers[r].process_names != mine.process_names) {
      memory.why_not = "not on one machine";
    } else if ((memory.regions[r] = map_offer(offers[r], bytes)) == nullptr) {
      memory.why_not = "rank " + std::to_string(r) + "'s memory: " + std::strerror(errno);
    }
  }
  // All or none; and none closes its file before the others have it.
  const uint8_t can = memory.why_not.empty() ? 1 : 0;
  std::vector<uint8_t> all_can(ranks);
  if (gathered.ok()) gathered = transport.all_gather(&can, sizeof can, all_can.data());
  if (file >= 0) close(file);
  SWITCHYARD_TRY(std::move(gathered));
  for (uint32_t r = 0; r < ranks; ++r) {
    if (all_can[r] != 0) continue;
    if (memory.why_not.empty()) memory.why_not = "rank " + std::to_string(r) + " cannot share memory";
    for (std::byte*& region : memory.regions) {
      if (region != nullptr) munmap(region, bytes);
    }
    memory.regions.clear();
    break;
  }
  return memory;
}

}  // namespace switchyard::worker
