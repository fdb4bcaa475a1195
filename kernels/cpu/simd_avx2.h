// The vector words of the AVX2 + FMA table; simd_avx512.h has the same words and says more about them.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

constexpr uint32_t kLanes = 8;
constexpr uint32_t kTileRows = 6;      // 6 rows x 2 vectors of sums + 2 of weights + 1 of inputs: 15 of 16 registers
constexpr uint32_t kInt8TileRows = 4;  // weights are two vectors each, and a product takes two more
constexpr uint32_t kInt4TileRows = 2;

using F = __m256;
using I = __m256i;

inline I lane_ids() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
inline I first_lanes(size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count >= 8 ? 8 : static_cast<int32_t>(count)), lane_ids());
}

inline F zero() { return _mm256_setzero_ps(); }
inline F broadcast(float x) { return _mm256_set1_ps(x); }
inline F load(const float* p) { return _mm256_loadu_ps(p); }
inline F load_first(const float* p, size_t count) { return _mm256_maskload_ps(p, first_lanes(count)); }
inline void store(float* p, F x) { _mm256_storeu_ps(p, x); }
inline void store_first(float* p, F x, size_t count) { _mm256_maskstore_ps(p, first_lanes(count), x); }

inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
// The same, and the sum keeps its register: where a loop needs all of them, GCC moves sums about and spills some.
inline F fma_in_place(F a, F b, F c) {
  asm("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
  return c;
}
inline F add(F a, F b) { return _mm256_add_ps(a, b); }
inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
inline F div(F a, F b) { return _mm256_div_ps(a, b); }
inline F max(F a, F b) { return _mm256_max_ps(a, b); }
inline F min(F a, F b) { return _mm256_min_ps(a, b); }
inline F round_nearest(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline F power_of_two(F n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline F zero_below(F x, F bound, F test) { return _mm256_and_ps(x, _mm256_cmp_ps(test, bound, _CMP_NLT_UQ)); }
inline F select_lanes(F x, size_t from, size_t to, F other) {
  const I keep = _mm256_andnot_si256(first_lanes(from), first_lanes(to));
  return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(keep));
}
inline float first(F x) { return _mm256_cvtss_f32(x); }

inline float sum_of(F x) {
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
inline float max_of(F x) {
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

inline F widen(__m128i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)); }
inline F load(const uint16_t* p) { return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
inline F load_first(const uint16_t* p, size_t count) {
  alignas(16) uint16_t values[8] = {};
  for (size_t i = 0; i < count && i < 8; ++i) values[i] = p[i];
  return widen(_mm_load_si128(reinterpret_cast<const __m128i*>(values)));
}
inline __m128i narrow(F x) {
  const I bits = _mm256_castps_si256(x);
  const I odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const I rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const I nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const I quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x40));
  const I result = _mm256_blendv_epi8(rounded, quiet, nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1));
}
inline F load(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline void store(uint16_t* p, F x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow(x)); }
inline void store_first(uint16_t* p, F x, size_t count) {
  alignas(16) uint16_t values[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(values), narrow(x));
  for (size_t i = 0; i < count && i < 8; ++i) p[i] = values[i];
}
inline I narrow_pairs(F low, F high) { return _mm256_set_m128i(narrow(high), narrow(low)); }
inline void store_bits(void* p, I x) { _mm256_storeu_si256(static_cast<I*>(p), x); }
inline I bits_of(F x) { return _mm256_castps_si256(x); }

constexpr bool kPairDots = false;
struct Pairs {
  F even;
  F odd;
};
inline Pairs split(I x) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
          _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(static_cast<int32_t>(0xffff0000))))};
}
inline Pairs load_pairs(const uint16_t* p) { return split(_mm256_loadu_si256(reinterpret_cast<const I*>(p))); }
inline Pairs broadcast_pair(const uint16_t* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return split(_mm256_set1_epi32(bits));
}
inline F dot(Pairs a, Pairs b, F sum) { return fma(a.odd, b.odd, fma(a.even, b.even, sum)); }
// The even values (0) or the odd ones (1) of kLanes pairs.
inline F load_half_of_pairs(const uint16_t* p, uint32_t half) {
  const Pairs pairs = load_pairs(p);
  return half == 0 ? pairs.even : pairs.odd;
}
inline I pair_up(const uint16_t* even, const uint16_t* odd) {
  const I low = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(even)));
  const I high = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(odd)));
  return _mm256_or_si256(low, _mm256_slli_epi32(high, 16));
}
inline Pairs as_pairs(I x) { return split(x); }

inline I zero_bits() { return _mm256_setzero_si256(); }
inline I load_bits(const void* p) { return _mm256_loadu_si256(static_cast<const I*>(p)); }
inline I broadcast_int(int32_t x) { return _mm256_set1_epi32(x); }
inline I broadcast_bytes(const void* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return _mm256_set1_epi32(bits);
}
inline F to_float(I x) { return _mm256_cvtepi32_ps(x); }
inline I sub_ints(I a, I b) { return _mm256_sub_epi32(a, b); }
inline I add_ints(I a, I b) { return _mm256_add_epi32(a, b); }
inline int32_t sum_of_ints(I x) {
  const __m128i a = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  const __m128i b = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(b, _mm_shuffle_epi32(b, 0xb1)));
}
inline F absolute(F x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x); }
inline bool any_nan(F x) { return _mm256_movemask_ps(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)) != 0; }
inline I to_int(F x) { return _mm256_cvtps_epi32(x); }
inline I clamp_ints(I x, int32_t low, int32_t high) {
  return _mm256_min_epi32(_mm256_max_epi32(x, _mm256_set1_epi32(low)), _mm256_set1_epi32(high));
}
inline I pack_bytes(I a, I b, I c, I d) {
  const I bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
inline void store_low_bytes(void* p, I x) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  _mm_storel_epi64(static_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
inline I low_nibbles(I x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
inline I high_nibbles(I x) { return _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15)); }
inline I join_nibbles(I low, I high) { return _mm256_or_si256(low, _mm256_slli_epi16(high, 4)); }

constexpr int32_t kByteOffset = 0;
struct Bytes {
  I size;
  I sign;
};
inline Bytes load_weight_bytes(const void* p) {
  const I w = load_bits(p);
  return {_mm256_abs_epi8(w), w};
}
inline I dot_nibbles(I w, I x, I sum) {
  return add_ints(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
}
inline I dot(Bytes w, I x, I sum) { return dot_nibbles(w.size, _mm256_sign_epi8(x, w.sign), sum); }

inline void transpose(I (&r)[8]) {
  I t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm256_permute2x128_si256(r[j], r[4 + j], 0x20);
    t[4 + j] = _mm256_permute2x128_si256(r[j], r[4 + j], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
