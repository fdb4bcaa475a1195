#include <cmath>

#include "kernels/api/checks.h"
#include "kernels/api/numbers.h"
#include "kernels/api/quantize.h"
#include "kernels/api/thread_pool.h"
#include "kernels/cpu/plain.h"

namespace switchyard::kernels::cpu::plain {
namespace {

const char* row_of(const void* base, size_t row, size_t row_bytes) {
  return static_cast<const char*>(base) + row * row_bytes;
}
char* row_of(void* base, size_t row, size_t row_bytes) { return static_cast<char*>(base) + row * row_bytes; }

// The bytes of a matrix row: values as they are, or [scales][int8 values], a scale a row or a group.
uint32_t scale_count(WeightForm form, uint32_t k) {
  return form == WeightForm::kInt8 ? 1 : (k + kInt4Group - 1) / kInt4Group;
}
size_t matrix_row_bytes(WeightForm form, uint32_t k) {
  switch (form) {
    case WeightForm::kFloat32: return k * sizeof(float);
    case WeightForm::kBfloat16: return k * sizeof(uint16_t);
    default: return scale_count(form, k) * sizeof(float) + round_up(k, sizeof(float));
  }
}

template <typename T>
float dot(const char* w, const char* x, uint32_t k) {
  const T* a = reinterpret_cast<const T*>(w);
  const T* b = reinterpret_cast<const T*>(x);
  float sum = 0.0F;
  for (uint32_t i = 0; i < k; ++i) sum = std::fma(to_float(a[i]), to_float(b[i]), sum);
  return sum;
}

float int8_dot(WeightForm form, const char* w, const char* x, uint32_t k) {
  const auto* scales = reinterpret_cast<const float*>(w);
  const auto* a = reinterpret_cast<const int8_t*>(scales + scale_count(form, k));
  const auto* b = reinterpret_cast<const int8_t*>(x);
  const float x_scale = int8_row_tail(x, k).scale;
  const auto sum_of = [&](uint32_t begin, uint32_t end) {
    int32_t sum = 0;
    for (uint32_t i = begin; i < end; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
    return static_cast<float>(sum);
  };
  if (form == WeightForm::kInt8) return sum_of(0, k) * (x_scale * scales[0]);
  float sum = 0.0F;
  for (uint32_t begin = 0; begin < k; begin += kInt4Group) {
    sum = std::fma(sum_of(begin, least(begin + kInt4Group, k)), scales[begin / kInt4Group], sum);
  }
  return sum * x_scale;
}

// One output of one encoded row.
float output(const PackedMatrix& w, uint32_t n, const char* x) {
  const char* row = row_of(w.data, n, matrix_row_bytes(w.form, w.k));
  float sum = 0.0F;
  switch (w.form) {
    case WeightForm::kFloat32: sum = dot<float>(row, x, w.k); break;
    case WeightForm::kBfloat16: sum = dot<uint16_t>(row, x, w.k); break;
    default: sum = int8_dot(w.form, row, x, w.k);
  }
  return w.bias == nullptr ? sum : sum + w.bias[n];
}

void encode_int8_row(const float* x, uint32_t k, char* out) {
  auto* values = reinterpret_cast<int8_t*>(out);
  auto& tail = *reinterpret_cast<Int8RowTail*>(out + int8_row_values(k));
  auto* group_sums = reinterpret_cast<int32_t*>(out + int8_group_sums(k));
  const Quantizer quantizer = int8_quantizer(largest_size(x, k));
  quantize(x, k, quantizer, -127.0F, 127.0F, values);
  tail.scale = quantizer.scale;
  for (uint32_t i = 0; i < k; ++i) {
    tail.sum += values[i];
    group_sums[i / kInt4Group] += values[i];
  }
}

void encode_row(WeightForm form, const float* x, uint32_t k, char* out) {
  std::memset(out, 0, encoded_bytes(form, k));
  if (form == WeightForm::kFloat32) {
    std::memcpy(out, x, k * sizeof(float));
  } else if (form == WeightForm::kBfloat16) {
    auto* values = reinterpret_cast<uint16_t*>(out);
    for (uint32_t i = 0; i < k; ++i) values[i] = float_to_bf16(x[i]);
  } else {
    encode_int8_row(x, k, out);
  }
}

void pack_row(WeightForm form, const float* w, uint32_t k, char* out) {
  if (!is_quantized(form)) {
    for (uint32_t i = 0; i < k; ++i) {
      if (form == WeightForm::kFloat32) {
        reinterpret_cast<float*>(out)[i] = w[i];
      } else {
        reinterpret_cast<uint16_t*>(out)[i] = float_to_bf16(w[i]);
      }
    }
    return;
  }
  auto* scales = reinterpret_cast<float*>(out);
  auto* values = reinterpret_cast<int8_t*>(scales + scale_count(form, k));
  if (form == WeightForm::kInt8) {
    const Quantizer quantizer = int8_quantizer(largest_size(w, k));
    scales[0] = quantizer.scale;
    quantize(w, k, quantizer, -127.0F, 127.0F, values);
    return;
  }
  for (uint32_t begin = 0; begin < k; begin += kInt4Group) {
    const uint32_t count = least(kInt4Group, k - begin);
    const Quantizer quantizer = int4_quantizer(furthest(w + begin, count));
    scales[begin / kInt4Group] = quantizer.scale;
    quantize(w + begin, count, quantizer, -8.0F, 7.0F, values + begin);
  }
}

void unpack_row(const PackedMatrix& table, uint32_t row, float* out) {
  const char* from = row_of(table.data, row, matrix_row_bytes(table.form, table.k));
  const auto* scales = reinterpret_cast<const float*>(from);
  for (uint32_t i = 0; i < table.k; ++i) {
    switch (table.form) {
      case WeightForm::kFloat32: out[i] = reinterpret_cast<const float*>(from)[i]; break;
      case WeightForm::kBfloat16: out[i] = bf16_to_float(reinterpret_cast<const uint16_t*>(from)[i]); break;
      default: {
        const auto* values = reinterpret_cast<const int8_t*>(scales + scale_count(table.form, table.k));
        out[i] = static_cast<float>(values[i]) * scales[table.form == WeightForm::kInt8 ? 0 : i / kInt4Group];
      }
    }
  }
}

float activate(const ActivationSpec& spec, float gate, float up) {
  switch (spec.kind) {
    case Activation::kSilu: return gate / (1.0F + std::exp(-gate)) * up;
    case Activation::kGptOssGlu:
      gate = std::fmin(gate, spec.limit);
      up = std::fmax(std::fmin(up, spec.limit), -spec.limit);
      return (up + 1.0F) * (gate / (1.0F + std::exp(-spec.alpha * gate)));
  }
  return 0.0F;
}

}  // namespace

size_t packed_bytes(WeightForm form, uint32_t n, uint32_t k) { return round_up(n * matrix_row_bytes(form, k), 64); }

void pack_rows(WeightForm form, uint32_t n, uint32_t k, uint32_t row_begin, uint32_t row_end, const float* src,
               void* data) {
  check_pack_range(n, row_begin, row_end, pack_row_unit(form));
  for (uint32_t row = row_begin; row < row_end; ++row) {
    pack_row(form, src + size_t{row - row_begin} * k, k, row_of(data, row, matrix_row_bytes(form, k)));
  }
}

void embed(ThreadPool& pool, const PackedMatrix& table, const int32_t* ids, uint32_t rows, float* y) {
  check_matrix(table);
  pool.parallel_for(rows, 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      check_row(table, ids[r]);
      unpack_row(table, static_cast<uint32_t>(ids[r]), y + r * table.k);
    }
  });
}

