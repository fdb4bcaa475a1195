#include "tests/simulation/toy_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "common/base/result.h"
#include "tests/simulation/random.h"

namespace switchyard::simulation {
namespace {

constexpr uint32_t kHidden = 32;
constexpr uint32_t kHeads = 2;
constexpr uint32_t kKvHeads = 1;
constexpr uint32_t kHeadDim = 16;
constexpr uint32_t kExpertWidth = 16;
constexpr uint32_t kTopK = 2;

// Tensors of one file, in the order of writing.
class Tensors {
 public:
  // Uniform, so wide that a product with a unit vector has about the given deviation.
  void add(const std::string& name, uint32_t rows, uint32_t columns, double deviation) {
    const double width = deviation * std::sqrt(3.0 / columns);
    for (uint32_t i = 0; i < rows * columns; ++i)
      values_.push_back(static_cast<float>(width * (2 * static_cast<double>(random_.next() >> 11) * 0x1.0p-53 - 1)));
    head(name, fmt::format("[{},{}]", rows, columns), rows * columns);
  }
  void add_ones(const std::string& name, uint32_t columns) {
    values_.insert(values_.end(), columns, 1.0F);
    head(name, fmt::format("[{}]", columns), columns);
  }
  void write(const std::string& path) const {
    const std::string header = "{" + header_ + "}";
    const uint64_t size = header.size();
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&size), sizeof size);
    file << header;
    file.write(reinterpret_cast<const char*>(values_.data()), static_cast<std::streamsize>(values_.size() * 4));
    SWITCHYARD_CHECK(file.good());
  }

 private:
  void head(const std::string& name, const std::string& shape, size_t count) {
    header_ += fmt::format(R"({}"{}":{{"dtype":"F32","shape":{},"data_offsets":[{},{}]}})", header_.empty() ? "" : ",",
                           name, shape, (values_.size() - count) * 4, values_.size() * 4);
  }
  Random random_{20261127};
  std::vector<float> values_;
  std::string header_;
};

std::string config() {
  return fmt::format(
      R"({{"architectures":["Qwen3MoeForCausalLM"],"model_type":"qwen3_moe","hidden_act":"silu","hidden_size":{},)"
      R"("num_attention_heads":{},"num_key_value_heads":{},"head_dim":{},"num_hidden_layers":{},"num_experts":{},)"
      R"("num_experts_per_tok":{},"moe_intermediate_size":{},"intermediate_size":{},"vocab_size":{},)"
      R"("max_position_embeddings":256,"rms_norm_eps":1e-6,"rope_theta":10000.0,"norm_topk_prob":true,)"
      R"("decoder_sparse_step":1,"mlp_only_layers":[],"attention_bias":false,"tie_word_embeddings":false,)"
      R"("torch_dtype":"float32","eos_token_id":0}})",
      kHidden, kHeads, kKvHeads, kHeadDim, kToyLayers, kToyExperts, kTopK, kExpertWidth, kExpertWidth, kToyVocabulary);
}

std::string directory;

}  // namespace

std::string write_toy_model() {
  if (!directory.empty()) return directory;
  std::string pattern = (std::filesystem::temp_directory_path() / "switchyard-toy-XXXXXX").string();
  SWITCHYARD_CHECK(mkdtemp(pattern.data()) != nullptr);
  directory = pattern;
  std::atexit([] { std::filesystem::remove_all(directory); });
  std::ofstream(directory + "/config.json") << config();
  Tensors tensors;
  tensors.add("model.embed_tokens.weight", kToyVocabulary, kHidden, 6);
  for (uint32_t l = 0; l < kToyLayers; ++l) {
    const std::string layer = fmt::format("model.layers.{}.", l);
    tensors.add_ones(layer + "input_layernorm.weight", kHidden);
    tensors.add_ones(layer + "post_attention_layernorm.weight", kHidden);
    tensors.add(layer + "self_attn.q_proj.weight", kHeads * kHeadDim, kHidden, 1);
    tensors.add(layer + "self_attn.k_proj.weight", kKvHeads * kHeadDim, kHidden, 1);
    tensors.add(layer + "self_attn.v_proj.weight", kKvHeads * kHeadDim, kHidden, 2);
    tensors.add(layer + "self_attn.o_proj.weight", kHidden, kHeads * kHeadDim, 2);
    tensors.add_ones(layer + "self_attn.q_norm.weight", kHeadDim);
    tensors.add_ones(layer + "self_attn.k_norm.weight", kHeadDim);
    tensors.add(layer + "mlp.gate.weight", kToyExperts, kHidden, 2);
    for (uint32_t e = 0; e < kToyExperts; ++e) {
      const std::string expert = fmt::format("{}mlp.experts.{}.", layer, e);
      tensors.add(expert + "gate_proj.weight", kExpertWidth, kHidden, 1);
      tensors.add(expert + "up_proj.weight", kExpertWidth, kHidden, 2);
      tensors.add(expert + "down_proj.weight", kHidden, kExpertWidth, 2);
    }
  }
  tensors.add_ones("model.norm.weight", kHidden);
  tensors.add("lm_head.weight", kToyVocabulary, kHidden, 2);
  tensors.write(directory + "/model.safetensors");
  return directory;
}

}  // namespace switchyard::simulation
