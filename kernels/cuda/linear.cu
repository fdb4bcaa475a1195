// Products with packed matrices.
//
// A packed matrix is (n, k) row-major in its form, a row padded with zeros to 16 bytes (quantized forms: to whole
// groups of kInt4Group values); behind the values lie the scales: int8 a float a row, int4 a bfloat16 a group. An int4
// group is 16 bytes: byte j has value j in its low half and value j + 16 in its high half, each with 8 added.
//
// One K order a form, whatever the rows: a warp computes an output of up to kTileRows rows. Lane l takes the 16-byte
// pieces l, l + 32, ... of k in order, and the lanes' sums are joined by halves. Integer sums are exact; int4's groups
// are summed in order by every lane, as the form says.
#include <cstring>
#include <type_traits>
#include <vector>

#include "common/base/result.h"
#include "kernels/api/checks.h"
#include "kernels/api/quantize.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/reduce.cuh"

namespace switchyard::kernels::cuda {
namespace {

constexpr uint32_t kWarps = 8;     // of a block, an output each
constexpr uint32_t kTileRows = 8;  // at most, of a warp: they share each load of weights
constexpr uint32_t kEncodeThreads = 256;

// --- where things are

__host__ __device__ inline uint32_t groups_of(uint32_t k) { return (k + kInt4Group - 1) / kInt4Group; }
__host__ __device__ inline size_t row_bytes_of(WeightForm form, uint32_t k) {
  switch (form) {
    case WeightForm::kFloat32: return round_up(k * sizeof(float), 16);
    case WeightForm::kBfloat16: return round_up(k * sizeof(uint16_t), 16);
    case WeightForm::kInt8: return size_t{groups_of(k)} * kInt4Group;
    default: return size_t{groups_of(k)} * kInt4Group / 2;
  }
}
__host__ __device__ inline size_t scales_begin(WeightForm form, uint32_t n, uint32_t k) {
  return round_up(n * row_bytes_of(form, k), 64);
}
__host__ __device__ inline const char* matrix_row(const PackedMatrix& w, uint32_t n) {
  return static_cast<const char*>(w.data) + n * row_bytes_of(w.form, w.k);
}
__host__ __device__ inline const void* matrix_scales(const PackedMatrix& w) {
  return static_cast<const char*>(w.data) + scales_begin(w.form, w.n, w.k);
}

// --- products of 16-byte pieces

__device__ inline float as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}
__device__ inline uint4 load_piece(const char* row, uint32_t piece) {
  return *reinterpret_cast<const uint4*>(row + size_t{piece} * 16);
}

template <WeightForm form>
struct Product;

template <>
struct Product<WeightForm::kFloat32> {
  using Value = float;
  __device__ static float add(const uint4& w, const uint4& x, float sum) {
    sum = fmaf(as_float(w.x), as_float(x.x), sum);
    sum = fmaf(as_float(w.y), as_float(x.y), sum);
    sum = fmaf(as_float(w.z), as_float(x.z), sum);
    return fmaf(as_float(w.w), as_float(x.w), sum);
  }
};

template <>
struct Product<WeightForm::kBfloat16> {
  using Value = float;
  __device__ static float add_pair(uint32_t w, uint32_t x, float sum) {
    sum = fmaf(as_float(w << 16), as_float(x << 16), sum);
    return fmaf(as_float(w & 0xffff0000U), as_float(x & 0xffff0000U), sum);
  }
  __device__ static float add(const uint4& w, const uint4& x, float sum) {
    sum = add_pair(w.x, x.x, sum);
    sum = add_pair(w.y, x.y, sum);
    sum = add_pair(w.z, x.z, sum);
    return add_pair(w.w, x.w, sum);
  }
};

__device__ inline int32_t dot_bytes(const uint4& w, const uint4& x, int32_t sum) {
  sum = __dp4a(static_cast<int32_t>(w.x), static_cast<int32_t>(x.x), sum);
  sum = __dp4a(static_cast<int32_t>(w.y), static_cast<int32_t>(x.y), sum);
  sum = __dp4a(static_cast<int32_t>(w.z), static_cast<int32_t>(x.z), sum);
  return __dp4a(static_cast<int32_t>(w.w), static_cast<int32_t>(x.w), sum);
}

template <>
struct Product<WeightForm::kInt8> {
  using Value = int32_t;
  __device__ static int32_t add(const uint4& w, const uint4& x, int32_t sum) { return dot_bytes(w, x, sum); }
};

// Encoded rows of up to kTileRows rows.
struct Rows {
  const char* first;
  size_t bytes;
  uint32_t count;
  __device__ const char* operator[](uint32_t r) const { return first + (r < count ? r : 0) * bytes; }
};

// y[r] = row n of w times row r, bias left out, on every lane. Rows past the last repeat the first.
template <WeightForm form, uint32_t kRows>
__device__ void warp_products(const PackedMatrix& w, uint32_t n, const Rows& x, float* y) {
  const char* weights = matrix_row(w, n);
  const uint32_t lane = threadIdx.x % kWarp;
  if constexpr (form == WeightForm::kInt4) {
    const uint32_t groups = groups_of(w.k);
    const auto* scales = static_cast<const uint16_t*>(matrix_scales(w)) + size_t{n} * groups;
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) y[r] = 0.0F;
    for (uint32_t begin = 0; begin < groups; begin += kWarp) {
      const uint32_t group = begin + lane;
      int32_t sums[kRows];
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) sums[r] = 0;
      if (group < groups) {
        const uint4 packed = load_piece(weights, group);
        const uint4 low = {packed.x & 0x0f0f0f0fU, packed.y & 0x0f0f0f0fU, packed.z & 0x0f0f0f0fU,
                           packed.w & 0x0f0f0f0fU};
        const uint4 high = {packed.x >> 4 & 0x0f0f0f0fU, packed.y >> 4 & 0x0f0f0f0fU, packed.z >> 4 & 0x0f0f0f0fU,
                            packed.w >> 4 & 0x0f0f0f0fU};
#pragma unroll
        for (uint32_t r = 0; r < kRows; ++r) {
          const auto* group_sums = reinterpret_cast<const int32_t*>(x[r] + int8_group_sums(w.k));
          sums[r] = dot_bytes(low, load_piece(x[r], 2 * group), -8 * group_sums[group]);
          sums[r] = dot_bytes(high, load_piece(x[r], 2 * group + 1), sums[r]);
        }
      }
      for (uint32_t i = 0; i < kWarp && begin + i < groups; ++i) {
        const float scale = bf16_to_float(scales[begin + i]);
#pragma unroll
        for (uint32_t r = 0; r < kRows; ++r) {
          y[r] = fmaf(static_cast<float>(__shfl_sync(kAllLanes, sums[r], i)), scale, y[r]);
        }
      }
    }
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) y[r] *= int8_row_tail(x[r], w.k).scale;
  } else {
    using P = Product<form>;
    typename P::Value sums[kRows];
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) sums[r] = 0;
    const auto pieces = static_cast<uint32_t>(row_bytes_of(form, w.k) / 16);
    for (uint32_t piece = lane; piece < pieces; piece += kWarp) {
      const uint4 from = load_piece(weights, piece);
#pragma unroll
      for (uint32_t r = 0; r < kRows; ++r) sums[r] = P::add(from, load_piece(x[r], piece), sums[r]);
    }
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      const auto sum = reduce_warp(sums[r], Sum());
      if constexpr (form == WeightForm::kInt8) {
        const float scale = static_cast<const float*>(matrix_scales(w))[n];
        y[r] = static_cast<float>(sum) * (int8_row_tail(x[r], w.k).scale * scale);
      } else {
        y[r] = sum;
      }
    }
  }
  if (w.bias != nullptr) {
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) y[r] += w.bias[n];
  }
}

