// Products of rows and panels: the one layout of packed weights, and the one order of sums, of each weight form.
//
// Layout. W (n, k) is kept in panels of kPanel = 2 kLanes outputs, each contiguous over k in steps of 32-bit words a
// lane: [n / kPanel][k][kPanel] in float32, [n / kPanel][k / 2][kPanel][2] in bfloat16, [n / kPanel][k / 4][kPanel][4]
// in int8 behind the panel's scales (kPanel fp32), k rounded up with zeros. int4 goes in groups of kInt4Group inputs:
// the group's scales (kPanel bf16), then four times [kPanel][4] bytes, of which the low nibbles are step 2j and the
// high ones step 2j + 1. One row reads a panel as one stream; many rows use it tile by tile.
//
// Order. An output is one fp32 accumulator over k ascending (int4: over groups; integers are exact in any order),
// whatever the tile: a tile of `rows` x kPanel sums takes one step of k at a time for all its rows. Long panels are cut
// into blocks of k that fit the L1 cache, and the sums rest in memory between blocks, which changes no bit.

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

constexpr uint32_t kPanel = 2 * kLanes;
constexpr uint32_t kRowBlock = 96;  // rows whose sums of one panel rest together; a multiple of every tile's rows
constexpr size_t kBlockBytes = 16 * 1024;    // of a panel, half of the L1 cache
constexpr size_t kPrefetchBytes = 6 * 1024;  // ahead of a panel that streams from memory
constexpr uint32_t kUnrollRows = 4;          // short enough a step that the loop itself would show

constexpr size_t kStepInputBytes = 4;                         // of a row, every form but wide rows
constexpr size_t kStepPanelBytes = kPanel * kStepInputBytes;  // of a panel, every form but int4

// A step's products are taken in kParts parts, each for all rows of a tile.
struct FloatSums {
  using Sum = F;
  static constexpr uint32_t kParts = 1;
  static constexpr size_t kInputBytes = kStepInputBytes;
  static constexpr uint32_t kTile = kTileRows;
  static F load_sum(const float* p) { return load(p); }
  static F none() { return zero(); }
  static void store_sum(float* p, F sum) { store(p, sum); }
};

struct Float32 : FloatSums {
  static F weights(const char* p, uint32_t) { return load(reinterpret_cast<const float*>(p)); }
  static F input(const char* p, uint32_t) {
    float x;
    __builtin_memcpy(&x, p, sizeof(x));
    return broadcast(x);
  }
  static F multiply(F x, F w, F sum) { return fma(x, w, sum); }
};

struct Bfloat16 : FloatSums {
  static Pairs weights(const char* p, uint32_t) { return load_pairs(reinterpret_cast<const uint16_t*>(p)); }
  static Pairs input(const char* p, uint32_t) { return broadcast_pair(reinterpret_cast<const uint16_t*>(p)); }
  static F multiply(Pairs x, Pairs w, F sum) { return dot(x, w, sum); }
};

// bfloat16 weights with wide rows, where no instruction multiplies pairs: a tile that widens its inputs itself takes
// a third longer. The order is dot()'s: the even value of a step, then the odd one.
struct WideBfloat16 : FloatSums {
  static constexpr uint32_t kParts = 2;
  static constexpr size_t kInputBytes = 2 * sizeof(float);
  static F weights(const char* p, uint32_t part) {
    return load_half_of_pairs(reinterpret_cast<const uint16_t*>(p), part);
  }
  static F input(const char* p, uint32_t part) { return Float32::input(p + part * sizeof(float), 0); }
  static F multiply(F x, F w, F sum) { return fma_in_place(x, w, sum); }
};

// Its sums are integers, kept in the floats' places until scale_int8_sums().
struct Int8 {
  using Sum = I;
  static constexpr uint32_t kTile = kInt8TileRows;
  static constexpr uint32_t kParts = 1;
  static constexpr size_t kInputBytes = kStepInputBytes;
  static I load_sum(const float* p) { return load_bits(p); }
  static I none() { return zero_bits(); }
  static Bytes weights(const char* p, uint32_t) { return load_weight_bytes(p); }
  static I input(const char* p, uint32_t) { return broadcast_bytes(p); }
  static I multiply(I x, Bytes w, I sum) { return dot(w, x, sum); }
  static void store_sum(float* p, I sum) { store_bits(p, sum); }
};

inline size_t step_count(WeightForm form, uint32_t k) {
  switch (form) {
    case WeightForm::kFloat32: return k;
    case WeightForm::kBfloat16: return (size_t{k} + 1) / 2;
    default: return (size_t{k} + 3) / 4;
  }
}
inline size_t panel_count(uint32_t n) { return (size_t{n} + kPanel - 1) / kPanel; }

