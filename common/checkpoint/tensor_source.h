// Finds the tensors that an architecture asks for, checks type and shape, and keeps track of those that nobody asked
// for.
//
// Every problem goes to the list, and an absent view is returned: asking goes on, so that all problems are found at
// once.
//
// Thread: one.
#pragma once

#include <string>
#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/problems.h"
#include "common/checkpoint/safetensors.h"

namespace switchyard::checkpoint {

// config.json's quantization_config.
struct Quantization {
  enum class Kind : uint8_t { kNone, kFp8Blocks, kMxfp4 };
  Kind kind = Kind::kNone;
  uint32_t block_rows = 0, block_columns = 0;  // kFp8Blocks
};

class TensorSource {
 public:
  TensorSource(const TensorFiles& files, const Quantization& quantization, Problems& problems);

  // BF16, F16 or F32.
  TensorView vector(const std::string& name, uint32_t count);
  TensorView matrix(const std::string& name, uint32_t rows, uint32_t columns);
  // A linear layer's weight: also F8_E4M3, with block factors in NAME_scale_inv.
  TensorView linear(const std::string& name, uint32_t rows, uint32_t columns);

  bool exists(const std::string& name) const { return files_.find(name).has_value(); }
  // The tensor if it is there, sound, of one of these types and of this shape; else null, and the problem is on the
  // list.
  const TensorEntry* require(const std::string& name, const std::vector<uint64_t>& shape,
                             std::initializer_list<DataType> types);
  void problem(std::string line) { problems_.add(std::move(line)); }
  // Counts as asked for, if it is there.
  void ignore(const std::string& name);

  // Tensors that nobody asked for are problems, but for those of the prediction_layer_count layers behind the
  // layer_count of the model, and rotary_emb.inv_freq.
  void report_extras(size_t layer_count, size_t prediction_layer_count);

  const Quantization& quantization() const { return quantization_; }

 private:
  const TensorFiles& files_;
  Quantization quantization_;
  Problems& problems_;
  std::vector<bool> used_;
};

}  // namespace switchyard::checkpoint
