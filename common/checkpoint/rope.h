// Rotary frequencies with the scaling that a checkpoint asks for.
//
// YaRN: arXiv 2309.00071; llama3: as published with Llama 3.1. Both as computed by transformers
// (modeling_rope_utils.py), whose numbers checkpoints are made for.
#pragma once

#include "common/checkpoint/config_reader.h"
#include "common/checkpoint/model_spec.h"

namespace switchyard::checkpoint {

struct RopeConfig {
  enum class Kind { kDefault, kLinear, kYarn, kLlama3 };
  Kind kind = Kind::kDefault;
  double theta = 10000;
  double factor = 1;
  double original_max_position = 0;
  // kYarn
  double beta_fast = 32, beta_slow = 1;
  double mscale = 0, mscale_all_dim = 0;  // 0 = not given
  double attention_factor = 0;            // 0 = not given
  bool truncate = true;
  // kLlama3
  double low_freq_factor = 1, high_freq_factor = 4;
};

// From rope_parameters (transformers 5) or rope_theta and rope_scaling (published). absent: what a config without
// scaling means, and the theta of one without. max_position: for YaRN without an original length.
RopeConfig read_rope_config(const ConfigReader& config, const RopeConfig& absent, uint32_t max_position);

// YaRN's 0.1 m ln(scale) + 1; 1 for scale <= 1.
double yarn_mscale(double scale, double m);

// Frequencies and magnitude for layout.rotary_dim channels (even, > 0).
RopeParameters make_rope(const RopeConfig& config, const kernels::RopeSpec& layout);

}  // namespace switchyard::checkpoint