constexpr size_t kScaleBytes = kPanel * sizeof(float);                              // int8: before a panel's steps
constexpr size_t kGroupScaleBytes = kPanel * sizeof(uint16_t);                      // int4: before a group's nibbles
constexpr size_t kGroupBytes = kGroupScaleBytes + size_t{kPanel} * kInt4Group / 2;  // int4: a group of a panel
inline size_t group_count(uint32_t k) { return (size_t{k} + kInt4Group - 1) / kInt4Group; }

inline size_t panel_bytes(WeightForm form, uint32_t k) {
  if (form == WeightForm::kInt4) return round_up(group_count(k) * kGroupBytes, 64);
  return step_count(form, k) * kStepPanelBytes + (form == WeightForm::kInt8 ? kScaleBytes : 0);
}
inline const char* panel_of(const PackedMatrix& w, size_t panel) {
  return static_cast<const char*>(w.data) + panel * panel_bytes(w.form, w.k);
}
// The same, or null past the last.
inline const char* panel_after(const PackedMatrix& w, size_t panel) {
  return panel + 1 < panel_count(w.n) ? panel_of(w, panel + 1) : nullptr;
}

// What a tile asks memory for while it runs. A tile that has a panel to itself asks for that panel, some steps ahead.
// Of tiles that share a block of a panel the first finds it asked for, and each of the others asks for its share of the
// block that comes next.
struct Ahead {
  const char* at;
  size_t stride;  // bytes a step

  static Ahead own(const char* panel, size_t step_bytes) { return {panel + kPrefetchBytes, step_bytes}; }
  static Ahead next(const char* block, size_t bytes, size_t steps, uint32_t tile, uint32_t tiles) {
    if (tile == 0 || block == nullptr) return {block, 0};
    const size_t stride = (bytes / (tiles - 1) + steps - 1) / steps;
    return {block + (tile - 1) * stride * steps, stride};
  }

  // kLines lines at least, and those of a stride. Inlined always: GCC takes a function that only prefetches for one
  // that does nothing, and drops its calls.
  template <size_t kLines>
  __attribute__((always_inline)) void ask(size_t step) const {
    const char* p = at + step * stride;
#pragma GCC unroll 2
    for (size_t line = 0; line < kLines; ++line) _mm_prefetch(p + line * 64, _MM_HINT_T0);
    if constexpr (kLines == 1) {
      for (size_t byte = 64; byte < stride; byte += 64) _mm_prefetch(p + byte, _MM_HINT_T0);
    }
  }
};

// Rows of a tile, three to a pointer (x, x + stride, x + 2 stride): a pointer a row would not fit the machine's
// registers.
template <uint32_t kRows>
struct RowBases {
  const char* base[(kRows + 2) / 3];
  size_t stride;
  RowBases(const char* x, size_t x_stride) : stride(x_stride) {
#pragma GCC unroll 8
    for (uint32_t b = 0; b < (kRows + 2) / 3; ++b) base[b] = x + 3 * b * x_stride;
  }
  const char* row(uint32_t r) const { return base[r / 3] + (r % 3) * stride; }
};

// sums (kRows, kPanel) = or += x (kRows rows x_stride bytes apart) times `steps` steps of a panel.
template <typename Form, uint32_t kRows>
void tile(const char* x, size_t x_stride, const char* panel, size_t steps, bool resume, float* sums, Ahead ahead) {
  typename Form::Sum s0[kRows];
  typename Form::Sum s1[kRows];
#pragma GCC unroll 16
  for (uint32_t r = 0; r < kRows; ++r) {
    s0[r] = resume ? Form::load_sum(sums + r * kPanel) : Form::none();
    s1[r] = resume ? Form::load_sum(sums + r * kPanel + kLanes) : Form::none();
  }
  const RowBases<kRows> in(x, x_stride);
  const auto step = [&](size_t i) __attribute__((always_inline)) {
    const char* w = panel + i * kStepPanelBytes;
    ahead.ask<kStepPanelBytes / 64>(i);
#pragma GCC unroll 2
    for (uint32_t part = 0; part < Form::kParts; ++part) {
      if (part != 0) asm("" : "+r"(w));  // loads them again, in place of keeping both parts in registers
      const auto w0 = Form::weights(w, part);
      const auto w1 = Form::weights(w + kStepPanelBytes / 2, part);
#pragma GCC unroll 16
      for (uint32_t r = 0; r < kRows; ++r) {
        const auto value = Form::input(in.row(r) + i * Form::kInputBytes, part);
        s0[r] = Form::multiply(value, w0, s0[r]);
        s1[r] = Form::multiply(value, w1, s1[r]);
      }
    }
  };
  if constexpr (kRows <= kUnrollRows) {
#pragma GCC unroll 4
    for (size_t i = 0; i < steps; ++i) step(i);
  } else {
    for (size_t i = 0; i < steps; ++i) step(i);
  }
#pragma GCC unroll 16
  for (uint32_t r = 0; r < kRows; ++r) {
    Form::store_sum(sums + r * kPanel, s0[r]);
    Form::store_sum(sums + r * kPanel + kLanes, s1[r]);
  }
}

