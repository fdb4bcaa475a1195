// Packing of weights into panels (layout: fast_panel.inc.h), unpacking, and encoding of inputs.

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

// --- quantizing

float largest_size(const float* x, uint32_t k) {
  F largest = zero();
  bool nan = false;
  for (uint32_t i = 0; i < k; i += kLanes) {
    const F v = load_first(x + i, k - i);
    nan |= any_nan(v);
    largest = max(absolute(v), largest);
  }
  return nan ? __builtin_nanf("") : max_of(largest);
}

// Of a group's values, the one furthest from zero, the positive one of two; a NaN if it has one.
float furthest(const float* w, uint32_t count) {
  F low = zero();
  F high = zero();
  for (uint32_t i = 0; i < count; i += kLanes) {
    const F v = load_first(w + i, count - i);
    if (any_nan(v)) return __builtin_nanf("");
    low = max(sub(zero(), v), low);
    high = max(v, high);
  }
  const float most_high = max_of(high);
  const float most_low = max_of(low);
  return most_high >= most_low ? most_high : -most_low;
}

// x / scale as integers; `left` values are there, zeros follow.
inline I quantized(const float* x, size_t left, F inverse, int32_t low, int32_t high) {
  return clamp_ints(to_int(mul(left >= kLanes ? load(x) : load_first(x, left), inverse)), low, high);
}

// 4 kLanes values of a row as bytes, plus an offset; those past `left` are the offset alone.
inline I quantized_bytes(const float* x, size_t left, const F (&inverse)[4], int32_t low, int32_t high,
                         int32_t offset) {
  I part[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const size_t at = i * kLanes;
    part[i] = at < left ? add_ints(quantized(x + at, left - at, inverse[i], low, high), broadcast_int(offset))
                        : broadcast_int(offset);
  }
  return pack_bytes(part[0], part[1], part[2], part[3]);
}

// --- weights

// Steps of words (a lane, a row of W) to their places, step_bytes apart.
inline void store_words(const I (&words)[kLanes], size_t count, char* out) {
  for (size_t i = 0; i < count; ++i) store_bits(out + i * kStepPanelBytes, words[i]);
}

