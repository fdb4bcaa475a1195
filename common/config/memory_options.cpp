#include "common/config/memory_options.h"

namespace switchyard::config {

bool is_float32(const ClusterConfig& config, const checkpoint::ModelSpec& spec) {
  return config.model.dtype == "float32" || (config.model.dtype == "auto" && spec.file_dtype == "float32");
}

std::string weight_form(const ClusterConfig& config, const checkpoint::ModelSpec& spec) {
  if (config.model.quantization != "none") return config.model.quantization;
  return is_float32(config, spec) ? "float32" : "bfloat16";
}

checkpoint::MemoryPlanOptions memory_options(const ClusterConfig& config, const checkpoint::ModelSpec& spec) {
  const auto& w = config.worker;
  checkpoint::MemoryPlanOptions options;
  const std::string weights = weight_form(config, spec);
  options.weight_bits = weights == "float32" ? 32 : weights == "bfloat16" ? 16 : 8;
  options.expert_weight_bits = weights == "int4" ? 4.5 : options.weight_bits;
  const std::string& kv = w.kv_cache_dtype;
  options.kv_element_bytes = kv == "int8" ? 1 : kv == "float32" || (kv == "auto" && is_float32(config, spec)) ? 4 : 2;
  options.rank_count = w.data_parallel_size;
  options.kv_block_tokens = w.block_size;
  options.max_model_len = config.model.max_model_len;
  options.max_num_seqs = w.max_num_seqs;
  options.max_step_rows = w.max_num_batched_tokens + w.max_num_seqs;
  return options;
}

}  // namespace switchyard::config