// The same for `groups` groups of an int4 panel; group_sums: of the first row, from these groups on, x_stride bytes
// apart. Nibbles are the weights plus 8, which the sum of the group's inputs takes away again.
template <uint32_t kRows>
void int4_tile(const char* x, const char* group_sums, size_t x_stride, const char* panel, size_t groups, bool resume,
               float* sums, Ahead ahead) {
  F s0[kRows];
  F s1[kRows];
#pragma GCC unroll 16
  for (uint32_t r = 0; r < kRows; ++r) {
    s0[r] = resume ? load(sums + r * kPanel) : zero();
    s1[r] = resume ? load(sums + r * kPanel + kLanes) : zero();
  }
  const RowBases<kRows> in(x, x_stride);
  for (size_t g = 0; g < groups; ++g) {
    const char* w = panel + g * kGroupBytes;
    ahead.ask<1>(g);
    I i0[kRows];
    I i1[kRows];
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
      int32_t sum;
      __builtin_memcpy(&sum, group_sums + r * x_stride + g * sizeof(int32_t), sizeof(sum));
      i0[r] = i1[r] = broadcast_int(-8 * sum);
    }
    const size_t first = g * kInt4Group;
#pragma GCC unroll 4
    for (size_t j = 0; j < kInt4Group / 8; ++j) {
      const I w0 = load_bits(w + kGroupScaleBytes + j * kStepPanelBytes);
      const I w1 = load_bits(w + kGroupScaleBytes + j * kStepPanelBytes + kStepPanelBytes / 2);
      const I low0 = low_nibbles(w0);
      const I low1 = low_nibbles(w1);
#pragma GCC unroll 16
      for (uint32_t r = 0; r < kRows; ++r) {
        const I value = broadcast_bytes(in.row(r) + first + 8 * j);
        i0[r] = dot_nibbles(low0, value, i0[r]);
        i1[r] = dot_nibbles(low1, value, i1[r]);
      }
      const I high0 = high_nibbles(w0);
      const I high1 = high_nibbles(w1);
#pragma GCC unroll 16
      for (uint32_t r = 0; r < kRows; ++r) {
        const I value = broadcast_bytes(in.row(r) + first + 8 * j + 4);
        i0[r] = dot_nibbles(high0, value, i0[r]);
        i1[r] = dot_nibbles(high1, value, i1[r]);
      }
    }
    const auto* scales = reinterpret_cast<const uint16_t*>(w);
    const F scale0 = load(scales);
    const F scale1 = load(scales + kLanes);
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
      s0[r] = fma(to_float(i0[r]), scale0, s0[r]);
      s1[r] = fma(to_float(i1[r]), scale1, s1[r]);
    }
  }
#pragma GCC unroll 16
  for (uint32_t r = 0; r < kRows; ++r) {
    store(sums + r * kPanel, s0[r]);
    store(sums + r * kPanel + kLanes, s1[r]);
  }
}

// A tile's height as a type, for generic lambdas.
template <uint32_t kRows>
struct Height {
  static constexpr uint32_t value = kRows;
};

template <uint32_t kRows, typename Body>
inline void with_height(uint32_t rows, Body body) {
  if (rows == kRows) {
    body(Height<kRows>{});
  } else if constexpr (kRows > 1) {
    with_height<kRows - 1>(rows, body);
  }
}

// body(tile, first row, height) for tiles of kMost rows at most, of equal height to within a row: a last tile of one
// row would wait on its own sums.
template <uint32_t kMost, typename Body>
inline void in_tiles(uint32_t rows, Body body) {
  const uint32_t tiles = (rows + kMost - 1) / kMost;
  for (uint32_t t = 0; t < tiles; ++t) {
    const uint32_t begin = rows * t / tiles;
    with_height<kMost>(rows * (t + 1) / tiles - begin, [&](auto height) { body(t, begin, height); });
  }
}

// A panel's steps for tiles of the row count: in equal blocks of at most kBlockBytes where several tiles share them.
inline size_t block_steps(uint32_t tiles, size_t steps, size_t step_bytes) {
  if (tiles == 1) return steps;
  const size_t blocks = (steps * step_bytes + kBlockBytes - 1) / kBlockBytes;
  return (steps + blocks - 1) / blocks;
}

