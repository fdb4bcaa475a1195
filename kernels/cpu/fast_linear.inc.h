// GEMMs of the fast tables.
//
// Layout. W (n, k) is kept in panels of kPanel = 2 kLanes outputs, each contiguous over k: [n / kPanel][k][kPanel] in
// float32, [n / kPanel][k / 2][kPanel][2] in bfloat16 (an odd k ends in a zero). One row reads a panel as one stream;
// many rows use it tile by tile.
//
// Order. An output is one fp32 accumulator over k ascending, whatever the tile: a tile of `rows` x kPanel sums takes
// one step of k at a time for all its rows. Long panels are cut into blocks of k that fit the L1 cache, and the sums
// rest in memory between blocks, which changes no bit.

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

constexpr uint32_t kPanel = 2 * kLanes;
constexpr uint32_t kRowBlock = 96;         // rows whose sums of one panel rest together; a multiple of every kTileRows
constexpr size_t kBlockBytes = 16 * 1024;  // of a panel, half of the L1 cache
constexpr size_t kPrefetchBytes = 2048;    // ahead of a panel that streams from memory
// Tiles of this many rows or fewer wait for memory rather than for the multipliers, and ask ahead for their panel.
constexpr uint32_t kStreamRows = 2 * kTileRows / 3;
constexpr uint32_t kUnrollRows = 4;  // short enough a step that the loop itself would show

struct Float32 {
  using Element = float;
  static constexpr uint32_t kStep = 1;  // values of k in a step
  static F weights(const float* p) { return load(p); }
  static F input(const char* p) {
    float x;
    __builtin_memcpy(&x, p, sizeof(x));
    return broadcast(x);
  }
  static F multiply(F x, F w, F sum) { return fma(x, w, sum); }
};

struct Bfloat16 {
  using Element = uint16_t;
  static constexpr uint32_t kStep = 2;
  static Pairs weights(const uint16_t* p) { return load_pairs(p); }
  static Pairs input(const char* p) { return broadcast_pair(reinterpret_cast<const uint16_t*>(p)); }
  static F multiply(Pairs x, Pairs w, F sum) { return dot(x, w, sum); }
};

constexpr size_t kStepInputBytes = 4;                         // of a row, both forms
constexpr size_t kStepPanelBytes = kPanel * kStepInputBytes;  // of a panel, both forms

inline size_t step_count(WeightForm form, uint32_t k) { return form == WeightForm::kFloat32 ? k : (size_t{k} + 1) / 2; }
inline size_t panel_count(uint32_t n) { return (size_t{n} + kPanel - 1) / kPanel; }
inline size_t panel_bytes(WeightForm form, uint32_t k) { return step_count(form, k) * kStepPanelBytes; }
inline const char* panel_of(const PackedMatrix& w, size_t panel) {
  return static_cast<const char*>(w.data) + panel * panel_bytes(w.form, w.k);
}

// sums (kRows, kPanel) = or += x (kRows rows x_stride bytes apart) times `steps` steps of a panel.
template <typename Form, uint32_t kRows>
void tile(const char* x, size_t x_stride, const char* panel, size_t steps, bool resume, float* sums) {
  F s0[kRows];
  F s1[kRows];
#pragma GCC unroll 16
  for (uint32_t r = 0; r < kRows; ++r) {
    s0[r] = resume ? load(sums + r * kPanel) : zero();
    s1[r] = resume ? load(sums + r * kPanel + kLanes) : zero();
  }
  // Three rows to a pointer (x, x + stride, x + 2 stride): a pointer a row would not fit the machine's registers.
  constexpr uint32_t kBases = (kRows + 2) / 3;
  const char* base[kBases];
#pragma GCC unroll 8
  for (uint32_t b = 0; b < kBases; ++b) base[b] = x + 3 * b * x_stride;
  const auto step = [&](size_t i) __attribute__((always_inline)) {
    const auto* w = reinterpret_cast<const typename Form::Element*>(panel + i * kStepPanelBytes);
    const auto w0 = Form::weights(w);
    const auto w1 = Form::weights(w + kLanes * Form::kStep);
    if constexpr (kRows <= kStreamRows) {
#pragma GCC unroll 2
      for (size_t line = 0; line < kStepPanelBytes; line += 64) {
        _mm_prefetch(panel + i * kStepPanelBytes + kPrefetchBytes + line, _MM_HINT_T0);
      }
    }
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
      const auto in = Form::input(base[r / 3] + (r % 3) * x_stride + i * kStepInputBytes);
      s0[r] = Form::multiply(in, w0, s0[r]);
      s1[r] = Form::multiply(in, w1, s1[r]);
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
    store(sums + r * kPanel, s0[r]);
    store(sums + r * kPanel + kLanes, s1[r]);
  }
}

