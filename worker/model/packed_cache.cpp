#include "worker/model/packed_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

namespace switchyard::worker {
namespace {

namespace fs = std::filesystem;

// Changes whenever a table lays weights out differently.
constexpr int kVersion = 2;
// Before the packed bytes: the key, ended by a zero. A whole number of pages of any machine that has these tables.
constexpr size_t kHeaderBytes = size_t{256} << 10;

const char* name_of(kernels::WeightForm form) { return kernels::kWeightFormNames[static_cast<size_t>(form)]; }

// Everything of the checkpoint that could change what its tensors hold: which files they are, too, since a copy may
// keep its times, and when they were last touched in any way, which nobody sets.
std::string files_key(const std::string& checkpoint) {
  std::vector<std::string> lines;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(checkpoint, error)) {
    const std::string name = entry.path().filename().string();
    struct stat info {};
    if ((!name.ends_with(".safetensors") && !name.ends_with(".json")) || stat(entry.path().c_str(), &info) != 0)
      continue;
    lines.push_back(fmt::format("{} {} {}:{} {}.{:09} {}.{:09}\n", name, info.st_size, info.st_dev, info.st_ino,
                                info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec));
  }
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, ""));
}

// FNV-1a (draft-eastlake-fnv), 64 bits.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

bool write_all(int file, const void* data, size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = write(file, from, std::min(bytes, size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    from += written;
    bytes -= static_cast<size_t>(written);
  }
  return true;
}

}  // namespace

PackedCache::PackedCache(std::string directory, const std::string& checkpoint, const std::string& table,
                         WeightForms forms, const std::vector<LayerPlacement>& placement, uint32_t rank) {
  if (directory.empty()) return;
  const size_t ranks = placement.empty() ? 1 : placement[0].experts.size();
  std::string experts;
  for (const LayerPlacement& layer : placement)
    experts += fmt::format("experts {}\n", fmt::join(layer.experts[rank], " "));
  key_ = fmt::format("switchyard packed weights {}\ntable {}\nforms {} {}\n{}", kVersion, table, name_of(forms.dense),
                     name_of(forms.experts), files_key(checkpoint)) +
         experts;
  // A key that does not fit could not be told from another: no cache.
  if (key_.size() >= kHeaderBytes) return;
  std::error_code error;
  const fs::path model = fs::weakly_canonical(checkpoint, error);
  path_ =
      fmt::format("{}/{}-{}-{}-{}-rank{}of{}-{:016x}.packed", directory, model.filename().string(), table,
                  name_of(forms.dense), name_of(forms.experts), rank, ranks, hash_of(model.string() + '\n' + experts));
}

MemoryRegion PackedCache::map(size_t bytes) const {
  if (!enabled()) return {};
  const File file(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) return {};
  if (static_cast<size_t>(info.st_size) != kHeaderBytes + bytes) return {};
  std::string header(key_.size() + 1, '\0');
  if (pread(file.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) return {};
  if (header.compare(0, key_.size(), key_) != 0 || header.back() != '\0') return {};
  auto region = MemoryRegion::map(file.get(), kHeaderBytes, bytes);
  return region.ok() ? std::move(*region) : MemoryRegion();
}

Status PackedCache::save(const std::byte* data, size_t bytes) const {
  if (!enabled()) return {};
  std::error_code error;
  fs::create_directories(fs::path(path_).parent_path(), error);
  const std::string partial = fmt::format("{}.{}", path_, getpid());
  const File file(open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  std::string header = key_;
  header.resize(kHeaderBytes, '\0');
  const bool written = file.get() >= 0 && write_all(file.get(), header.data(), header.size()) &&
                       write_all(file.get(), data, bytes) && rename(partial.c_str(), path_.c_str()) == 0;
  if (written) return {};
  const int cause = errno;
  unlink(partial.c_str());
  return Error{Errc::kIo, fmt::format("cannot write {}: {}", path_, std::strerror(cause))};
}

}  // namespace switchyard::worker
