#include <cmath>

#include "kernels/api/thread_pool.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/plain.h"
#include "kernels/cpu/scalar.h"

namespace switchyard::kernels::cpu::plain {
namespace {

const char* row_of(const void* base, size_t row, size_t row_bytes) {
  return static_cast<const char*>(base) + row * row_bytes;
}
char* row_of(void* base, size_t row, size_t row_bytes) { return static_cast<char*>(base) + row * row_bytes; }

template <typename T>
float dot(const void* w, const void* x, uint32_t k) {
  const T* a = static_cast<const T*>(w);
  const T* b = static_cast<const T*>(x);
  float sum = 0.0F;
  for (uint32_t i = 0; i < k; ++i) sum = std::fma(to_float(a[i]), to_float(b[i]), sum);
  return sum;
}

// One output of one encoded row.
float output(const PackedMatrix& w, uint32_t n, const void* x) {
  const char* row = row_of(w.data, n, w.k * element_bytes(w.form));
  const float sum = w.form == WeightForm::kFloat32 ? dot<float>(row, x, w.k) : dot<uint16_t>(row, x, w.k);
  return w.bias == nullptr ? sum : sum + w.bias[n];
}

void encode_row(WeightForm form, const float* x, uint32_t k, void* out) {
  std::memset(out, 0, encoded_bytes(form, k));
  if (form == WeightForm::kFloat32) {
    std::memcpy(out, x, k * sizeof(float));
  } else {
    auto* values = static_cast<uint16_t*>(out);
    for (uint32_t i = 0; i < k; ++i) values[i] = float_to_bf16(x[i]);
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

size_t packed_bytes(WeightForm form, uint32_t n, uint32_t k) {
  return round_up(size_t{n} * k * element_bytes(form), 64);
}

void pack_rows(WeightForm form, uint32_t n, uint32_t k, uint32_t row_begin, uint32_t row_end, const float* src,
               void* data) {
  check_pack_range(n, row_begin, row_end, pack_row_unit(form));
  const size_t first = size_t{row_begin} * k;
  const size_t count = size_t{row_end - row_begin} * k;
  if (form == WeightForm::kFloat32) {
    std::memcpy(static_cast<float*>(data) + first, src, count * sizeof(float));
  } else {
    auto* values = static_cast<uint16_t*>(data) + first;
    for (size_t i = 0; i < count; ++i) values[i] = float_to_bf16(src[i]);
  }
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
      void* encoded = scratch;
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