template <typename Form, uint32_t kRows = kTileRows>
void tile_of(uint32_t rows, const char* x, size_t x_stride, const char* panel, size_t steps, bool resume, float* sums) {
  if (rows == kRows) {
    tile<Form, kRows>(x, x_stride, panel, steps, resume, sums);
  } else if constexpr (kRows > 1) {
    tile_of<Form, kRows - 1>(rows, x, x_stride, panel, steps, resume, sums);
  }
}

// sums (rows, kPanel) = x times one panel; rows <= kRowBlock.
template <typename Form>
void panel_product(const char* x, size_t x_stride, uint32_t rows, const char* panel, size_t steps, float* sums) {
  const uint32_t tiles = (rows + kTileRows - 1) / kTileRows;
  const size_t block = tiles == 1 ? steps : kBlockBytes / kStepPanelBytes;
  for (size_t i = 0; i < steps; i += block) {
    const size_t count = least(block, steps - i);
    for (uint32_t t = 0; t < tiles;
         ++t) {  // tiles of equal height to within a row: a last tile of one row would wait on its own sums
      const uint32_t begin = rows * t / tiles;
      const uint32_t end = rows * (t + 1) / tiles;
      tile_of<Form>(end - begin, x + begin * x_stride + i * kStepInputBytes, x_stride, panel + i * kStepPanelBytes,
                    count, i != 0, sums + size_t{begin} * kPanel);
    }
  }
}

void panel_product(const PackedMatrix& w, size_t panel, const char* x, size_t x_stride, uint32_t rows, float* sums) {
  const size_t steps = step_count(w.form, w.k);
  if (w.form == WeightForm::kFloat32) {
    panel_product<Float32>(x, x_stride, rows, panel_of(w, panel), steps, sums);
  } else {
    panel_product<Bfloat16>(x, x_stride, rows, panel_of(w, panel), steps, sums);
  }
}

// The two vectors of a panel's bias, zero past n.
struct Bias {
  F low;
  F high;
  Bias(const PackedMatrix& w, size_t panel) : low(zero()), high(zero()) {
    if (w.bias == nullptr) return;
    const size_t begin = panel * kPanel;
    const size_t count = least(size_t{kPanel}, w.n - begin);
    low = load_first(w.bias + begin, count);
    if (count > kLanes) high = load_first(w.bias + begin + kLanes, count - kLanes);
  }
};

// y[r][panel's outputs] = x times one panel, for any number of rows.
void panel_outputs(const PackedMatrix& w, size_t panel, const char* x, size_t x_stride, uint32_t rows, float* y,
                   size_t y_stride) {
  alignas(64) float sums[kRowBlock * kPanel];
  const Bias bias(w, panel);
  const size_t begin = panel * kPanel;
  const size_t count = least(size_t{kPanel}, w.n - begin);
  for (uint32_t row = 0; row < rows; row += kRowBlock) {
    const uint32_t block = least(kRowBlock, rows - row);
    panel_product(w, panel, x + row * x_stride, x_stride, block, sums);
    for (uint32_t r = 0; r < block; ++r) {
      float* out = y + (row + r) * y_stride + begin;
      const F low = add(load(sums + r * kPanel), bias.low);
      const F high = add(load(sums + r * kPanel + kLanes), bias.high);
      if (count == kPanel) {
        store(out, low);
        store(out + kLanes, high);
      } else {
        store_first(out, low, count);
        if (count > kLanes) store_first(out + kLanes, high, count - kLanes);
      }
    }
  }
}