// --- gemm: block (outputs, rows, matrix)

template <WeightForm form, uint32_t kRows>
__global__ void gemm_kernel(PackedMatrix one, const PackedMatrix* many, const char* x, size_t x_matrix_bytes,
                            size_t row_bytes, uint32_t rows, float* y, size_t y_stride, size_t y_matrix_stride) {
  const PackedMatrix w = many == nullptr ? one : many[blockIdx.z];
  const uint32_t n = blockIdx.x * kWarps + threadIdx.x / kWarp;
  if (n >= w.n) return;  // whole warps
  for (uint32_t row = blockIdx.y * kRows; row < rows; row += gridDim.y * kRows) {
    float out[kRows];
    const Rows tile{x + blockIdx.z * x_matrix_bytes + row * row_bytes, row_bytes, least(kRows, rows - row)};
    warp_products<form, kRows>(w, n, tile, out);
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      if (threadIdx.x % kWarp == r && r < tile.count)
        y[blockIdx.z * y_matrix_stride + (row + r) * y_stride + n] = out[r];
    }
  }
}

// --- grouped_mlp: block (outputs, tile)

// Up to kTileRows rows of a slot; rows count from the first of the call.
struct Tile {
  uint32_t slot, row, rows;
};

__device__ inline float activate(const ActivationSpec& spec, float gate, float up) {
  if (spec.kind == Activation::kSilu) return gate / (1.0F + expf(-gate)) * up;
  gate = fminf(gate, spec.limit);
  up = fmaxf(fminf(up, spec.limit), -spec.limit);
  return (up + 1.0F) * (gate / (1.0F + expf(-spec.alpha * gate)));
}

