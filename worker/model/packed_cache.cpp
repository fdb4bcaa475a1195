#include "worker/model/packed_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "common/base/atomic_file.h"
#include "common/base/printable.h"

namespace switchyard::worker {
namespace {

namespace fs = std::filesystem;

// Changes whenever a table lays weights out differently, or the file is built differently.
constexpr int kVersion = 3;
// Before the packed bytes: the key, filled up with zeros, and the seal. A whole number of pages of any machine that has
// these tables.
constexpr size_t kHeaderBytes = size_t{256} << 10;

// The header's end.
struct Seal {
  uint64_t data_bytes = 0;
  uint64_t data = 0;    // checksum of the packed bytes
  uint64_t header = 0;  // of all of the header before this
};
constexpr size_t kKeyBytesMax = kHeaderBytes - sizeof(Seal);
constexpr size_t kSealedBytes = kHeaderBytes - sizeof(uint64_t);
// Of packed bytes under one checksum.
constexpr size_t kPiece = size_t{4} << 20;

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

// Of the checksums of pieces, so that threads share the work; how many they are changes nothing.
uint64_t checksum(const std::byte* data, size_t bytes, kernels::ThreadPool& pool, LoadProgress* progress) {
  struct Shared {
    const std::byte* data;
    size_t bytes;
    LoadProgress* progress;
    std::vector<XXH64_hash_t> sums;
    std::atomic<size_t> next{0};
  } shared{data, bytes, progress, std::vector<XXH64_hash_t>((bytes + kPiece - 1) / kPiece)};
  pool.run(
      [](void* context, uint32_t) {
        auto& s = *static_cast<Shared*>(context);
        for (size_t i = s.next.fetch_add(1); i < s.sums.size(); i = s.next.fetch_add(1)) {
          const size_t size = std::min(kPiece, s.bytes - i * kPiece);
          s.sums[i] = XXH3_64bits(s.data + i * kPiece, size);
          if (s.progress != nullptr) s.progress->bytes_done += size;
        }
      },
      &shared);
  return XXH3_64bits(shared.sums.data(), shared.sums.size() * sizeof(XXH64_hash_t));
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

// The first lines in which two keys differ, both as they are said; of lists, no more than their beginning. What was
// found may be anything.
std::string difference(std::string_view found, std::string_view expected) {
  const auto line = [](std::string_view text) {
    const std::string_view all = text.substr(0, text.find_first_of(std::string_view("\n\0", 2)));
    return all.size() <= 100 ? printable(all) : printable(all.substr(0, 97)) + "...";
  };
  const auto differ = std::mismatch(found.begin(), found.end(), expected.begin(), expected.end()).second;
  const size_t at = static_cast<size_t>(differ - expected.begin());
  const size_t begin = at == 0 ? 0 : expected.rfind('\n', at - 1) + 1;
  return fmt::format("it is for \"{}\", not \"{}\"", line(found.substr(begin)), line(expected.substr(begin)));
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
  if (key_.size() >= kKeyBytesMax) return;
  std::error_code error;
  const fs::path model = fs::weakly_canonical(checkpoint, error);
  path_ =
      fmt::format("{}/{}-{}-{}-{}-rank{}of{}-{:016x}.packed", directory, model.filename().string(), table,
                  name_of(forms.dense), name_of(forms.experts), rank, ranks, hash_of(model.string() + '\n' + experts));
}

Result<MemoryRegion> PackedCache::map(size_t bytes, kernels::ThreadPool& pool, LoadProgress* progress) const {
  if (!enabled()) return Error{Errc::kNotFound, "no cache"};
  const auto refuse = [this](const std::string& why) { return Error{Errc::kInvalid, path_ + ": " + why}; };
  const File file(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && errno == ENOENT) return Error{Errc::kNotFound, path_ + ": no such file"};
  struct stat info {};
  std::string header(kHeaderBytes, '\0');
  if (file.get() < 0 || fstat(file.get(), &info) != 0) return refuse(std::strerror(errno));
  const ssize_t got = pread(file.get(), header.data(), header.size(), 0);
  if (got < 0) return refuse(std::strerror(errno));
  if (static_cast<size_t>(got) != header.size())
    return refuse(fmt::format("truncated: {} bytes are no header", info.st_size));

  // The version first: what another one's header means is not known.
  const size_t first_line = key_.find('\n') + 1;
  if (header.compare(0, first_line, key_, 0, first_line) != 0) return refuse(difference(header, key_));
  Seal seal;
  std::memcpy(&seal, header.data() + kKeyBytesMax, sizeof seal);
  if (XXH3_64bits(header.data(), kSealedBytes) != seal.header) return refuse("its header is damaged");
  if (header.compare(0, key_.size(), key_) != 0 || header[key_.size()] != '\0') return refuse(difference(header, key_));
  if (seal.data_bytes != bytes || static_cast<size_t>(info.st_size) != kHeaderBytes + bytes)
    return refuse(fmt::format("truncated: {} bytes, not {}", info.st_size, kHeaderBytes + bytes));
  SWITCHYARD_ASSIGN(MemoryRegion region, MemoryRegion::map(file.get(), kHeaderBytes, bytes, path_));
  if (progress != nullptr) progress->bytes_total = bytes;
  if (checksum(region.data(), bytes, pool, progress) == seal.data) return region;
  if (progress != nullptr) progress->bytes_done = 0;
  return refuse("its weights are damaged: they have another checksum than those that were packed");
}

Status PackedCache::save(const std::byte* data, size_t bytes, kernels::ThreadPool& pool) const {
  if (!enabled()) return {};
  std::error_code error;
  fs::create_directories(fs::path(path_).parent_path(), error);
  std::string header = key_;
  header.resize(kHeaderBytes, '\0');
  Seal seal{bytes, checksum(data, bytes, pool, nullptr), 0};
  std::memcpy(header.data() + kKeyBytesMax, &seal, sizeof seal);
  seal.header = XXH3_64bits(header.data(), kSealedBytes);
  std::memcpy(header.data() + kSealedBytes, &seal.header, sizeof seal.header);
  SWITCHYARD_ASSIGN(AtomicFile file, AtomicFile::create(path_, 0444));
  SWITCHYARD_TRY(file.write(header.data(), header.size()));
  SWITCHYARD_TRY(file.write(data, bytes));
  return file.commit();
}

}  // namespace switchyard::worker
