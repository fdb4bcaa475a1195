// Scalar helpers of every table: bfloat16, encoded rows, rounding up.
//
// All are static on purpose: these functions are compiled into translation units of different instruction sets, and a
// shared inline function could be taken from the wrong one by the linker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/api/ops.h"

namespace switchyard::kernels::cpu {

template <typename T>
[[maybe_unused]] static inline T least(T a, T b) {
  return b < a ? b : a;
}

template <typename T>
[[maybe_unused]] static inline T most(T a, T b) {
  return a < b ? b : a;
}

[[maybe_unused]] static inline size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

[[maybe_unused]] static inline float bf16_to_float(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

// Nearest, ties to even; a NaN stays a NaN.
[[maybe_unused]] static inline uint16_t float_to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

[[maybe_unused]] static inline float to_float(float value) { return value; }
[[maybe_unused]] static inline float to_float(uint16_t value) { return bf16_to_float(value); }
[[maybe_unused]] static inline void store_as(float value, float* out) { *out = value; }
[[maybe_unused]] static inline void store_as(float value, uint16_t* out) { *out = float_to_bf16(value); }

[[maybe_unused]] static inline size_t element_bytes(WeightForm form) { return form == WeightForm::kFloat32 ? 4 : 2; }
[[maybe_unused]] static inline size_t element_bytes(KvType type) { return type == KvType::kFloat32 ? 4 : 2; }

// Bytes of an encoded row of k values, the same in every table, so that rows travel between machines of different
// instruction sets. An odd number of cache lines: with a power of two, the rows that a GEMM tile reads side by side
// would fall into the same few cache sets.
[[maybe_unused]] static inline size_t encoded_bytes(WeightForm form, uint32_t k) {
  const size_t lines = (k * element_bytes(form) + 63) / 64;
  return (lines | 1) * 64;
}

}  // namespace switchyard::kernels::cpu