uint32_t pack_row_unit(WeightForm) { return 1; }

size_t encoded_row_bytes(WeightForm form, uint32_t k) { return encoded_bytes(form, k); }

void encode_rows(ThreadPool& pool, WeightForm form, const float* x, size_t x_stride, uint32_t rows, uint32_t k,
                 void* out) {
  pool.parallel_for(rows, 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) encode_row(form, x + r * x_stride, k, row_of(out, r, encoded_bytes(form, k)));
  });
}

void gemm(ThreadPool& pool, const void* x, uint32_t rows, const PackedMatrix& w, float* y, size_t y_stride) {
  check_matrix(w);
  const size_t row_bytes = encoded_bytes(w.form, w.k);
  pool.parallel_for(w.n, 1, [&](size_t begin, size_t end) {
    for (size_t n = begin; n < end; ++n) {
      for (size_t r = 0; r < rows; ++r)
        y[r * y_stride + n] = output(w, static_cast<uint32_t>(n), row_of(x, r, row_bytes));
    }
  });
}

void gemm_heads(ThreadPool& pool, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows,
                const PackedMatrix* w, uint32_t heads, float* y, size_t y_row_stride, size_t y_head_stride) {
  for (uint32_t h = 0; h < heads; ++h) {
    check_matrix(w[h]);
    void* encoded = pool.scratch(0, rows * encoded_bytes(w[h].form, w[h].k));
    encode_rows(pool, w[h].form, x + h * x_head_stride, x_row_stride, rows, w[h].k, encoded);
    gemm(pool, encoded, rows, w[h], y + h * y_head_stride, y_row_stride);
  }
}

void grouped_mlp(ThreadPool& pool, const void* x, const uint32_t* row_offsets, const MlpWeights* mlps, uint32_t slots,
                 const ActivationSpec& activation, float* y) {
  for (uint32_t s = 0; s < slots; ++s) {
    const MlpWeights& mlp = mlps[s];
    if (row_offsets[s] == row_offsets[s + 1]) continue;
    check_mlp(mlp);
    const size_t x_bytes = encoded_bytes(mlp.gate.form, mlp.gate.k);
    const size_t h_bytes = encoded_bytes(mlp.down.form, mlp.down.k);
    for (uint32_t r = row_offsets[s]; r < row_offsets[s + 1]; ++r) {
      char* scratch = static_cast<char*>(pool.scratch(0, h_bytes + mlp.gate.n * sizeof(float)));
      char* encoded = scratch;
      auto* act = reinterpret_cast<float*>(scratch + h_bytes);
      const char* row = row_of(x, r, x_bytes);
      pool.parallel_for(mlp.gate.n, 1, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          const auto n = static_cast<uint32_t>(i);
          act[i] = activate(activation, output(mlp.gate, n, row), output(mlp.up, n, row));
        }
      });
      encode_row(mlp.down.form, act, mlp.down.k, encoded);
      gemm(pool, encoded, 1, mlp.down, y + size_t{r} * mlp.down.n, mlp.down.n);
    }
  }
}

}  // namespace switchyard::kernels::cpu::plain
