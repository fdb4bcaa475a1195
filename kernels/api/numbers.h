// Numbers as every backend keeps them: bfloat16, encoded rows, scales of quantized values.
//
// All are static on purpose: these functions are compiled into translation units of different instruction sets, and a
// shared inline function could be taken from the wrong one by the linker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/api/ops.h"

#ifdef __CUDACC__
#define SWITCHYARD_DEVICE [[maybe_unused]] __host__ __device__
#else
#define SWITCHYARD_DEVICE [[maybe_unused]]
#endif

namespace switchyard::kernels {

template <typename T>
SWITCHYARD_DEVICE static inline T least(T a, T b) {
  return b < a ? b : a;
}

template <typename T>
SWITCHYARD_DEVICE static inline T most(T a, T b) {
  return a < b ? b : a;
}

SWITCHYARD_DEVICE static inline size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

SWITCHYARD_DEVICE static inline float bf16_to_float(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

// Nearest, ties to even; a NaN stays a NaN.
SWITCHYARD_DEVICE static inline uint16_t float_to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

SWITCHYARD_DEVICE static inline float to_float(float value) { return value; }
SWITCHYARD_DEVICE static inline float to_float(uint16_t value) { return bf16_to_float(value); }
SWITCHYARD_DEVICE static inline float to_float(int8_t value) { return value; }
SWITCHYARD_DEVICE static inline void store_as(float value, float* out) { *out = value; }
SWITCHYARD_DEVICE static inline void store_as(float value, uint16_t* out) { *out = float_to_bf16(value); }

SWITCHYARD_DEVICE static inline bool is_quantized(WeightForm form) {
  return form == WeightForm::kInt8 || form == WeightForm::kInt4;
}
SWITCHYARD_DEVICE static inline size_t element_bytes(KvType type) {
  switch (type) {
    case KvType::kFloat32: return 4;
    case KvType::kBfloat16: return 2;
    default: return 1;
  }
}

// body(T*) with the element type of a cache.
template <typename Body>
[[maybe_unused]] static inline void with_elements(KvType type, Body body) {
  switch (type) {
    case KvType::kFloat32: body(static_cast<float*>(nullptr)); break;
    case KvType::kBfloat16: body(static_cast<uint16_t*>(nullptr)); break;
    case KvType::kInt8: body(static_cast<int8_t*>(nullptr));
  }
}

// What follows the values of an encoded int8 row, which are padded with zeros to whole groups; the sum of each group
// follows it.
struct Int8RowTail {
  float scale;
  int32_t sum;  // of all values
};
SWITCHYARD_DEVICE static inline size_t int8_row_values(uint32_t k) { return round_up(k, kInt4Group); }
SWITCHYARD_DEVICE static inline const Int8RowTail& int8_row_tail(const char* row, uint32_t k) {
  return *reinterpret_cast<const Int8RowTail*>(row + int8_row_values(k));
}
SWITCHYARD_DEVICE static inline size_t int8_group_sums(uint32_t k) { return int8_row_values(k) + sizeof(Int8RowTail); }

// Bytes of an encoded row of k values, the same in every table, so that rows travel between machines of different
// instruction sets. An odd number of cache lines: with a power of two, the rows that a GEMM tile reads side by side
// would fall into the same few cache sets.
SWITCHYARD_DEVICE static inline size_t encoded_bytes(WeightForm form, uint32_t k) {
  size_t bytes = 0;
  switch (form) {
    case WeightForm::kFloat32: bytes = k * sizeof(float); break;
    case WeightForm::kBfloat16: bytes = k * sizeof(uint16_t); break;
    case WeightForm::kInt8:
    case WeightForm::kInt4:
      bytes = int8_row_values(k) + sizeof(Int8RowTail) + int8_row_values(k) / kInt4Group * sizeof(int32_t);
  }
  return ((bytes + 63) / 64 | 1) * 64;
}

// Scales of quantized values (kernels/api/ops.h has the rule). What is broken or too small for a scale counts as it
// reads: a NaN or an infinity makes the scale NaN, and with it every output; values below the least normal number are
// zero.
struct Quantizer {
  float scale;
  float inverse;
};
SWITCHYARD_DEVICE static inline Quantizer quantizer_of(float furthest, float levels) {
  const float size = furthest < 0.0F ? -furthest : furthest;
  if (!(size <= 3.4028234e38F)) return {furthest - furthest, 0.0F};  // NaN
  if (size < 1e-36F) return {0.0F, 0.0F};
  return {furthest / levels, levels / furthest};
}
SWITCHYARD_DEVICE static inline Quantizer int8_quantizer(float largest) { return quantizer_of(largest, 127.0F); }
// m: the value of the group furthest from zero. The inverse is of the scale as it is kept.
SWITCHYARD_DEVICE static inline Quantizer int4_quantizer(float m) {
  const float scale = bf16_to_float(float_to_bf16(quantizer_of(m, -8.0F).scale));
  return {scale, scale == 0.0F || scale != scale ? 0.0F : 1.0F / scale};
}

}  // namespace switchyard::kernels
