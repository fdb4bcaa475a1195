// Packed weights of a rank, kept as a file so that the next start maps them instead of reading and packing the
// checkpoint.
//
// A file's name says for which model, table, forms and rank it is, and ends in a hash of the model's place and of the
// experts that the rank hosts, so that models of one name and placements of one model keep theirs side by side. Its
// header has the whole key: version, table, forms, the checkpoint's files (which they are, sizes, times), and the
// experts. A file whose key differs in anything is not used, and is written anew.
//
// Thread: one. Files are written beside their place and renamed: a reader sees all of one or none.
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
  // The packed bytes, mapped; an empty region when there is no file of this key and size.
  MemoryRegion map(size_t bytes) const;
  Status save(const std::byte* data, size_t bytes) const;

 private:
  std::string path_;
  std::string key_;
};

}  // namespace switchyard::worker
