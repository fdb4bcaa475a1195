// GEMMs of the fast tables, over the products of fast_panel.inc.h.

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

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

// Whether a product of rows with so many matrices is worth a pass that widens the rows first.
constexpr size_t kWideFrom = 4;  // rows a matrix
inline bool takes_wide(WeightForm form, size_t rows, size_t matrices) {
  return !kPairDots && form == WeightForm::kBfloat16 && rows >= kWideFrom * matrices;
}
// Of a wide row, in bytes: an odd number of lines, so that a tile's rows do not meet in the sets of a cache.
inline size_t wide_stride(uint32_t k) { return 2 * encoded_bytes(WeightForm::kBfloat16, k) + 64; }

// An encoded bfloat16 row as floats, its zeros past k as well.
inline void widen_row(const char* row, uint32_t k, char* out) {
  const auto* values = reinterpret_cast<const uint16_t*>(row);
  const size_t count = encoded_bytes(WeightForm::kBfloat16, k) / sizeof(uint16_t);
  for (size_t i = 0; i < count; i += kLanes) store(reinterpret_cast<float*>(out) + i, load(values + i));
}

Rows widened(ThreadPool& pool, const Rows& x, size_t rows, uint32_t k, char* out) {
  const size_t stride = wide_stride(k);
  pool.parallel_for(rows, 32 * 1024 / stride + 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) widen_row(x.from(r).data, k, out + r * stride);
  });
  return {out, stride, true};
}

