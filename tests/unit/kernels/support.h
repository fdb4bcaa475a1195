// What the kernel tests share: every table as a parameter, numbers from a fixed seed, plain references in double.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/api/ops.h"
#include "kernels/api/thread_pool.h"

namespace switchyard::kernels {

// One test body, run for every table of this machine.
class Table : public testing::TestWithParam<const OpTable*> {
 protected:
  const OpTable& ops() const { return *GetParam(); }
  // Those to test with: of a device, which has threads of its own, only the first.
  std::vector<uint32_t> thread_counts(std::vector<uint32_t> of_host) const {
    if (!ops().is_host) of_host.resize(1);
    return of_host;
  }
};

// tables.cpp here: this machine's, and CUDA's on an emulation of the grid; in tests/gpu: the GPU's.
std::vector<const OpTable*> all_tables();

inline std::string table_name(const testing::TestParamInfo<const OpTable*>& info) {
  std::string name = info.param->name;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

inline std::vector<float> random_values(size_t count, uint32_t seed, float scale = 1.0F) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> distribution(-scale, scale);
  std::vector<float> values(count);
  for (float& v : values) v = distribution(engine);
  return values;
}

// To the nearest bfloat16, ties to even, by arithmetic of its own: the candidates are the value cut to 8 bits of
// mantissa and the next one.
inline float to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const uint32_t low = bits & 0xffff0000U;
  const uint32_t high = low + 0x10000U;
  float a;
  float b;
  std::memcpy(&a, &low, 4);
  std::memcpy(&b, &high, 4);
  const double below = std::fabs(double{x} - double{a});
  const double above = std::fabs(double{b} - double{x});
  if (below != above) return below < above ? a : b;
  return (low & 0x10000U) == 0 ? a : b;
}

// Values as multiples of a scale that the furthest of them sets, `levels` away from zero.
inline void quantize(float* values, size_t count, double furthest, double levels, int low, int high, bool bf16_scale) {
  auto scale = static_cast<float>(furthest / levels);
  if (bf16_scale) scale = to_bf16(scale);
  for (size_t i = 0; i < count; ++i) {
    // As the form says, in fp32: a product with the inverse.
    const float inverse = bf16_scale ? 1.0F / scale : static_cast<float>(levels) / static_cast<float>(furthest);
    const float q = scale == 0.0F ? 0.0F : std::nearbyint(values[i] * inverse);
    values[i] = std::min(std::max(q, static_cast<float>(low)), static_cast<float>(high)) * scale;
  }
}
inline float largest_size(const float* values, size_t count) {
  float largest = 0.0F;
  for (size_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(values[i]));
  return largest;
}

// What a form keeps of an input row, and of a row of weights.
inline std::vector<float> rounded_input(WeightForm form, std::vector<float> row) {
  if (form == WeightForm::kBfloat16) {
    for (float& v : row) v = to_bf16(v);
  } else if (form != WeightForm::kFloat32) {
    quantize(row.data(), row.size(), largest_size(row.data(), row.size()), 127, -127, 127, false);
  }
  return row;
}
inline std::vector<float> rounded_weights(WeightForm form, std::vector<float> row) {
  if (form != WeightForm::kInt4) return rounded_input(form, std::move(row));
  for (size_t begin = 0; begin < row.size(); begin += kInt4Group) {
    float* group = row.data() + begin;
    const size_t count = std::min<size_t>(kInt4Group, row.size() - begin);
    const float high = *std::max_element(group, group + count);
    const float low = *std::min_element(group, group + count);
    quantize(group, count, high >= -low ? high : low, -8, -8, 7, true);
  }
  return row;
}

// Memory at 64 bytes, zeroed.
class Memory {
 public:
  explicit Memory(size_t bytes) : data_(::operator new ((bytes + 127) / 64 * 64, std::align_val_t{64})) {
    std::memset(data_.get(), 0, (bytes + 127) / 64 * 64);
  }
  void* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(void* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<void, Free> data_;
};

// A matrix as it was made and as a table packs it.
struct Matrix {
  std::vector<float> values;  // (n, k), rounded to the form
  std::vector<float> bias;    // (n) or empty
  Memory memory;
  PackedMatrix packed;

  Matrix(const OpTable& ops, WeightForm form, uint32_t n, uint32_t k, uint32_t seed, bool with_bias = false)
      : values(random_values(size_t{n} * k, seed)), memory(ops.packed_bytes(form, n, k)) {
    if (with_bias) bias = random_values(n, seed + 1000003);
    // In parts of whole units, as a loader with bounded memory does.
    const uint32_t unit = ops.pack_row_unit(form);
    for (uint32_t row = 0; row < n; row += 3 * unit) {
      const uint32_t end = std::min(n, row + 3 * unit);
      ops.pack_rows(form, n, k, row, end, values.data() + size_t{row} * k, memory.get());
    }
    for (uint32_t row = 0; row < n; ++row) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(size_t{row} * k);
      const std::vector<float> kept = rounded_weights(form, {begin, begin + k});
      std::copy(kept.begin(), kept.end(), begin);
    }
    packed = {form, n, k, memory.get(), with_bias ? bias.data() : nullptr};
  }

  // W x + b in double, and the rounding error an fp32 sum of k products may have.
  double product(uint32_t row, const float* x, double* error = nullptr) const {
    double sum = bias.empty() ? 0.0 : double{bias[row]};
    double size = std::fabs(sum);
    for (uint32_t i = 0; i < packed.k; ++i) {
      const double term = double{values[size_t{row} * packed.k + i]} * double{x[i]};
      sum += term;
      size += std::fabs(term);
    }
    if (error != nullptr) *error = (packed.k + 2) * 0x1p-24 * size + 1e-30;
    return sum;
  }
};

inline bool same_bits(const float* a, const float* b, size_t count) {
  return count == 0 || std::memcmp(a, b, count * sizeof(float)) == 0;
}

}  // namespace switchyard::kernels