template <WeightForm form>
__global__ void gate_up_kernel(const MlpWeights* mlps, const Tile* tiles, ActivationSpec activation, const char* x,
                               size_t row_bytes, float* y) {
  const Tile tile = tiles[blockIdx.y];
  const MlpWeights& mlp = mlps[tile.slot];
  const uint32_t n = blockIdx.x * kWarps + threadIdx.x / kWarp;
  if (n >= mlp.gate.n) return;
  const Rows rows{x + tile.row * row_bytes, row_bytes, tile.rows};
  float gate[kTileRows];
  float up[kTileRows];
  warp_products<form, kTileRows>(mlp.gate, n, rows, gate);
  warp_products<form, kTileRows>(mlp.up, n, rows, up);
#pragma unroll
  for (uint32_t r = 0; r < kTileRows; ++r) {
    if (threadIdx.x % kWarp == r && r < tile.rows) {
      y[size_t{tile.row + r} * mlp.gate.n + n] = activate(activation, gate[r], up[r]);
    }
  }
}

template <WeightForm form>
__global__ void down_kernel(const MlpWeights* mlps, const Tile* tiles, const char* x, size_t row_bytes, float* y) {
  const Tile tile = tiles[blockIdx.y];
  const PackedMatrix& w = mlps[tile.slot].down;
  const uint32_t n = blockIdx.x * kWarps + threadIdx.x / kWarp;
  if (n >= w.n) return;
  float out[kTileRows];
  warp_products<form, kTileRows>(w, n, {x + tile.row * row_bytes, row_bytes, tile.rows}, out);
#pragma unroll
  for (uint32_t r = 0; r < kTileRows; ++r) {
    if (threadIdx.x % kWarp == r && r < tile.rows) y[size_t{tile.row + r} * w.n + n] = out[r];
  }
}

// --- encoded rows: block (row, matrix)

template <typename T>
__device__ void encode_values(const float* x, uint32_t k, size_t row_bytes, char* out) {
  T* values = reinterpret_cast<T*>(out);
  for (uint32_t i = threadIdx.x; i < row_bytes / sizeof(T); i += blockDim.x) store_as(i < k ? x[i] : 0.0F, values + i);
}

__device__ inline uint32_t size_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return bits & 0x7fffffffU;  // in the order of sizes, a NaN last
}

__device__ inline int8_t quantized(float x, const Quantizer& quantizer) {
  if (quantizer.scale != quantizer.scale) return 0;
  return static_cast<int8_t>(fminf(fmaxf(rintf(x * quantizer.inverse), -127.0F), 127.0F));
}