// next: the panel that comes after this one, or null.
template <typename Form>
void panel_sums(const char* x, size_t x_stride, uint32_t rows, const char* panel, size_t steps, float* sums,
                const char* next) {
  const uint32_t tiles = (rows + Form::kTile - 1) / Form::kTile;
  const size_t block = block_steps(tiles, steps, kStepPanelBytes);
  for (size_t i = 0; i < steps; i += block) {
    const char* here = panel + i * kStepPanelBytes;
    const char* coming = i + block < steps ? here + block * kStepPanelBytes : next;
    const size_t count = least(block, steps - i);
    in_tiles<Form::kTile>(rows, [&](uint32_t t, uint32_t begin, auto height) {
      tile<Form, decltype(height)::value>(x + begin * x_stride + i * Form::kInputBytes, x_stride, here, count, i != 0,
                                          sums + size_t{begin} * kPanel,
                                          tiles == 1 ? Ahead::own(here, kStepPanelBytes)
                                                     : Ahead::next(coming, block * kStepPanelBytes, count, t, tiles));
    });
  }
}

void int4_panel_sums(const char* x, size_t x_stride, uint32_t rows, const char* panel, uint32_t k, float* sums,
                     const char* next) {
  const size_t groups = group_count(k);
  const uint32_t tiles = (rows + kInt4TileRows - 1) / kInt4TileRows;
  const size_t block = block_steps(tiles, groups, kGroupBytes);
  const char* group_sums = x + int8_group_sums(k);
  for (size_t g = 0; g < groups; g += block) {
    const char* here = panel + g * kGroupBytes;
    const char* coming = g + block < groups ? here + block * kGroupBytes : next;
    const size_t count = least(block, groups - g);
    in_tiles<kInt4TileRows>(rows, [&](uint32_t t, uint32_t begin, auto height) {
      int4_tile<decltype(height)::value>(
          x + begin * x_stride + g * kInt4Group, group_sums + begin * x_stride + g * sizeof(int32_t), x_stride, here,
          count, g != 0, sums + size_t{begin} * kPanel,
          tiles == 1 ? Ahead::own(here, kGroupBytes) : Ahead::next(coming, block * kGroupBytes, count, t, tiles));
    });
  }
}

// Integer sums to floats: the packed weights' offset taken away, both scales applied.
void scale_int8_sums(const char* x, size_t x_stride, uint32_t rows, const char* panel, uint32_t k, float* sums) {
  const auto* scales = reinterpret_cast<const float*>(panel);
  for (uint32_t r = 0; r < rows; ++r) {
    const Int8RowTail& tail = int8_row_tail(x + r * x_stride, k);
    const I offset = broadcast_int(kByteOffset * tail.sum);
    for (uint32_t lane = 0; lane < kPanel; lane += kLanes) {
      float* sum = sums + size_t{r} * kPanel + lane;
      store(sum, mul(to_float(sub_ints(load_bits(sum), offset)), mul(broadcast(tail.scale), load(scales + lane))));
    }
  }
}

void scale_int4_sums(const char* x, size_t x_stride, uint32_t rows, uint32_t k, float* sums) {
  for (uint32_t r = 0; r < rows; ++r) {
    const F scale = broadcast(int8_row_tail(x + r * x_stride, k).scale);
    for (uint32_t lane = 0; lane < kPanel; lane += kLanes) {
      float* sum = sums + size_t{r} * kPanel + lane;
      store(sum, mul(load(sum), scale));
    }
  }
}

// Rows as a product takes them: encoded for the weights' form, or those of bfloat16 widened to floats.
struct Rows {
  const char* data;
  size_t stride;  // bytes
  bool wide = false;

  Rows from(size_t row) const { return {data + row * stride, stride, wide}; }
};

// sums (rows, kPanel) = x times one panel, without bias; rows <= kRowBlock. next: the panel that comes after it, or
// null.
void panel_product(const PackedMatrix& w, size_t index, const Rows& in, uint32_t rows, float* sums, const char* next) {
  const char* panel = panel_of(w, index);
  const char* x = in.data;
  const size_t x_stride = in.stride;
  const size_t steps = step_count(w.form, w.k);
  switch (w.form) {
    case WeightForm::kFloat32: panel_sums<Float32>(x, x_stride, rows, panel, steps, sums, next); break;
    case WeightForm::kBfloat16:
      if constexpr (!kPairDots) {
        if (in.wide) {
          panel_sums<WideBfloat16>(x, x_stride, rows, panel, steps, sums, next);
          break;
        }
      }
      panel_sums<Bfloat16>(x, x_stride, rows, panel, steps, sums, next);
      break;
    case WeightForm::kInt8:
      panel_sums<Int8>(x, x_stride, rows, panel + kScaleBytes, steps, sums, next);
      scale_int8_sums(x, x_stride, rows, panel, w.k, sums);
      break;
    case WeightForm::kInt4:
      int4_panel_sums(x, x_stride, rows, panel, w.k, sums, next);
      scale_int4_sums(x, x_stride, rows, w.k, sums);
  }
}

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