// Panels to a unit of work: enough for a stream of a few hundred kilobytes when there are few rows, and several units a
// thread.
size_t panels_per_unit(size_t panels, size_t bytes, uint32_t rows, uint32_t threads) {
  if (rows > 64) return 1;
  const size_t fair = most(size_t{1}, panels / (size_t{threads} * 4));
  return least(fair, most(size_t{1}, size_t{256} * 1024 / bytes));
}

template <typename T>
void encode(const float* x, uint32_t k, char* out, size_t bytes) {
  T* values = reinterpret_cast<T*>(out);
  uint32_t i = 0;
  for (; i + kLanes <= k; i += kLanes) store(values + i, load(x + i));
  const size_t written = i * sizeof(T);
  __builtin_memset(out + written, 0, bytes - written);
  if (i < k) store_first(values + i, load_first(x + i, k - i), k - i);
}

void encode_row(WeightForm form, const float* x, uint32_t k, char* out) {
  if (form == WeightForm::kFloat32) {
    encode<float>(x, k, out, encoded_bytes(form, k));
  } else {
    encode<uint16_t>(x, k, out, encoded_bytes(form, k));
  }
}

inline F activate(const ActivationSpec& spec, F gate, F up) {
  if (spec.kind == Activation::kSilu) return mul(gated_by_sigmoid(gate, gate), up);
  const F limit = broadcast(spec.limit);
  gate = min(limit, gate);
  up = max(broadcast(-spec.limit), min(limit, up));
  return mul(add(up, broadcast(1.0F)), gated_by_sigmoid(gate, mul(broadcast(spec.alpha), gate)));
}

// One panel of gate and up for all rows of a slot, through the activation, encoded for `down` at column panel * kPanel
// of out's rows.
void panel_activations(const MlpWeights& mlp, size_t panel, const char* x, size_t x_stride, uint32_t rows,
                       const ActivationSpec& activation, char* out, size_t out_stride) {
  alignas(64) float gate[kRowBlock * kPanel];
  alignas(64) float up[kRowBlock * kPanel];
  const Bias gate_bias(mlp.gate, panel);
  const Bias up_bias(mlp.up, panel);
  const bool wide = mlp.down.form == WeightForm::kFloat32;
  const size_t column = panel * kPanel;
  const size_t count = least(size_t{kPanel}, mlp.down.k - column);
  for (uint32_t row = 0; row < rows; row += kRowBlock) {
    const uint32_t block = least(kRowBlock, rows - row);
    panel_product(mlp.gate, panel, x + row * x_stride, x_stride, block, gate);
    panel_product(mlp.up, panel, x + row * x_stride, x_stride, block, up);
    for (uint32_t r = 0; r < block; ++r) {
      const F low =
          activate(activation, add(load(gate + r * kPanel), gate_bias.low), add(load(up + r * kPanel), up_bias.low));
      const F high = activate(activation, add(load(gate + r * kPanel + kLanes), gate_bias.high),
                              add(load(up + r * kPanel + kLanes), up_bias.high));
      char* to = out + (row + r) * out_stride;
      if (wide) {
        float* values = reinterpret_cast<float*>(to) + column;
        store_first(values, low, count);
        if (count > kLanes) store_first(values + kLanes, high, count - kLanes);
      } else {
        // Lanes past the width are zeros (zero weights, no bias), and an encoded bfloat16 row has room for whole
        // panels.
        uint16_t* values = reinterpret_cast<uint16_t*>(to) + column;
        store(values, low);
        store(values + kLanes, high);
      }
    }
  }
}

// kLanes rows from row r of src (rows, k), values k .. as 32-bit words of the panel, in `out` [step][kLanes].
void pack_lanes(WeightForm form, const float* src, uint32_t rows, uint32_t k, char* out) {
  const uint32_t span = form == WeightForm::kFloat32 ? kLanes : 2 * kLanes;  // values of k in kLanes steps
  const size_t steps = step_count(form, k);
  for (uint32_t begin = 0; begin < k; begin += span) {
    I words[kLanes];
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kLanes; ++r) {
      if (r >= rows) {
        words[r] = bits_of(zero());
        continue;
      }
      const float* row = src + size_t{r} * k + begin;
      const uint32_t left = k - begin;
      if (form == WeightForm::kFloat32) {
        words[r] = bits_of(left >= kLanes ? load(row) : load_first(row, left));
      } else if (left >= 2 * kLanes) {
        words[r] = narrow_pairs(load(row), load(row + kLanes));
      } else {
        words[r] =
            narrow_pairs(load_first(row, left), left > kLanes ? load_first(row + kLanes, left - kLanes) : zero());
      }
    }
    transpose(words);
    const size_t first_step = begin / (span / kLanes);
    const size_t count = least(size_t{kLanes}, steps - first_step);
    for (size_t i = 0; i < count; ++i) store_bits(out + (first_step + i) * kStepPanelBytes, words[i]);
  }
}

