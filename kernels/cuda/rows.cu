// Row-wise ops: a block a row, or a thread a value.
#include "kernels/api/checks.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/reduce.cuh"

namespace switchyard::kernels::cuda {
namespace {

constexpr uint32_t kThreads = 256;

uint32_t blocks_of(size_t count) { return static_cast<uint32_t>((count + kThreads - 1) / kThreads); }
__device__ size_t thread_index() { return size_t{blockIdx.x} * blockDim.x + threadIdx.x; }

__global__ void rms_norm_kernel(const float* x, size_t x_stride, uint32_t d, const float* weight, float eps, float* y,
                                size_t y_stride) {
  const float* in = x + blockIdx.x * x_stride;
  float* out = y + blockIdx.x * y_stride;
  double squares = 0.0;
  for (uint32_t i = threadIdx.x; i < d; i += blockDim.x) squares += double{in[i]} * double{in[i]};
  squares = reduce_block(squares, Sum());
  const auto scale = static_cast<float>(1.0 / sqrt(squares / d + double{eps}));
  for (uint32_t i = threadIdx.x; i < d; i += blockDim.x) out[i] = in[i] * scale * weight[i];
}

__global__ void add_kernel(float* x, const float* y, size_t count) {
  const size_t i = thread_index();
  if (i < count) x[i] += y[i];
}

__global__ void add_gated_kernel(float* x, const float* y, const float* gate, uint32_t d, size_t count) {
  const size_t i = thread_index();
  if (i >= count) return;
  const float g = 1.0F / (1.0F + expf(-gate[i / d]));
  x[i] = fmaf(g, y[i], x[i]);
}

__global__ void rope_kernel(RopeSpec spec, const float* cos_sin, const uint32_t* positions, float* x,
                            size_t x_row_stride, uint32_t heads, uint32_t head_dim, size_t count) {
  const size_t i = thread_index();
  if (i >= count) return;
  const uint32_t pairs = spec.rotary_dim / 2;
  const auto j = static_cast<uint32_t>(i % pairs);
  const size_t head = i / pairs % heads;
  const size_t row = i / pairs / heads;
  const float* cos = cos_sin + size_t{positions[row]} * spec.rotary_dim;
  const float* sin = cos + pairs;
  float* values = x + row * x_row_stride + head * head_dim + spec.offset;
  float& a = spec.interleaved ? values[2 * j] : values[j];
  float& b = spec.interleaved ? values[2 * j + 1] : values[j + pairs];
  const float rotated_a = a * cos[j] - b * sin[j];
  const float rotated_b = b * cos[j] + a * sin[j];
  a = rotated_a;
  b = rotated_b;
}

__global__ void copy_kernel(const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t heads, uint32_t d,
                            float* y, size_t y_row_stride, size_t y_head_stride, size_t count) {
  const size_t i = thread_index();
  if (i >= count) return;
  const size_t head = i / d % heads;
  const size_t row = i / d / heads;
  y[row * y_row_stride + head * y_head_stride + i % d] = x[row * x_row_stride + head * x_head_stride + i % d];
}

__global__ void combine_kernel(const float* const* answers, const float* weights, uint32_t top_k, uint32_t d,
                               float* out, size_t count) {
  const size_t i = thread_index();
  if (i >= count) return;
  const size_t row = i / d;
  float sum = 0.0F;
  for (size_t j = row * top_k; j < (row + 1) * top_k; ++j) sum = fmaf(weights[j], answers[j][i % d], sum);
  out[i] += sum;
}

}  // namespace

void rms_norm(ThreadPool&, const float* x, size_t x_stride, uint32_t rows, uint32_t d, const float* weight, float eps,
              float* y, size_t y_stride) {
  launch(rms_norm_kernel, dim3(rows), kThreads, 0, x, x_stride, d, weight, eps, y, y_stride);
}

void add(ThreadPool&, float* x, const float* y, size_t count) {
  launch(add_kernel, dim3(blocks_of(count)), kThreads, 0, x, y, count);
}

void add_gated(ThreadPool&, float* x, const float* y, const float* gate, uint32_t rows, uint32_t d) {
  const size_t count = size_t{rows} * d;
  launch(add_gated_kernel, dim3(blocks_of(count)), kThreads, 0, x, y, gate, d, count);
}

void rope(ThreadPool&, const RopeSpec& spec, const float* cos_sin, const uint32_t* positions, float* x,
          size_t x_row_stride, uint32_t rows, uint32_t heads, uint32_t head_dim) {
  check_rope(spec, head_dim);
  const size_t count = size_t{rows} * heads * (spec.rotary_dim / 2);
  launch(rope_kernel, dim3(blocks_of(count)), kThreads, 0, spec, cos_sin, stage(positions, rows), x, x_row_stride,
         heads, head_dim, count);
}

void copy(ThreadPool&, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows, uint32_t heads,
          uint32_t d, float* y, size_t y_row_stride, size_t y_head_stride) {
  const size_t count = size_t{rows} * heads * d;
  launch(copy_kernel, dim3(blocks_of(count)), kThreads, 0, x, x_row_stride, x_head_stride, heads, d, y, y_row_stride,
         y_head_stride, count);
}

void combine(ThreadPool&, const float* const* answers, const float* weights, uint32_t rows, uint32_t top_k, uint32_t d,
             float* out) {
  const size_t count = size_t{rows} * d;
  const size_t pairs = size_t{rows} * top_k;
  launch(combine_kernel, dim3(blocks_of(count)), kThreads, 0, stage(answers, pairs), stage(weights, pairs), top_k, d,
         out, count);
}

}  // namespace switchyard::kernels::cuda
