// The vector words of the AVX-512 tables (F, BW, DQ, VL; VNNI and BF16 where the compiler has them). Included by one
// source file an instruction set, which names SWITCHYARD_SIMD, the namespace of its code. simd_avx2.h has the same
// words.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

constexpr uint32_t kLanes = 16;
constexpr uint32_t kTileRows =
    12;  // 12 rows x 2 vectors of sums + 2 of weights (4 when widened) + 1 or 2 of inputs: 32 registers
constexpr uint32_t kInt8TileRows = 12;
constexpr uint32_t kInt4TileRows = 6;  // two sums, of integers and of floats

using F = __m512;
using I = __m512i;

inline __mmask16 first_lanes(size_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffffU : (1U << count) - 1U);
}

inline F zero() { return _mm512_setzero_ps(); }
inline F broadcast(float x) { return _mm512_set1_ps(x); }
inline F load(const float* p) { return _mm512_loadu_ps(p); }
inline F load_first(const float* p, size_t count) { return _mm512_maskz_loadu_ps(first_lanes(count), p); }
inline void store(float* p, F x) { _mm512_storeu_ps(p, x); }
inline void store_first(float* p, F x, size_t count) { _mm512_mask_storeu_ps(p, first_lanes(count), x); }

inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F fma_in_place(F a, F b, F c) { return fma(a, b, c); }
inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F div(F a, F b) { return _mm512_div_ps(a, b); }
// Of a NaN and a number, the second operand: put the one whose NaN should show second.
inline F max(F a, F b) { return _mm512_max_ps(a, b); }
inline F min(F a, F b) { return _mm512_min_ps(a, b); }
inline F round_nearest(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// 2^n for whole n in -126 .. 127.
inline F power_of_two(F n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}
// x where x >= bound, else 0. A NaN stays.
inline F zero_below(F x, F bound, F test) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(test, bound, _CMP_NLT_UQ), x);
}
// Lanes [from, to) of x, `other` elsewhere.
inline F select_lanes(F x, size_t from, size_t to, F other) {
  return _mm512_mask_mov_ps(other, static_cast<__mmask16>(first_lanes(to) & ~first_lanes(from)), x);
}
inline float first(F x) { return _mm512_cvtss_f32(x); }

// Fixed trees: halves, then quarters, and so on.
inline float sum_of(F x) {
  const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
inline float max_of(F x) {
  const __m256 a = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}

// bfloat16. Narrowing is to nearest even in integers, the same in every table (the machine's own instruction would drop
// denormals).
inline F widen(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
inline F load(const uint16_t* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline F load_first(const uint16_t* p, size_t count) { return widen(_mm256_maskz_loadu_epi16(first_lanes(count), p)); }
inline __m256i narrow(F x) {
  const I bits = _mm512_castps_si512(x);
  const I odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const I rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const I quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, quiet));
}
inline F load(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline void store(uint16_t* p, F x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(x)); }
inline void store_first(uint16_t* p, F x, size_t count) { _mm256_mask_storeu_epi16(p, first_lanes(count), narrow(x)); }
// 2 kLanes values as kLanes pairs (2j, 2j+1).
inline I narrow_pairs(F low, F high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(narrow(low)), narrow(high), 1);
}
inline void store_bits(void* p, I x) { _mm512_storeu_si512(p, x); }
inline I bits_of(F x) { return _mm512_castps_si512(x); }

// Pairs of bfloat16 times pairs, summed into fp32: a's low value first where it takes two steps.
#ifdef __AVX512BF16__
constexpr bool kPairDots = true;  // one instruction multiplies pairs
using Pairs = __m512bh;
inline Pairs load_pairs(const uint16_t* p) { return reinterpret_cast<Pairs>(_mm512_loadu_si512(p)); }
inline Pairs broadcast_pair(const uint16_t* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return reinterpret_cast<Pairs>(_mm512_set1_epi32(bits));
}
inline F dot(Pairs a, Pairs b, F sum) { return _mm512_dpbf16_ps(sum, a, b); }
#else
constexpr bool kPairDots = false;
struct Pairs {
  F even;
  F odd;
};
inline Pairs split(I x) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
          _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int32_t>(0xffff0000))))};
}
inline Pairs load_pairs(const uint16_t* p) { return split(_mm512_loadu_si512(p)); }
inline Pairs broadcast_pair(const uint16_t* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return split(_mm512_set1_epi32(bits));
}
inline F dot(Pairs a, Pairs b, F sum) { return fma(a.odd, b.odd, fma(a.even, b.even, sum)); }
#endif