// kLanes rows of src (rows of them, k), as words in `out` [step][kLanes].
void pack_floats(WeightForm form, const float* src, uint32_t rows, uint32_t k, char* out) {
  const uint32_t span = form == WeightForm::kFloat32 ? kLanes : 2 * kLanes;  // values of k in kLanes steps
  const size_t steps = step_count(form, k);
  for (uint32_t begin = 0; begin < k; begin += span) {
    I words[kLanes];
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kLanes; ++r) {
      if (r >= rows) {
        words[r] = zero_bits();
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
    store_words(words, least(size_t{kLanes}, steps - first_step), out + first_step * kStepPanelBytes);
  }
}

void pack_int8(const float* src, uint32_t rows, uint32_t k, float* scales, char* out) {
  F inverse[kLanes];
  for (uint32_t r = 0; r < kLanes; ++r) {
    const Quantizer quantizer = r < rows ? int8_quantizer(largest_size(src + size_t{r} * k, k)) : Quantizer{0.0F, 0.0F};
    scales[r] = quantizer.scale;
    inverse[r] = broadcast(quantizer.inverse);
  }
  const size_t steps = step_count(WeightForm::kInt8, k);
  for (uint32_t begin = 0; begin < k; begin += 4 * kLanes) {
    I words[kLanes];
    for (uint32_t r = 0; r < kLanes; ++r) {
      const F inverses[4] = {inverse[r], inverse[r], inverse[r], inverse[r]};
      words[r] =
          quantized_bytes(src + size_t{r} * k + begin, r < rows ? k - begin : 0, inverses, -127, 127, kByteOffset);
    }
    transpose(words);
    const size_t first_step = begin / 4;
    store_words(words, least(size_t{kLanes}, steps - first_step), out + first_step * kStepPanelBytes);
  }
}

// out: the first group of the panel, at these lanes' words; scales lie at the same lanes of each group's beginning.
void pack_int4(const float* src, uint32_t rows, uint32_t k, uint32_t lane, char* panel) {
  constexpr uint32_t kGroupVectors = kInt4Group / kLanes;
  for (uint32_t begin = 0; begin < k; begin += 4 * kLanes) {
    I words[kLanes];
    for (uint32_t r = 0; r < kLanes; ++r) {
      const float* row = src + size_t{r} * k + begin;
      const uint32_t left = r < rows ? k - begin : 0;
      F inverse[4];
      for (uint32_t v = 0; v < 4; v += kGroupVectors) {
        const uint32_t at = v * kLanes;
        const Quantizer quantizer =
            at < left ? int4_quantizer(furthest(row + at, least(kInt4Group, left - at))) : Quantizer{0.0F, 0.0F};
        for (uint32_t i = v; i < v + kGroupVectors; ++i) inverse[i] = broadcast(quantizer.inverse);
        if (begin + at < k) {
          char* group = panel + size_t{begin + at} / kInt4Group * kGroupBytes;
          reinterpret_cast<uint16_t*>(group)[lane + r] = float_to_bf16(quantizer.scale);
        }
      }
      words[r] = quantized_bytes(row, left, inverse, -8, 7, 8);
    }
    transpose(words);
    // Word i is step begin / 4 + i: the steps of a group in pairs.
    constexpr uint32_t kGroupSteps = kInt4Group / 4;
    for (uint32_t i = 0; i < kLanes && begin + 4 * (i / kGroupSteps * kGroupSteps) < k; i += 2) {
      char* group = panel + size_t{begin + 4 * i} / kInt4Group * kGroupBytes;
      const size_t pair = i % kGroupSteps / 2;
      store_bits(group + kGroupScaleBytes + pair * kStepPanelBytes + lane * kStepInputBytes,
                 join_nibbles(words[i], words[i + 1]));
    }
  }
}

size_t packed_bytes(WeightForm form, uint32_t n, uint32_t k) { return panel_count(n) * panel_bytes(form, k); }

uint32_t pack_row_unit(WeightForm) { return kPanel; }

void pack_rows(WeightForm form, uint32_t n, uint32_t k, uint32_t row_begin, uint32_t row_end, const float* src,
               void* data) {
  check_pack_range(n, row_begin, row_end, kPanel);
  for (uint32_t row = row_begin; row < row_end; row += kLanes) {
    char* panel = static_cast<char*>(data) + size_t{row / kPanel} * panel_bytes(form, k);
    const float* from = src + size_t{row - row_begin} * k;
    const uint32_t rows = least(kLanes, row_end - row);
    const uint32_t lane = row % kPanel;
    switch (form) {
      case WeightForm::kFloat32:
      case WeightForm::kBfloat16: pack_floats(form, from, rows, k, panel + lane * kStepInputBytes); break;
      case WeightForm::kInt8:
        pack_int8(from, rows, k, reinterpret_cast<float*>(panel) + lane, panel + kScaleBytes + lane * kStepInputBytes);
        break;
      case WeightForm::kInt4: pack_int4(from, rows, k, lane, panel);
    }
  }
}

// Value c of the lane-th output of a panel.
float value_at(WeightForm form, const char* panel, uint32_t lane, uint32_t c) {
  const auto in_step = [&](const char* steps, uint32_t values) {
    return steps + size_t{c / values} * kStepPanelBytes + lane * kStepInputBytes +
           c % values * (kStepInputBytes / values);
  };
  switch (form) {
    case WeightForm::kFloat32: return *reinterpret_cast<const float*>(in_step(panel, 1));
    case WeightForm::kBfloat16: return bf16_to_float(*reinterpret_cast<const uint16_t*>(in_step(panel, 2)));
    case WeightForm::kInt8: {
      const int32_t stored = kByteOffset != 0
                                 ? int32_t{*reinterpret_cast<const uint8_t*>(in_step(panel + kScaleBytes, 4))}
                                 : int32_t{*reinterpret_cast<const int8_t*>(in_step(panel + kScaleBytes, 4))};
      return static_cast<float>(stored - kByteOffset) * reinterpret_cast<const float*>(panel)[lane];
    }
    case WeightForm::kInt4: {
      const char* group = panel + c / kInt4Group * kGroupBytes;
      const uint32_t step = c % kInt4Group / 4;
      const auto pair =
          static_cast<uint8_t>(group[kGroupScaleBytes + step / 2 * kStepPanelBytes + lane * kStepInputBytes + c % 4]);
      const int32_t nibble = step % 2 == 0 ? pair & 15 : pair >> 4;
      return static_cast<float>(nibble - 8) * bf16_to_float(reinterpret_cast<const uint16_t*>(group)[lane]);
    }
  }
  return 0.0F;
}

void embed(ThreadPool& pool, const PackedMatrix& table, const int32_t* ids, uint32_t rows, float* y) {
  check_matrix(table);
  pool.parallel_for(rows, 16, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      check_row(table, ids[r]);
      const auto row = static_cast<uint32_t>(ids[r]);
      const char* panel = panel_of(table, row / kPanel);
      for (uint32_t c = 0; c < table.k; ++c) y[r * table.k + c] = value_at(table.form, panel, row % kPanel, c);
    }
  });
}

