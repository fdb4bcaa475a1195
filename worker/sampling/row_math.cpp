#include "worker/sampling/row_math.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace switchyard::worker {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr size_t kArgmaxBlock = 1024;
constexpr size_t kLanes = 32;  // independent running values, so that a pass is not one chain of dependent operations

// Cody-Waite reduction by ln 2 and the Taylor polynomial of degree 12 on |r| <= ln(2) / 2, where the next term is below
// 2e-16. Branch-free, so that loops over it become vector code; the same bits at any vector width since nothing is
// fused or reordered.
[[gnu::always_inline]] inline double exp_nonpositive(double d) {
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 6.93147180369123816490e-01;  // 33 bits: exact times any |k| <= 80
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer, left in the low bits
  const double clamped = d >= kLogWeightFloor ? d : kLogWeightFloor;
  const double shifted = clamped * kLog2E + kRound;
  const double k = shifted - kRound;
  const double r = (clamped - k * kLn2High) - k * kLn2Low;
  double p = 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  // p is in [0.7, 1.5), k in [-80, 0]: adding k to the exponent field cannot leave the normal range.
  const double scaled = std::bit_cast<double>(std::bit_cast<uint64_t>(p) + (std::bit_cast<uint64_t>(shifted) << 52));
  return d >= kLogWeightFloor ? scaled : 0.0;
}

[[gnu::always_inline]] inline void exp_loop(const float* row, size_t count, double max, double scale, double* weights) {
  for (size_t i = 0; i < count; ++i) weights[i] = exp_nonpositive((static_cast<double>(row[i]) - max) * scale);
}

using ExpFunction = void (*)(const float*, size_t, double, double, double*);

void exp_plain(const float* row, size_t count, double max, double scale, double* weights) {
  exp_loop(row, count, max, scale, weights);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void exp_avx2(const float* row, size_t count, double max, double scale, double* weights) {
  exp_loop(row, count, max, scale, weights);
}

ExpFunction choose_exp() { return __builtin_cpu_supports("avx2") ? exp_avx2 : exp_plain; }
#else
ExpFunction choose_exp() { return exp_plain; }
#endif

}  // namespace

float row_max(std::span<const float> row) {
  std::array<float, kLanes> best;
  best.fill(-kInfinity);
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) best[lane] = row[i + lane] > best[lane] ? row[i + lane] : best[lane];
  }
  float result = *std::max_element(best.begin(), best.end());
  for (; i < row.size(); ++i) result = row[i] > result ? row[i] : result;
  return result;
}

float row_min_finite(std::span<const float> row) {
  std::array<float, kLanes> best;
  best.fill(kInfinity);
  const auto smaller = [](float x, float y) {
    const float candidate = x > -kInfinity ? x : kInfinity;
    return candidate < y ? candidate : y;
  };
  size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) best[lane] = smaller(row[i + lane], best[lane]);
  }
  float result = *std::min_element(best.begin(), best.end());
  for (; i < row.size(); ++i) result = smaller(row[i], result);
  return result;
}

size_t row_argmax(std::span<const float> row) {
  // One pass: the maximum of each block by vector code, and a search in the one block that set the record.
  float max = -kInfinity;
  size_t best = 0;
  for (size_t begin = 0; begin < row.size(); begin += kArgmaxBlock) {
    const float block = row_max(row.subspan(begin, std::min(kArgmaxBlock, row.size() - begin)));
    if (block > max) {
      max = block;
      best = begin;
    }
  }
  if (max == -kInfinity) return 0;
  while (row[best] != max) ++best;
  return best;
}

size_t count_above(std::span<const float> row, float value) {
  uint32_t count = 0;
  for (const float x : row) count += x > value ? 1U : 0U;
  return count;
}

void exp_block(std::span<const float> row, double max, double scale, double* weights) {
  static const ExpFunction function = choose_exp();
  function(row.data(), row.size(), max, scale, weights);
}

double exp_block_sum(std::span<const float> row, double max, double scale) {
  std::array<double, kRowBlock> weights;
  exp_block(row, max, scale, weights.data());
  std::array<double, kSumLanes> lanes{};
  size_t i = 0;
  for (; i + kSumLanes <= row.size(); i += kSumLanes) {
    for (size_t lane = 0; lane < kSumLanes; ++lane) lanes[lane] += weights[i + lane];
  }
  for (size_t lane = 0; i < row.size(); ++i, ++lane) lanes[lane] += weights[i];
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

double exp_sum(std::span<const float> row, double max, double scale) {
  double sum = 0.0;
  for (size_t begin = 0; begin < row.size(); begin += kRowBlock) {
    sum += exp_block_sum(row.subspan(begin, std::min(kRowBlock, row.size() - begin)), max, scale);
  }
  return sum;
}

void copy_without_nan(std::span<const float> row, float* out) {
  for (size_t i = 0; i < row.size(); ++i) out[i] = row[i] == row[i] ? row[i] : -kInfinity;
}

void drop_below(std::span<float> row, double max, double scale, double floor) {
  for (float& x : row) x = (static_cast<double>(x) - max) * scale < floor ? -kInfinity : x;
}

}  // namespace switchyard::worker
