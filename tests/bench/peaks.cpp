#include "tests/bench/peaks.h"

#include <immintrin.h>

namespace switchyard::kernels {
namespace {

constexpr uint64_t kSteps = 20000;
constexpr int kSums = 14;  // enough to hide the latency of two units

#define SWITCHYARD_TARGET(isa) __attribute__((target(isa)))

SWITCHYARD_TARGET("avx512f,avx512vnni") void int8_avx512() {
  const __m512i a = _mm512_set1_epi8(1);
  __m512i sums[kSums];
#pragma GCC unroll 14
  for (int i = 0; i < kSums; ++i) sums[i] = a;
  for (uint64_t n = 0; n < kSteps; ++n) {
#pragma GCC unroll 14
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], a, a);
      asm volatile("" : "+v"(sums[i]));
    }
  }
}

SWITCHYARD_TARGET("avx512f,avx512bf16") void bfloat16_avx512() {
  const __m512 one = _mm512_set1_ps(1.0F);
  const auto a = reinterpret_cast<__m512bh>(one);
  __m512 sums[kSums];
#pragma GCC unroll 14
  for (int i = 0; i < kSums; ++i) sums[i] = one;
  for (uint64_t n = 0; n < kSteps; ++n) {
#pragma GCC unroll 14
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm512_dpbf16_ps(sums[i], a, a);
      asm volatile("" : "+v"(sums[i]));
    }
  }
}

SWITCHYARD_TARGET("avx512f") void float32_avx512() {
  const __m512 a = _mm512_set1_ps(0.5F);
  __m512 sums[kSums];
#pragma GCC unroll 14
  for (int i = 0; i < kSums; ++i) sums[i] = a;
  for (uint64_t n = 0; n < kSteps; ++n) {
#pragma GCC unroll 14
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm512_fmadd_ps(sums[i], a, a);
      asm volatile("" : "+v"(sums[i]));
    }
  }
}

SWITCHYARD_TARGET("avx2,fma") void float32_avx2() {
  const __m256 a = _mm256_set1_ps(0.5F);
  __m256 sums[kSums];
#pragma GCC unroll 14
  for (int i = 0; i < kSums; ++i) sums[i] = a;
  for (uint64_t n = 0; n < kSteps; ++n) {
#pragma GCC unroll 14
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm256_fmadd_ps(sums[i], a, a);
      asm volatile("" : "+x"(sums[i]));
    }
  }
}

// vpmaddubsw, vpmaddwd and an add: four products a lane.
SWITCHYARD_TARGET("avx2") void int8_avx2() {
  const __m256i a = _mm256_set1_epi8(1);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[kSums];
#pragma GCC unroll 14
  for (int i = 0; i < kSums; ++i) sums[i] = a;
  for (uint64_t n = 0; n < kSteps; ++n) {
#pragma GCC unroll 14
    for (int i = 0; i < kSums; ++i) {
      __m256i x = a;
      asm volatile("" : "+x"(x));
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(_mm256_maddubs_epi16(x, a), ones));
      asm volatile("" : "+x"(sums[i]));
    }
  }
}

}  // namespace

uint64_t peak_operations(WeightForm form) {
  __builtin_cpu_init();
  const bool wide = __builtin_cpu_supports("avx512f");
  constexpr uint64_t kCalls = kSteps * kSums;
  if (form == WeightForm::kInt8 || form == WeightForm::kInt4) {
    if (wide && __builtin_cpu_supports("avx512vnni")) {
      int8_avx512();
      return kCalls * 16 * 4 * 2;
    }
    int8_avx2();
    return kCalls * 8 * 4 * 2;
  }
  if (form == WeightForm::kBfloat16 && wide && __builtin_cpu_supports("avx512bf16")) {
    bfloat16_avx512();
    return kCalls * 16 * 2 * 2;
  }
  if (wide) {
    float32_avx512();
    return kCalls * 16 * 2;
  }
  float32_avx2();
  return kCalls * 8 * 2;
}

}  // namespace switchyard::kernels