// The even values (0) or the odd ones (1) of kLanes pairs.
inline F load_half_of_pairs(const uint16_t* p, uint32_t half) {
  const I x = _mm512_loadu_si512(p);
  return _mm512_castsi512_ps(half == 0 ? _mm512_slli_epi32(x, 16)
                                       : _mm512_and_si512(x, _mm512_set1_epi32(static_cast<int32_t>(0xffff0000))));
}

// kLanes values of either as pairs (even, odd).
inline I pair_up(const uint16_t* even, const uint16_t* odd) {
  const I low = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(even)));
  const I high = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd)));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}
inline Pairs as_pairs(I x) {
#ifdef __AVX512BF16__
  return reinterpret_cast<Pairs>(x);
#else
  return split(x);
#endif
}

// Integers, 32 bits a lane, or four bytes.
inline I zero_bits() { return _mm512_setzero_si512(); }
inline I load_bits(const void* p) { return _mm512_loadu_si512(p); }
inline I broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
inline I broadcast_bytes(const void* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return _mm512_set1_epi32(bits);
}
inline F to_float(I x) { return _mm512_cvtepi32_ps(x); }
inline I sub_ints(I a, I b) { return _mm512_sub_epi32(a, b); }
inline I add_ints(I a, I b) { return _mm512_add_epi32(a, b); }
inline int32_t sum_of_ints(I x) { return _mm512_reduce_add_epi32(x); }
inline F absolute(F x) { return _mm512_abs_ps(x); }
inline bool any_nan(F x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q) != 0; }
// To the nearest integer, ties to even.
inline I to_int(F x) { return _mm512_cvtps_epi32(x); }
inline I clamp_ints(I x, int32_t low, int32_t high) {
  return _mm512_min_epi32(_mm512_max_epi32(x, _mm512_set1_epi32(low)), _mm512_set1_epi32(high));
}
// The low bytes of 4 kLanes integers, in order.
inline I pack_bytes(I a, I b, I c, I d) {
  const __m256i low = _mm256_set_m128i(_mm512_cvtepi32_epi8(b), _mm512_cvtepi32_epi8(a));
  const __m256i high = _mm256_set_m128i(_mm512_cvtepi32_epi8(d), _mm512_cvtepi32_epi8(c));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
inline void store_low_bytes(void* p, I x) { _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x)); }
// Each byte's nibbles as bytes 0 .. 15, and two such vectors as one.
inline I low_nibbles(I x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
inline I high_nibbles(I x) { return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15)); }
inline I join_nibbles(I low, I high) { return _mm512_or_si512(low, _mm512_slli_epi16(high, 4)); }

// sum += four weight bytes times four input bytes (signed, -127 .. 127) in each lane, exactly. Packed weights are
// signed bytes plus kByteOffset; nibbles are 0 .. 15.
#ifdef __AVX512VNNI__
constexpr int32_t kByteOffset = 128;
using Bytes = I;
inline Bytes load_weight_bytes(const void* p) { return load_bits(p); }
inline I dot(Bytes w, I x, I sum) { return _mm512_dpbusd_epi32(sum, w, x); }
inline I dot_nibbles(I w, I x, I sum) { return _mm512_dpbusd_epi32(sum, w, x); }
#else
constexpr int32_t kByteOffset = 0;
struct Bytes {
  I size;
  __mmask64 negative;
};
inline Bytes load_weight_bytes(const void* p) {
  const I w = load_bits(p);
  return {_mm512_abs_epi8(w), _mm512_movepi8_mask(w)};
}
// Pairs of products stay within 16 bits: 2 * 127 * 127.
inline I dot_nibbles(I w, I x, I sum) {
  return add_ints(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
}
inline I dot(Bytes w, I x, I sum) {
  return dot_nibbles(w.size, _mm512_mask_sub_epi8(x, w.negative, zero_bits(), x), sum);
}
#endif

// kLanes rows of kLanes 32-bit values, in place.
inline void transpose(I (&r)[16]) {
  I t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  // r[4 i + j]: column j of each 128-bit lane, of rows 4 i .. 4 i + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  // A 4 x 4 transpose of 128-bit lanes for each j.
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const I a = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);  // lanes 0, 2 of both
    const I b = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);  // lanes 1, 3
    const I c = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    const I d = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
    t[j] = _mm512_shuffle_i32x4(a, c, 0x88);
    t[4 + j] = _mm512_shuffle_i32x4(b, d, 0x88);
    t[8 + j] = _mm512_shuffle_i32x4(a, c, 0xdd);
    t[12 + j] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