__device__ inline void encode_int8(const float* x, uint32_t k, size_t row_bytes, char* out) {
  uint32_t largest = 0;
  for (uint32_t i = threadIdx.x; i < k; i += blockDim.x) largest = most(largest, size_bits(x[i]));
  const Quantizer quantizer = int8_quantizer(as_float(reduce_block(largest, Most())));
  auto* values = reinterpret_cast<int8_t*>(out);
  const auto padded = static_cast<uint32_t>(int8_row_values(k));
  for (uint32_t i = threadIdx.x; i < padded; i += blockDim.x)
    values[i] = i < k ? quantized(x[i], quantizer) : int8_t{0};
  __syncthreads();
  auto* group_sums = reinterpret_cast<int32_t*>(out + int8_group_sums(k));
  int32_t total = 0;
  for (uint32_t g = threadIdx.x; g < padded / kInt4Group; g += blockDim.x) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < kInt4Group; ++i) sum += values[g * kInt4Group + i];
    group_sums[g] = sum;
    total += sum;
  }
  total = reduce_block(total, Sum());
  if (threadIdx.x == 0) *reinterpret_cast<Int8RowTail*>(out + padded) = {quantizer.scale, total};
  for (size_t i = int8_group_sums(k) + padded / kInt4Group * sizeof(int32_t) + threadIdx.x; i < row_bytes;
       i += blockDim.x)
    out[i] = 0;
}

template <WeightForm form>
__global__ void encode_kernel(const float* x, size_t x_stride, size_t x_matrix_stride, uint32_t k, size_t row_bytes,
                              char* out) {
  const float* from = x + blockIdx.x * x_stride + blockIdx.y * x_matrix_stride;
  char* to = out + (size_t{blockIdx.y} * gridDim.x + blockIdx.x) * row_bytes;
  if constexpr (form == WeightForm::kFloat32) {
    encode_values<float>(from, k, row_bytes, to);
  } else if constexpr (form == WeightForm::kBfloat16) {
    encode_values<uint16_t>(from, k, row_bytes, to);
  } else {
    encode_int8(from, k, row_bytes, to);
  }
}

template <WeightForm form>
__global__ void embed_kernel(PackedMatrix table, const int32_t* ids, float* y) {
  const auto row = static_cast<uint32_t>(ids[blockIdx.x]);
  const char* from = matrix_row(table, row);
  for (uint32_t i = threadIdx.x; i < table.k; i += blockDim.x) {
    float value;
    if constexpr (form == WeightForm::kFloat32) {
      value = reinterpret_cast<const float*>(from)[i];
    } else if constexpr (form == WeightForm::kBfloat16) {
      value = bf16_to_float(reinterpret_cast<const uint16_t*>(from)[i]);
    } else if constexpr (form == WeightForm::kInt8) {
      value = static_cast<float>(reinterpret_cast<const int8_t*>(from)[i]) *
              static_cast<const float*>(matrix_scales(table))[row];
    } else {
      const uint32_t group = i / kInt4Group;
      const uint32_t at = i % kInt4Group;
      const auto byte = reinterpret_cast<const uint8_t*>(from)[group * (kInt4Group / 2) + at % (kInt4Group / 2)];
      const int32_t q = (at < kInt4Group / 2 ? byte & 15 : byte >> 4) - 8;
      const auto* scales = static_cast<const uint16_t*>(matrix_scales(table)) + size_t{row} * groups_of(table.k);
      value = static_cast<float>(q) * bf16_to_float(scales[group]);
    }
    y[size_t{blockIdx.x} * table.k + i] = value;
  }
}

// --- from the run time's numbers to the kernels'

// body(std::integral_constant<WeightForm, form>).
template <typename Body>
void with_form(WeightForm form, const Body& body) {
  switch (form) {
    case WeightForm::kFloat32: body(std::integral_constant<WeightForm, WeightForm::kFloat32>()); break;
    case WeightForm::kBfloat16: body(std::integral_constant<WeightForm, WeightForm::kBfloat16>()); break;
    case WeightForm::kInt8: body(std::integral_constant<WeightForm, WeightForm::kInt8>()); break;
    case WeightForm::kInt4: body(std::integral_constant<WeightForm, WeightForm::kInt4>()); break;
  }
}

uint32_t blocks_of(size_t count, uint32_t unit) { return static_cast<uint32_t>((count + unit - 1) / unit); }

void encode(WeightForm form, const float* x, size_t x_stride, size_t x_matrix_stride, uint32_t rows, uint32_t matrices,
            uint32_t k, void* out) {
  with_form(form, [&](auto f) {
    launch(encode_kernel<decltype(f)::value>, dim3(rows, matrices), kEncodeThreads, 0, x, x_stride, x_matrix_stride, k,
           encoded_bytes(form, k), static_cast<char*>(out));
  });
}

