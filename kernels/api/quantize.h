// Quantizing on the host, value by value: what packs weights where speed is not the point, and the definition of it.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/api/numbers.h"

namespace switchyard::kernels {

[[maybe_unused]] static inline float largest_size(const float* x, uint32_t k) {
  float largest = 0.0F;
  for (uint32_t i = 0; i < k; ++i) {
    const float size = std::fabs(x[i]);
    if (!(size <= largest)) largest = size;  // a NaN stays
    if (size != size) break;
  }
  return largest;
}

// The group's value furthest from zero, the positive one of two; a NaN if it has one.
[[maybe_unused]] static inline float furthest(const float* w, uint32_t count) {
  float low = 0.0F;
  float high = 0.0F;
  for (uint32_t i = 0; i < count; ++i) {
    if (w[i] != w[i]) return w[i];
    low = std::fmin(low, w[i]);
    high = std::fmax(high, w[i]);
  }
  return high >= -low ? high : low;
}

// Zeros for a broken quantizer, whose scale says that they are.
[[maybe_unused]] static inline void quantize(const float* x, uint32_t k, const Quantizer& quantizer, float low,
                                             float high, int8_t* out) {
  for (uint32_t i = 0; i < k; ++i) {
    const float q = quantizer.scale != quantizer.scale ? 0.0F : std::nearbyint(x[i] * quantizer.inverse);
    out[i] = static_cast<int8_t>(std::fmin(std::fmax(q, low), high));
  }
}

}  // namespace switchyard::kernels
