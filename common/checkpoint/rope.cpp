#include "common/checkpoint/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace switchyard::checkpoint {

RopeConfig read_rope_config(const ConfigReader& config, const RopeConfig& absent, uint32_t max_position) {
  const double theta = config.positive_or("rope_theta", absent.theta);
  const auto section = config.section({"rope_parameters", "rope_scaling"});
  RopeConfig rope = section ? RopeConfig{} : absent;
  rope.theta = theta;
  if (!section) return rope;
  // Inside rope_parameters; published files have it beside rope_scaling.
  rope.theta = section->positive_or("rope_theta", rope.theta);
  if (section->has("full_attention") || section->has("sliding_attention")) {
    section->problem("full_attention", "rope parameters that differ between layers are not supported");
    return rope;
  }
  const std::string kind =
      section->choice_or({"rope_type", "type"}, "default", {"default", "linear", "dynamic", "yarn", "llama3"});
  if (rope.theta <= 1) section->problem("rope_theta", "must be above 1");
  if (kind == "default") return rope;
  rope.factor = section->positive("factor");
  if (rope.factor < 1) section->problem("factor", "must be 1 or more");
  // Dynamic NTK scaling begins beyond max_position_embeddings, where no sequence goes here.
  if (kind == "dynamic") return rope;
  if (kind == "linear") {
    rope.kind = RopeConfig::Kind::kLinear;
    return rope;
  }
  rope.original_max_position = max_position;
  if (kind == "llama3" || section->has("original_max_position_embeddings")) {
    rope.original_max_position = section->count("original_max_position_embeddings", 1, 1U << 30);
  }
  if (kind == "llama3") {
    rope.kind = RopeConfig::Kind::kLlama3;
    rope.low_freq_factor = section->positive("low_freq_factor");
    rope.high_freq_factor = section->positive("high_freq_factor");
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      section->problem("high_freq_factor", "must be above low_freq_factor");
    }
    return rope;
  }
  rope.kind = RopeConfig::Kind::kYarn;
  rope.beta_fast = section->positive_or("beta_fast", 32);
  rope.beta_slow = section->positive_or("beta_slow", 1);
  rope.mscale = section->number_or("mscale", 0);
  rope.mscale_all_dim = section->number_or("mscale_all_dim", 0);
  if (section->has("attention_factor")) rope.attention_factor = section->positive("attention_factor");
  rope.truncate = section->flag_or("truncate", true);
  return rope;
}

double yarn_mscale(double scale, double m) { return scale <= 1 ? 1.0 : 0.1 * m * std::log(scale) + 1.0; }

namespace {

// The channel pair (not rounded) that turns `rotations` times over the original length.
double correction_dim(const RopeConfig& rope, double rotations, double dim) {
  return dim * std::log(rope.original_max_position / (rotations * 2 * std::numbers::pi)) / (2 * std::log(rope.theta));
}

}  // namespace

RopeParameters make_rope(const RopeConfig& config, const kernels::RopeSpec& layout) {
  RopeParameters out;
  out.layout = layout;
  const uint32_t pairs = layout.rotary_dim / 2;
  const double dim = layout.rotary_dim;
  double low = 0, high = 0;
  if (config.kind == RopeConfig::Kind::kYarn) {
    low = correction_dim(config, config.beta_fast, dim);
    high = correction_dim(config, config.beta_slow, dim);
    if (config.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, dim - 1);
    if (low == high) high += 0.001;
    if (config.attention_factor > 0) {
      out.magnitude = static_cast<float>(config.attention_factor);
    } else if (config.mscale > 0 && config.mscale_all_dim > 0) {
      out.magnitude = static_cast<float>(yarn_mscale(config.factor, config.mscale) /
                                         yarn_mscale(config.factor, config.mscale_all_dim));
    } else {
      out.magnitude = static_cast<float>(yarn_mscale(config.factor, 1));
    }
  }
  for (uint32_t j = 0; j < pairs; ++j) {
    double frequency = 1.0 / std::pow(config.theta, 2.0 * j / dim);
    switch (config.kind) {
      case RopeConfig::Kind::kDefault: break;
      case RopeConfig::Kind::kLinear: frequency /= config.factor; break;
      case RopeConfig::Kind::kYarn: {
        const double ramp = std::clamp((j - low) / (high - low), 0.0, 1.0);  // 0: kept as trained, 1: interpolated
        frequency = frequency / config.factor * ramp + frequency * (1 - ramp);
        break;
      }
      case RopeConfig::Kind::kLlama3: {
        const double wavelength = 2 * std::numbers::pi / frequency;
        const double turns = config.original_max_position / wavelength;
        if (turns < config.low_freq_factor) {
          frequency /= config.factor;
        } else if (turns <= config.high_freq_factor) {
          const double smooth = (turns - config.low_freq_factor) / (config.high_freq_factor - config.low_freq_factor);
          frequency = (1 - smooth) * frequency / config.factor + smooth * frequency;
        }
        break;
      }
    }
    out.inverse_frequency.push_back(static_cast<float>(frequency));
  }
  return out;
}

}  // namespace switchyard::checkpoint