// y[r][panel's outputs] = x times one panel, for any number of rows.
void panel_outputs(const PackedMatrix& w, size_t panel, const Rows& x, uint32_t rows, float* y, size_t y_stride) {
  alignas(64) float sums[kRowBlock * kPanel];
  const Bias bias(w, panel);
  const size_t begin = panel * kPanel;
  const size_t count = least(size_t{kPanel}, w.n - begin);
  for (uint32_t row = 0; row < rows; row += kRowBlock) {
    const uint32_t block = least(kRowBlock, rows - row);
    panel_product(w, panel, x.from(row), block, sums, panel_after(w, panel));
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

inline F activate(const ActivationSpec& spec, F gate, F up) {
  if (spec.kind == Activation::kSilu) return mul(gated_by_sigmoid(gate, gate), up);
  const F limit = broadcast(spec.limit);
  gate = min(limit, gate);
  up = max(broadcast(-spec.limit), min(limit, up));
  return mul(add(up, broadcast(1.0F)), gated_by_sigmoid(gate, mul(broadcast(spec.alpha), gate)));
}

// One panel of gate and up for all rows of a slot, through the activation, to column panel * kPanel of out's rows: as
// `down` takes them, or as floats where it takes quantized rows, whose scales need whole ones.
void panel_activations(const MlpWeights& mlp, size_t panel, const Rows& x, uint32_t rows,
                       const ActivationSpec& activation, char* out, size_t out_stride) {
  alignas(64) float gate[kRowBlock * kPanel];
  alignas(64) float up[kRowBlock * kPanel];
  const Bias gate_bias(mlp.gate, panel);
  const Bias up_bias(mlp.up, panel);
  const bool wide = mlp.down.form != WeightForm::kBfloat16;
  const size_t column = panel * kPanel;
  const size_t count = least(size_t{kPanel}, mlp.down.k - column);
  for (uint32_t row = 0; row < rows; row += kRowBlock) {
    const uint32_t block = least(kRowBlock, rows - row);
    panel_product(mlp.gate, panel, x.from(row), block, gate, panel_of(mlp.up, panel));
    panel_product(mlp.up, panel, x.from(row), block, up, panel_after(mlp.gate, panel));
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

void gemm(ThreadPool& pool, const void* x, uint32_t rows, const PackedMatrix& w, float* y, size_t y_stride) {
  check_matrix(w);
  if (rows == 0) return;
  const size_t panels = panel_count(w.n);
  Rows in{static_cast<const char*>(x), encoded_bytes(w.form, w.k)};
  if (takes_wide(w.form, rows, 1)) {
    in = widened(pool, in, rows, w.k, static_cast<char*>(pool.scratch(0, rows * wide_stride(w.k))));
  }
  const size_t chunk = panels_per_unit(panels, panel_bytes(w.form, w.k), rows, pool.size());
  for_each_unit(pool, panels, chunk, [&](uint32_t, size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) panel_outputs(w, p, in, rows, y, y_stride);
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
      panel_outputs(w[h], i % panels, {encoded + h * rows * x_stride, x_stride}, rows, y + h * y_head_stride,
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
  // Slots may differ in width; the intermediate rows have the widest slot's stride. Those of a quantized down are
  // floats first.
  uint32_t any = slots;
  size_t h_stride = 0;
  size_t float_stride = 0;
  uint32_t active = 0;
  uint32_t widest = 0;  // of intermediate rows in bfloat16
  for (uint32_t s = 0; s < slots; ++s) {
    if (row_offsets[s] == row_offsets[s + 1]) continue;
    check_mlp(mlps[s]);
    any = s;
    ++active;
    if (mlps[s].down.form == WeightForm::kBfloat16) widest = most(widest, mlps[s].down.k);
    h_stride = most(h_stride, encoded_bytes(mlps[s].down.form, mlps[s].down.k));
    if (is_quantized(mlps[s].down.form)) {
      float_stride = most(float_stride, encoded_bytes(WeightForm::kFloat32, mlps[s].down.k));
    }
  }
  if (any == slots) return;
  const PackedMatrix& gate = mlps[any].gate;
  Rows in{static_cast<const char*>(x), encoded_bytes(gate.form, gate.k)};
  const size_t hidden = mlps[any].down.n;
  const size_t plan_bytes = SlotUnits::bytes(slots);
  const size_t rows = row_offsets[slots];
  const bool is_wide = takes_wide(gate.form, rows, active);
  const bool is_wide_between = widest != 0 && takes_wide(WeightForm::kBfloat16, rows, active);
  const size_t wide_bytes = is_wide ? wide_stride(gate.k) : 0;
  const size_t wide_bytes_between = is_wide_between ? wide_stride(widest) : 0;
  const size_t row_bytes = h_stride + float_stride + wide_bytes + wide_bytes_between;
  char* scratch = static_cast<char*>(pool.scratch(0, plan_bytes + rows * row_bytes));
  const SlotUnits units(scratch, slots);
  char* h = scratch + plan_bytes;
  const auto is_float = [&](uint32_t slot) { return is_quantized(mlps[slot].down.form); };
  char* floats = h + rows * h_stride;
  char* wide = floats + rows * float_stride;
  char* wide_between = wide + rows * wide_bytes;
  if (is_wide) in = widened(pool, in, rows, gate.k, wide);

  plan(units, row_offsets, mlps, slots, 2, gate_of, pool.size());
  for_each_unit(pool, units.begin[slots], 1, [&](uint32_t, size_t begin, size_t end) {
    uint32_t slot = 0;
    for (size_t i = begin; i < end; ++i) {
      const SlotUnits::Part part = units.part(i, slot, gate_of, mlps);
      slot = part.slot;
      const uint32_t row = row_offsets[slot];
      for (size_t p = part.first; p < part.last; ++p) {
        panel_activations(mlps[slot], p, in.from(row), row_offsets[slot + 1] - row, activation,
                          is_float(slot) ? floats + row * float_stride : h + row * h_stride,
                          is_float(slot) ? float_stride : h_stride);
      }
    }
  });
  if (float_stride != 0 || is_wide_between) {
    const size_t bytes = most(float_stride, wide_bytes_between);
    pool.parallel_for(rows, 32 * 1024 / bytes + 1, [&](size_t begin, size_t end) {
      uint32_t slot = 0;
      for (size_t r = begin; r < end; ++r) {
        while (row_offsets[slot + 1] <= r) ++slot;
        const PackedMatrix& down = mlps[slot].down;
        if (is_float(slot)) {
          encode_row(down.form, reinterpret_cast<const float*>(floats + r * float_stride), down.k, h + r * h_stride);
        } else if (is_wide_between && down.form == WeightForm::kBfloat16) {
          widen_row(h + r * h_stride, down.k, wide_between + r * wide_bytes_between);
        }
      }
    });
  }

  plan(units, row_offsets, mlps, slots, 1, down_of, pool.size());
  for_each_unit(pool, units.begin[slots], 1, [&](uint32_t, size_t begin, size_t end) {
    uint32_t slot = 0;
    for (size_t i = begin; i < end; ++i) {
      const SlotUnits::Part part = units.part(i, slot, down_of, mlps);
      slot = part.slot;
      const uint32_t row = row_offsets[slot];
      const PackedMatrix& down = mlps[slot].down;
      const Rows between = is_wide_between && down.form == WeightForm::kBfloat16
                               ? Rows{wide_between, wide_bytes_between, true}
                               : Rows{h, h_stride};
      for (size_t p = part.first; p < part.last; ++p) {
        panel_outputs(down, p, between.from(row), row_offsets[slot + 1] - row, y + row * hidden, hidden);
      }
    }
  });
}

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