size_t packed_bytes(WeightForm form, uint32_t n, uint32_t k) { return panel_count(n) * panel_bytes(form, k); }

uint32_t pack_row_unit(WeightForm) { return kPanel; }

void pack_rows(WeightForm form, uint32_t n, uint32_t k, uint32_t row_begin, uint32_t row_end, const float* src,
               void* data) {
  check_pack_range(n, row_begin, row_end, kPanel);
  for (uint32_t row = row_begin; row < row_end; row += kLanes) {
    char* panel = static_cast<char*>(data) + size_t{row / kPanel} * panel_bytes(form, k);
    pack_lanes(form, src + size_t{row - row_begin} * k, least(kLanes, row_end - row), k,
               panel + row % kPanel * sizeof(float));
  }
}

size_t encoded_row_bytes(WeightForm form, uint32_t k) { return encoded_bytes(form, k); }

void encode_rows(ThreadPool& pool, WeightForm form, const float* x, size_t x_stride, uint32_t rows, uint32_t k,
                 void* out) {
  const size_t bytes = encoded_bytes(form, k);
  pool.parallel_for(rows, 32 * 1024 / bytes + 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) encode_row(form, x + r * x_stride, k, static_cast<char*>(out) + r * bytes);
  });
}

void gemm(ThreadPool& pool, const void* x, uint32_t rows, const PackedMatrix& w, float* y, size_t y_stride) {
  check_matrix(w);
  if (rows == 0) return;
  const size_t panels = panel_count(w.n);
  const size_t x_stride = encoded_bytes(w.form, w.k);
  const size_t chunk = panels_per_unit(panels, panel_bytes(w.form, w.k), rows, pool.size());
  for_each_unit(pool, panels, chunk, [&](uint32_t, size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) panel_outputs(w, p, static_cast<const char*>(x), x_stride, rows, y, y_stride);
  });
}

void gemm_heads(ThreadPool& pool, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows,
                const PackedMatrix* w, uint32_t heads, float* y, size_t y_row_stride, size_t y_head_stride) {
  if (rows == 0 || heads == 0) return;
  for (uint32_t h = 0; h < heads; ++h) check_matrix(w[h]);
  const WeightForm form = w[0].form;
  const uint32_t k = w[0].k;
  const size_t x_stride = encoded_bytes(form, k);
  const size_t panels = panel_count(w[0].n);
  char* encoded = static_cast<char*>(pool.scratch(0, size_t{heads} * rows * x_stride));  // (heads, rows)
  pool.parallel_for(size_t{heads} * rows, 32 * 1024 / x_stride + 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      encode_row(form, x + i % rows * x_row_stride + i / rows * x_head_stride, k, encoded + i * x_stride);
    }
  });
  const size_t chunk = panels_per_unit(heads * panels, panel_bytes(form, k), rows, pool.size());
  for_each_unit(pool, heads * panels, chunk, [&](uint32_t, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const size_t h = i / panels;
      panel_outputs(w[h], i % panels, encoded + h * rows * x_stride, x_stride, rows, y + h * y_head_stride,
                    y_row_stride);
    }
  });
}

// Work over (slot, panels): units of a slot's panels, slots with many rows in finer units.
struct SlotUnits {
  size_t* begin;   // (slots + 1) first unit of each slot
  size_t* panels;  // (slots) panels in a unit

  static size_t bytes(uint32_t slots) { return round_up((2 * size_t{slots} + 1) * sizeof(size_t), 64); }
  SlotUnits(void* memory, uint32_t slots) : begin(static_cast<size_t*>(memory)), panels(begin + slots + 1) {}