// --- inputs

template <typename T>
void encode_floats(const float* x, uint32_t k, char* out, size_t bytes) {
  T* values = reinterpret_cast<T*>(out);
  uint32_t i = 0;
  for (; i + kLanes <= k; i += kLanes) store(values + i, load(x + i));
  const size_t written = i * sizeof(T);
  __builtin_memset(out + written, 0, bytes - written);
  if (i < k) store_first(values + i, load_first(x + i, k - i), k - i);
}

void encode_int8(const float* x, uint32_t k, char* out, size_t bytes) {
  const size_t values = int8_row_values(k);
  auto& tail = *reinterpret_cast<Int8RowTail*>(out + values);
  auto* group_sums = reinterpret_cast<int32_t*>(out + int8_group_sums(k));
  __builtin_memset(out + values, 0, bytes - values);
  const Quantizer quantizer = int8_quantizer(largest_size(x, k));
  const F inverse = broadcast(quantizer.inverse);
  tail.scale = quantizer.scale;
  for (uint32_t begin = 0; begin < values; begin += kInt4Group) {
    I sum = zero_bits();
    for (uint32_t i = begin; i < begin + kInt4Group; i += kLanes) {
      const I q = i < k ? quantized(x + i, k - i, inverse, -127, 127) : zero_bits();
      store_low_bytes(out + i, q);
      sum = add_ints(sum, q);
    }
    group_sums[begin / kInt4Group] = sum_of_ints(sum);
    tail.sum += group_sums[begin / kInt4Group];
  }
}

size_t encoded_row_bytes(WeightForm form, uint32_t k) { return encoded_bytes(form, k); }

void encode_row(WeightForm form, const float* x, uint32_t k, char* out) {
  const size_t bytes = encoded_bytes(form, k);
  switch (form) {
    case WeightForm::kFloat32: encode_floats<float>(x, k, out, bytes); break;
    case WeightForm::kBfloat16: encode_floats<uint16_t>(x, k, out, bytes); break;
    default: encode_int8(x, k, out, bytes);
  }
}

void encode_rows(ThreadPool& pool, WeightForm form, const float* x, size_t x_stride, uint32_t rows, uint32_t k,
                 void* out) {
  const size_t bytes = encoded_bytes(form, k);
  pool.parallel_for(rows, 32 * 1024 / bytes + 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) encode_row(form, x + r * x_stride, k, static_cast<char*>(out) + r * bytes);
  });
}

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
