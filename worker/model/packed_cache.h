// Packed weights of a rank, kept as a file so that the next start maps them instead of reading and packing the
// checkpoint.
//
// A file's name says for which model, table, forms and rank it is, and ends in a hash of the model's place and of the
// experts that the rank hosts, so that models of one name and placements of one model keep theirs side by side. Its
// header has the whole key: version, table, forms, the checkpoint's files (which they are, sizes, times), and the
// experts. A file whose key differs in anything is not used, and is written anew.
//
// Header and packed bytes are sealed with checksums (XXH3, 64 bits, https://xxhash.com), which are checked before the
// bytes are used: all of them, by all threads, once a start. No byte of the file is without a checksum but the last
// eight of the header, which are one.
//
// Thread: one. Files are written whole or not at all (common/base/atomic_file.h), and read-only for everybody: who
// wants another one has to replace it, which does not change what is mapped.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/exchange/exchange.h"
#include "worker/model/weights.h"

namespace switchyard::worker {

class PackedCache {
 public:
  // directory: made when it is missing; empty = no cache. checkpoint: the directory that the weights come from.
  PackedCache(std::string directory, const std::string& checkpoint, const std::string& table, WeightForms forms,
              const std::vector<LayerPlacement>& placement, uint32_t rank);

  bool enabled() const { return !path_.empty(); }
  const std::string& path() const { return path_; }
  // The packed bytes, mapped and checked. kNotFound: there is no file, or no cache; other errors say why the file that
  // is there is not used. progress, if any: counts the bytes that have been checked.
  Result<MemoryRegion> map(size_t bytes, kernels::ThreadPool& pool, LoadProgress* progress) const;
  Status save(const std::byte* data, size_t bytes, kernels::ThreadPool& pool) const;

 private:
  std::string path_;
  std::string key_;
};

}  // namespace switchyard::worker