// many: null, or `matrices` like `one` on the device.
void multiply(const PackedMatrix& one, const PackedMatrix* many, uint32_t matrices, const void* x, uint32_t rows,
              float* y, size_t y_stride, size_t y_matrix_stride) {
  const size_t row_bytes = encoded_bytes(one.form, one.k);
  const auto with_rows = [&](auto f, auto tile_rows) {
    constexpr uint32_t kRows = decltype(tile_rows)::value;
    const dim3 blocks(blocks_of(one.n, kWarps), least(blocks_of(rows, kRows), 65535U), matrices);
    launch(gemm_kernel<decltype(f)::value, kRows>, blocks, kWarps * kWarp, 0, one, many, static_cast<const char*>(x),
           rows * row_bytes, row_bytes, rows, y, y_stride, y_matrix_stride);
  };
  with_form(one.form, [&](auto f) {
    if (rows == 1) {
      with_rows(f, std::integral_constant<uint32_t, 1>());
    } else if (rows <= 4) {
      with_rows(f, std::integral_constant<uint32_t, 4>());
    } else {
      with_rows(f, std::integral_constant<uint32_t, kTileRows>());
    }
  });
}

void pack_row(WeightForm form, const float* w, uint32_t k, char* values, char* scales) {
  switch (form) {
    case WeightForm::kFloat32: std::memcpy(values, w, k * sizeof(float)); return;
    case WeightForm::kBfloat16:
      for (uint32_t i = 0; i < k; ++i) reinterpret_cast<uint16_t*>(values)[i] = float_to_bf16(w[i]);
      return;
    case WeightForm::kInt8: {
      const Quantizer quantizer = int8_quantizer(largest_size(w, k));
      *reinterpret_cast<float*>(scales) = quantizer.scale;
      quantize(w, k, quantizer, -127.0F, 127.0F, reinterpret_cast<int8_t*>(values));
      return;
    }
    case WeightForm::kInt4:
      for (uint32_t group = 0; group < groups_of(k); ++group) {
        const uint32_t begin = group * kInt4Group;
        const uint32_t count = least(kInt4Group, k - begin);
        const Quantizer quantizer = int4_quantizer(furthest(w + begin, count));
        int8_t q[kInt4Group] = {};
        quantize(w + begin, count, quantizer, -8.0F, 7.0F, q);
        reinterpret_cast<uint16_t*>(scales)[group] = float_to_bf16(quantizer.scale);
        for (uint32_t j = 0; j < kInt4Group / 2; ++j) {
          values[group * (kInt4Group / 2) + j] = static_cast<char>((q[j] + 8) | (q[j + kInt4Group / 2] + 8) << 4);
        }
      }
  }
}

size_t scale_bytes(WeightForm form, uint32_t k) {
  if (form == WeightForm::kInt8) return sizeof(float);
  return form == WeightForm::kInt4 ? groups_of(k) * sizeof(uint16_t) : 0;
}

}  // namespace

size_t packed_bytes(WeightForm form, uint32_t n, uint32_t k) {
  return round_up(scales_begin(form, n, k) + n * scale_bytes(form, k), 64);
}

uint32_t pack_row_unit(WeightForm) { return 1; }

void pack_rows(WeightForm form, uint32_t n, uint32_t k, uint32_t row_begin, uint32_t row_end, const float* src,
               void* data) {
  check_pack_range(n, row_begin, row_end, 1);
  char* values = static_cast<char*>(data);
  char* scales = values + scales_begin(form, n, k);
  for (uint32_t row = row_begin; row < row_end; ++row) {
    pack_row(form, src + size_t{row - row_begin} * k, k, values + row * row_bytes_of(form, k),
             scales + row * scale_bytes(form, k));
  }
}

size_t encoded_row_bytes(WeightForm form, uint32_t k) { return encoded_bytes(form, k); }

void encode_rows(ThreadPool&, WeightForm form, const float* x, size_t x_stride, uint32_t rows, uint32_t k, void* out) {
  encode(form, x, x_stride, 0, rows, 1, k, out);
}

