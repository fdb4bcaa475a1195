// A Hugging Face checkpoint directory, read as it is on disk.
//
// open() reads config.json and the headers of all safetensors files, resolves every tensor that the architecture needs
// and checks all of them (presence, type, shape, bytes inside the file) before anything is read. It maps the files;
// bytes are touched only by read calls, so a rank that asks for its own experts reads only those.
//
// Thread: open() from one; a const Checkpoint from any number side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/model_spec.h"

namespace switchyard::checkpoint {

// A (rows, columns) matrix, or a vector (rows = 1), somewhere in the files: a tensor, a slice of a fused one,
// transposed, interleaved, FP8 with block scales or MXFP4. Reading decodes exactly to float32 (every disk type is a
// subset of it, up to FP8's product with its scale).
struct TensorView {
  std::string name;  // of the tensor on disk, for messages
  uint32_t rows = 0;
  uint32_t columns = 0;
  uint64_t disk_bytes = 0;
  // Decodes rows [row_begin, row_end) into out (row_end - row_begin, columns). Cannot fail: open() has checked.
  std::function<void(uint32_t row_begin, uint32_t row_end, float* out)> read;

  bool present() const { return static_cast<bool>(read); }
};

struct MlpTensors {
  TensorView gate, up, down;                 // (width, hidden), (width, hidden), (hidden, width)
  TensorView gate_bias, up_bias, down_bias;  // vectors; absent unless expert_bias or mlp_bias
};

struct LayerTensors {
  TensorView input_norm, post_attention_norm;
  // kGrouped
  TensorView q, k, v, o;
  TensorView q_bias, k_bias, v_bias, o_bias;
  TensorView q_norm, k_norm;
  TensorView sinks;
  // kLatent: q (without query LoRA) or q_a, q_a_norm, q_b; kv_b rows are, per head, [nope keys | values]
  TensorView q_a, q_a_norm, q_b, kv_a, kv_a_norm, kv_b;
  TensorView q_a_bias, kv_a_bias;  // absent unless qkv_bias

  MlpTensors dense;  // layers without experts
  TensorView router, router_bias, correction_bias;
  std::vector<MlpTensors> experts;  // (expert_count)
  MlpTensors shared;
  TensorView shared_gate;  // (1, hidden)
};

struct ModelTensors {
  TensorView embed;  // (vocab, hidden)
  TensorView final_norm;
  TensorView lm_head;  // the embedding when tied
  std::vector<LayerTensors> layers;
};

class Checkpoint {
 public:
  // Errors name the file, the tensor, its offset and the expected shape; all problems found are listed, one a line.
  static Result<Checkpoint> open(const std::string& directory);
  // config.json and generation_config.json alone: what planning needs.
  static Result<ModelSpec> read_spec(const std::string& directory);

  const ModelSpec& spec() const;
  const ModelTensors& tensors() const;
  uint64_t disk_bytes() const;
  // kIo, with the file's name, when one has been written to since open(): what was read may be half of another model.
  Status check_unchanged() const;
  // Tells this model from others, as 32 digits: over configs, checksums where a list of them is given, and of each file
  // of tensors its name, size, header and a sample of its bytes (64 places). It finds another model in this one's
  // place, on another machine too; a flipped bit it need not find: for that there are checksums (checksums.h).
  const std::string& fingerprint() const;

 private:
  struct Files;
  std::shared_ptr<const Files> files_;
};

// Names of the architectures that can be read, as in config.json's "architectures".
std::vector<std::string> supported_architectures();

}  // namespace switchyard::checkpoint