  // Panels [first, last) of unit i and its slot; `slot` may start from the slot of an earlier unit.
  struct Part {
    uint32_t slot;
    size_t first;
    size_t last;
  };
  Part part(size_t unit, uint32_t slot, const PackedMatrix& (*matrix)(const MlpWeights&),
            const MlpWeights* mlps) const {
    while (begin[slot + 1] <= unit) ++slot;
    const size_t first = (unit - begin[slot]) * panels[slot];
    return {slot, first, least(first + panels[slot], panel_count(matrix(mlps[slot]).n))};
  }
};

const PackedMatrix& gate_of(const MlpWeights& mlp) { return mlp.gate; }
const PackedMatrix& down_of(const MlpWeights& mlp) { return mlp.down; }

void plan(const SlotUnits& units, const uint32_t* row_offsets, const MlpWeights* mlps, uint32_t slots, size_t matrices,
          const PackedMatrix& (*matrix)(const MlpWeights&), uint32_t threads) {
  size_t total = 0;
  for (uint32_t s = 0; s < slots; ++s)
    total += row_offsets[s] == row_offsets[s + 1] ? 0 : panel_count(matrix(mlps[s]).n);
  size_t next = 0;
  for (uint32_t s = 0; s < slots; ++s) {
    units.begin[s] = next;
    units.panels[s] = 1;
    const uint32_t rows = row_offsets[s + 1] - row_offsets[s];
    if (rows == 0) continue;
    const PackedMatrix& w = matrix(mlps[s]);
    units.panels[s] = panels_per_unit(total, matrices * panel_bytes(w.form, w.k), rows, threads);
    next += (panel_count(w.n) + units.panels[s] - 1) / units.panels[s];
  }
  units.begin[slots] = next;
}

void grouped_mlp(ThreadPool& pool, const void* x, const uint32_t* row_offsets, const MlpWeights* mlps, uint32_t slots,
                 const ActivationSpec& activation, float* y) {
  // Slots may differ in width; the intermediate rows have the widest slot's stride.
  uint32_t any = slots;
  size_t h_stride = 0;
  for (uint32_t s = 0; s < slots; ++s) {
    if (row_offsets[s] == row_offsets[s + 1]) continue;
    check_mlp(mlps[s]);
    any = s;
    h_stride = most(h_stride, encoded_bytes(mlps[s].down.form, mlps[s].down.k));
  }
  if (any == slots) return;
  const size_t x_stride = encoded_bytes(mlps[any].gate.form, mlps[any].gate.k);
  const size_t hidden = mlps[any].down.n;
  const size_t plan_bytes = SlotUnits::bytes(slots);
  char* scratch = static_cast<char*>(pool.scratch(0, plan_bytes + row_offsets[slots] * h_stride));
  const SlotUnits units(scratch, slots);
  char* h = scratch + plan_bytes;

  plan(units, row_offsets, mlps, slots, 2, gate_of, pool.size());
  for_each_unit(pool, units.begin[slots], 1, [&](uint32_t, size_t begin, size_t end) {
    uint32_t slot = 0;
    for (size_t i = begin; i < end; ++i) {
      const SlotUnits::Part part = units.part(i, slot, gate_of, mlps);
      slot = part.slot;
      const uint32_t row = row_offsets[slot];
      for (size_t p = part.first; p < part.last; ++p) {
        panel_activations(mlps[slot], p, static_cast<const char*>(x) + row * x_stride, x_stride,
                          row_offsets[slot + 1] - row, activation, h + row * h_stride, h_stride);
      }
    }
  });

  plan(units, row_offsets, mlps, slots, 1, down_of, pool.size());
  for_each_unit(pool, units.begin[slots], 1, [&](uint32_t, size_t begin, size_t end) {
    uint32_t slot = 0;
    for (size_t i = begin; i < end; ++i) {
      const SlotUnits::Part part = units.part(i, slot, down_of, mlps);
      slot = part.slot;
      const uint32_t row = row_offsets[slot];
      for (size_t p = part.first; p < part.last; ++p) {
        panel_outputs(mlps[slot].down, p, h + row * h_stride, h_stride, row_offsets[slot + 1] - row, y + row * hidden,
                      hidden);
      }
    }
  });
}

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