void gemm(ThreadPool&, const void* x, uint32_t rows, const PackedMatrix& w, float* y, size_t y_stride) {
  check_matrix(w);
  multiply(w, nullptr, 1, x, rows, y, y_stride, 0);
}

void gemm_heads(ThreadPool&, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows,
                const PackedMatrix* w, uint32_t heads, float* y, size_t y_row_stride, size_t y_head_stride) {
  if (rows == 0 || heads == 0) return;
  for (uint32_t h = 0; h < heads; ++h) {
    check_matrix(w[h]);
    SWITCHYARD_CHECK(w[h].form == w[0].form && w[h].n == w[0].n && w[h].k == w[0].k);
  }
  void* encoded = scratch(size_t{heads} * rows * encoded_bytes(w[0].form, w[0].k));
  encode(w[0].form, x, x_row_stride, x_head_stride, rows, heads, w[0].k, encoded);
  multiply(w[0], stage(w, heads), heads, encoded, rows, y, y_row_stride, y_head_stride);
}

void grouped_mlp(ThreadPool&, const void* x, const uint32_t* row_offsets, const MlpWeights* mlps, uint32_t slots,
                 const ActivationSpec& activation, float* y) {
  const uint32_t first = row_offsets[0];
  const uint32_t rows = row_offsets[slots] - first;
  std::vector<Tile> tiles;
  const MlpWeights* used = nullptr;
  for (uint32_t s = 0; s < slots; ++s) {
    if (row_offsets[s] == row_offsets[s + 1]) continue;
    check_mlp(mlps[s]);
    if (used == nullptr) used = &mlps[s];
    SWITCHYARD_CHECK(mlps[s].gate.form == used->gate.form && mlps[s].down.form == used->down.form);
    SWITCHYARD_CHECK(mlps[s].gate.n == used->gate.n && mlps[s].gate.k == used->gate.k &&
                     mlps[s].down.n == used->down.n);
    for (uint32_t row = row_offsets[s]; row < row_offsets[s + 1]; row += kTileRows) {
      tiles.push_back({s, row - first, least(kTileRows, row_offsets[s + 1] - row)});
    }
  }
  if (used == nullptr) return;
  SWITCHYARD_CHECK(tiles.size() <= 65535);
  const PackedMatrix& gate = used->gate;
  const PackedMatrix& down = used->down;
  const size_t x_bytes = encoded_bytes(gate.form, gate.k);
  const size_t h_bytes = encoded_bytes(down.form, down.k);
  const size_t act_bytes = round_up(size_t{rows} * gate.n * sizeof(float), 256);
  char* memory = static_cast<char*>(scratch(act_bytes + rows * h_bytes));
  auto* act = reinterpret_cast<float*>(memory);
  char* encoded = memory + act_bytes;
  const auto tile_count = static_cast<uint32_t>(tiles.size());
  const Tile* tile_list = stage(tiles.data(), tiles.size());
  const MlpWeights* mlp_list = stage(mlps, slots);
  const char* from = static_cast<const char*>(x) + first * x_bytes;
  with_form(gate.form, [&](auto f) {
    launch(gate_up_kernel<decltype(f)::value>, dim3(blocks_of(gate.n, kWarps), tile_count), kWarps * kWarp, 0, mlp_list,
           tile_list, activation, from, x_bytes, act);
  });
  encode(down.form, act, gate.n, 0, rows, 1, down.k, encoded);
  with_form(down.form, [&](auto f) {
    launch(down_kernel<decltype(f)::value>, dim3(blocks_of(down.n, kWarps), tile_count), kWarps * kWarp, 0, mlp_list,
           tile_list, static_cast<const char*>(encoded), h_bytes, y + size_t{first} * down.n);
  });
}

void embed(ThreadPool&, const PackedMatrix& table, const int32_t* ids, uint32_t rows, float* y) {
  check_matrix(table);
  for (uint32_t r = 0; r < rows; ++r) check_row(table, ids[r]);
  with_form(table.form, [&](auto f) {
    launch(embed_kernel<decltype(f)::value>, dim3(rows), kEncodeThreads, 0, table, stage(ids, rows), y);
  });
}

}  // namespace switchyard::kernels::cuda
