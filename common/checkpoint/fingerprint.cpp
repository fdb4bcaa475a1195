// XXH3, 128 bits (https://xxhash.com): not against an adversary, who would be inside already, but against mistakes.
#include "common/checkpoint/fingerprint.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace switchyard::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSamples = 64;
constexpr uint64_t kSampleBytes = 256;

class Hash {
 public:
  Hash() : state_(XXH3_createState(), XXH3_freeState) { XXH3_128bits_reset(state_.get()); }

  void add(const void* data, uint64_t bytes) { XXH3_128bits_update(state_.get(), data, bytes); }
  // With its length, so that two parts are not two others.
  void add_part(const void* data, uint64_t bytes) {
    add(&bytes, sizeof bytes);
    if (bytes != 0) add(data, bytes);
  }
  std::string digits() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

}  // namespace

Result<std::string> fingerprint_of(const std::string& directory, std::vector<std::shared_ptr<const MappedFile>> files) {
  Hash hash;
  std::error_code ec;
  for (const char* name : {"config.json", "generation_config.json", "SHA256SUMS", "checksums.sha256"}) {
    const std::string path = directory + "/" + name;
    if (!fs::exists(path, ec)) {
      hash.add_part(nullptr, 0);
      continue;
    }
    SWITCHYARD_ASSIGN(const auto file, MappedFile::open(path));
    hash.add_part(file->data(), file->size());
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a->path() < b->path(); });
  for (const auto& file : files) {
    const std::string name = fs::path(file->path()).filename().string();
    hash.add_part(name.data(), name.size());
    uint64_t header = 0;
    std::memcpy(&header, file->data(), sizeof header);
    hash.add_part(file->data(), 8 + header);
    const uint64_t size = file->size();
    hash.add(&size, sizeof size);
    for (uint64_t i = 0; i < kSamples; ++i) {
      const uint64_t at = size / kSamples * i;
      hash.add(file->data() + at, std::min(kSampleBytes, size - at));
    }
  }
  return hash.digits();
}

}  // namespace switchyard::checkpoint
