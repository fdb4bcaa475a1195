// GEMMs against sums in double, and the promise that a row's bits hang on nothing but the row and the weights.
#include "tests/unit/kernels/support.h"

namespace switchyard::kernels {
namespace {

constexpr WeightForm kForms[] = {WeightForm::kFloat32, WeightForm::kBfloat16, WeightForm::kInt8, WeightForm::kInt4};

class Linear : public Table {
 protected:
  static std::vector<float> part(const std::vector<float>& all, size_t begin, size_t count) {
    return {all.begin() + static_cast<std::ptrdiff_t>(begin), all.begin() + static_cast<std::ptrdiff_t>(begin + count)};
  }
  Memory encoded(ThreadPool& pool, WeightForm form, const std::vector<float>& x, uint32_t rows, uint32_t k) const {
    Memory memory(ops().encoded_row_bytes(form, k) * rows);
    ops().encode_rows(pool, form, x.data(), k, rows, k, memory.get());
    return memory;
  }
};
INSTANTIATE_TEST_SUITE_P(Tables, Linear, testing::ValuesIn(all_tables()), table_name);

TEST_P(Linear, EncodedRowsAreTheInputsRoundedToTheFormAndZeroPadded) {
  ThreadPool pool(2);
  for (const WeightForm form : {WeightForm::kFloat32, WeightForm::kBfloat16}) {
    for (const uint32_t k : {1U, 2U, 15U, 16U, 33U, 100U, 768U}) {
      const uint32_t rows = 5;
      std::vector<float> x = random_values(size_t{rows} * (k + 3), k);
      x[0] = 0x1.01p0F;             // a tie: to even, down
      if (k > 1) x[1] = 0x1.03p0F;  // a tie: to even, up
      const size_t bytes = ops().encoded_row_bytes(form, k);
      ASSERT_EQ(bytes % 64, 0U);
      Memory memory(bytes * rows);
      std::memset(memory.get(), 0xff, bytes * rows);
      ops().encode_rows(pool, form, x.data(), k + 3, rows, k, memory.get());
      for (uint32_t r = 0; r < rows; ++r) {
        const char* row = static_cast<const char*>(memory.get()) + r * bytes;
        const size_t size = form == WeightForm::kFloat32 ? 4 : 2;
        for (uint32_t i = 0; i < k; ++i) {
          uint32_t bits = 0;
          std::memcpy(&bits, row + i * size, size);
          if (size == 2) bits <<= 16;
          float value;
          std::memcpy(&value, &bits, 4);
          const float given = x[r * (k + 3) + i];
          ASSERT_EQ(value, form == WeightForm::kFloat32 ? given : to_bf16(given));
        }
        for (size_t i = k * size; i < bytes; ++i) ASSERT_EQ(row[i], 0) << "k " << k << " byte " << i;
      }
    }
  }
}

// int8 rows: values, zeros up to whole groups, the scale, the sum of all and of every group.
TEST_P(Linear, EncodedInt8RowsAreTheInputsOverTheirScale) {
  ThreadPool pool(2);
  for (const uint32_t k : {1U, 31U, 32U, 33U, 100U, 768U}) {
    const uint32_t rows = 5;
    std::vector<float> x = random_values(size_t{rows} * (k + 3), k, 3.0F);
    std::fill_n(x.begin() + 2 * (k + 3), k, 0.0F);
    x[3 * (k + 3) + k / 2] = -250.0F;
    const size_t bytes = ops().encoded_row_bytes(WeightForm::kInt8, k);
    ASSERT_EQ(bytes % 64, 0U);
    ASSERT_EQ(bytes, ops().encoded_row_bytes(WeightForm::kInt4, k));
    Memory memory(bytes * rows);
    std::memset(memory.get(), 0xff, bytes * rows);
    ops().encode_rows(pool, WeightForm::kInt8, x.data(), k + 3, rows, k, memory.get());
    const uint32_t padded = (k + 31) / 32 * 32;
    for (uint32_t r = 0; r < rows; ++r) {
      const char* row = static_cast<const char*>(memory.get()) + r * bytes;
      const auto* values = reinterpret_cast<const int8_t*>(row);
      float scale;
      std::memcpy(&scale, row + padded, 4);
      const std::vector<float> given = part(x, r * (k + 3), k);
      const std::vector<float> kept = rounded_input(WeightForm::kInt8, given);
      ASSERT_EQ(scale, largest_size(given.data(), k) / 127.0F);
      std::vector<int32_t> sums(1 + padded / 32);
      for (uint32_t i = 0; i < padded; ++i) {
        ASSERT_EQ(static_cast<float>(values[i]) * scale, i < k ? kept[i] : 0.0F) << "k " << k << " value " << i;
        sums[0] += values[i];
        sums[1 + i / 32] += values[i];
      }
      ASSERT_EQ(std::memcmp(row + padded + 4, sums.data(), sums.size() * 4), 0) << "k " << k;
      for (size_t i = padded + 4 + sums.size() * 4; i < bytes; ++i) ASSERT_EQ(row[i], 0);
    }
  }
}

// A NaN or an infinity shows in every output of its row, and in no other row; so does one among an output's weights.
TEST_P(Linear, BrokenValuesShowInQuantizedOutputs) {
  ThreadPool pool(1);
  const uint32_t n = 35;
  const uint32_t k = 70;
  for (const WeightForm form : {WeightForm::kInt8, WeightForm::kInt4}) {
    for (const float broken : {NAN, INFINITY, -INFINITY}) {
      std::vector<float> x = random_values(3 * k, 5);
      x[k + 40] = broken;
      std::vector<float> values = random_values(n * k, 6);
      values[33 * k + 69] = broken;
      const Memory memory(ops().packed_bytes(form, n, k));
      ops().pack_rows(form, n, k, 0, n, values.data(), memory.get());
      const Memory in = encoded(pool, form, x, 3, k);
      std::vector<float> y(3 * n);
      ops().gemm(pool, in.get(), 3, {form, n, k, memory.get(), nullptr}, y.data(), n);
      for (uint32_t i = 0; i < 3 * n; ++i) ASSERT_EQ(std::isnan(y[i]), i / n == 1 || i % n == 33) << i;
    }
  }
}

// Sums of integers are exact, and what follows them is one rule: the plain table's bits, whatever the table.
TEST_P(Linear, QuantizedProductsHaveTheSameBitsInEveryTable) {
  const OpTable& plain = *find_backend("cpu-plain");
  ThreadPool pool(2);
  for (const WeightForm form : {WeightForm::kInt8, WeightForm::kInt4}) {
    for (const uint32_t k : {5U, 64U, 300U, 1500U}) {
      const uint32_t n = 70;
      const uint32_t rows = 15;
      const Matrix w(ops(), form, n, k, k, true);
      const Matrix same(plain, form, n, k, k, true);
      const std::vector<float> x = random_values(rows * k, 9);
      const Memory in = encoded(pool, form, x, rows, k);
      std::vector<float> got(rows * n);
      std::vector<float> want(rows * n);
      ops().gemm(pool, in.get(), rows, w.packed, got.data(), n);
      plain.gemm(pool, in.get(), rows, same.packed, want.data(), n);
      ASSERT_TRUE(same_bits(got.data(), want.data(), got.size())) << "k " << k;
    }
  }
}

// Extremes everywhere: no product or sum of the instructions used may saturate.
TEST_P(Linear, Int8SumsDoNotSaturate) {
  ThreadPool pool(1);
  const uint32_t n = 33;
  const uint32_t k = 2048;
  for (const WeightForm form : {WeightForm::kInt8, WeightForm::kInt4}) {
    for (const float sign : {1.0F, -1.0F}) {
      const std::vector<float> values(n * k, sign);
      const Memory memory(ops().packed_bytes(form, n, k));
      ops().pack_rows(form, n, k, 0, n, values.data(), memory.get());
      const Memory in = encoded(pool, form, std::vector<float>(k, 2.0F), 1, k);
      std::vector<float> y(n);
      ops().gemm(pool, in.get(), 1, {form, n, k, memory.get(), nullptr}, y.data(), n);
      for (const float value : y) ASSERT_NEAR(value, 2.0F * sign * k, 0.01F * k);
    }
  }
}

TEST_P(Linear, BrokenValuesStayBroken) {
  ThreadPool pool(1);
  const std::vector<float> x = {NAN, INFINITY, -INFINITY, -NAN};
  Memory memory(ops().encoded_row_bytes(WeightForm::kBfloat16, 4));
  ops().encode_rows(pool, WeightForm::kBfloat16, x.data(), 4, 1, 4, memory.get());
  const auto* values = static_cast<const uint16_t*>(memory.get());
  EXPECT_GT(values[0] & 0x7fff, 0x7f80);
  EXPECT_EQ(values[1], 0x7f80);
  EXPECT_EQ(values[2], 0xff80);
  EXPECT_GT(values[3] & 0x7fff, 0x7f80);
}

TEST_P(Linear, GemmIsTheSumOfProducts) {
  struct Shape {
    uint32_t rows, n, k;
  };
  const Shape shapes[] = {{1, 1, 1},    {1, 7, 5},     {2, 33, 17},  {3, 64, 64},   {5, 31, 257},  {13, 100, 96},
                          {97, 40, 50}, {200, 65, 31}, {600, 17, 9}, {25, 96, 777}, {1, 129, 1000}};
  ThreadPool pool(2);
  for (const WeightForm form : kForms) {
    for (const Shape& s : shapes) {
      for (const bool bias : {false, true}) {
        const Matrix w(ops(), form, s.n, s.k, s.n * 7 + s.k, bias);
        const std::vector<float> x = random_values(size_t{s.rows} * s.k, s.rows + 3);
        const Memory in = encoded(pool, form, x, s.rows, s.k);
        const size_t stride = s.n + 5;
        std::vector<float> y(s.rows * stride, 77.0F);
        ops().gemm(pool, in.get(), s.rows, w.packed, y.data(), stride);
        for (uint32_t r = 0; r < s.rows; ++r) {
          const std::vector<float> row = rounded_input(form, part(x, size_t{r} * s.k, s.k));
          for (uint32_t n = 0; n < s.n; ++n) {
            double error;
            const double expected = w.product(n, row.data(), &error);
            ASSERT_NEAR(y[r * stride + n], expected, error)
                << s.rows << "x" << s.n << "x" << s.k << " row " << r << " output " << n;
          }
          for (size_t i = s.n; i < stride; ++i) ASSERT_EQ(y[r * stride + i], 77.0F) << "wrote past a row";
        }
      }
    }
  }
}

TEST_P(Linear, ARowHasTheSameBitsAloneAndAmongAnyNumberOfOthers) {
  const uint32_t n = 70;
  const uint32_t k = 643;  // several blocks of k, the last one odd
  const uint32_t most = 70;
  for (const WeightForm form : kForms) {
    ThreadPool one(1);
    const Matrix w(ops(), form, n, k, 11, true);
    const std::vector<float> x = random_values(size_t{most} * k, 12);
    const Memory in = encoded(one, form, x, most, k);
    const size_t bytes = ops().encoded_row_bytes(form, k);
    std::vector<float> alone(most * n);
    for (uint32_t r = 0; r < most; ++r) {
      ops().gemm(one, static_cast<const char*>(in.get()) + r * bytes, 1, w.packed, alone.data() + r * n, n);
    }
    for (const uint32_t threads : thread_counts({1, 2, 3})) {
      ThreadPool pool(threads);
      for (uint32_t rows = 1; rows <= most; ++rows) {
        std::vector<float> y(rows * n);
        ops().gemm(pool, in.get(), rows, w.packed, y.data(), n);
        ASSERT_TRUE(same_bits(y.data(), alone.data(), rows * n)) << rows << " rows, " << threads << " threads";
      }
    }
  }
}

TEST_P(Linear, LargeBatchesHaveTheBitsOfSingleRows) {
  const uint32_t n = 45;
  // The longer rows take a panel in several blocks of k, in every form.
  for (const auto& [k, rows] : {std::pair(300U, 601U), std::pair(4301U, 26U)})
    for (const WeightForm form : kForms) {
      ThreadPool pool(2);
      const Matrix w(ops(), form, n, k, 21);
      const Memory in = encoded(pool, form, random_values(size_t{rows} * k, 22), rows, k);
      std::vector<float> y(rows * n);
      ops().gemm(pool, in.get(), rows, w.packed, y.data(), n);
      for (uint32_t r = 0; r < rows; ++r) {
        std::vector<float> alone(n);
        ops().gemm(pool, static_cast<const char*>(in.get()) + r * ops().encoded_row_bytes(form, k), 1, w.packed,
                   alone.data(), n);
        ASSERT_TRUE(same_bits(y.data() + r * n, alone.data(), n)) << "row " << r;
      }
    }
}

TEST_P(Linear, GemmHeadsIsOneProductPerHeadWithTheSameBitsForAnyBatch) {
  const uint32_t heads = 5;
  const uint32_t n = 37;
  const uint32_t k = 51;
  const uint32_t most = 130;
  const size_t head_stride = k + 2;
  const size_t row_stride = heads * head_stride + 9;
  for (const WeightForm form : kForms) {
    std::vector<std::unique_ptr<Matrix>> matrices;
    std::vector<PackedMatrix> packed;
    for (uint32_t h = 0; h < heads; ++h) {
      matrices.push_back(std::make_unique<Matrix>(ops(), form, n, k, 31 + h));
      packed.push_back(matrices.back()->packed);
    }
    const std::vector<float> x = random_values(most * row_stride, 32);
    std::vector<float> reference(most * heads * n);
    ThreadPool one(1);
    for (uint32_t r = 0; r < most; ++r) {
      ops().gemm_heads(one, x.data() + r * row_stride, row_stride, head_stride, 1, packed.data(), heads,
                       reference.data() + r * heads * n, heads * n, n);
    }
    for (uint32_t r = 0; r < most; ++r) {
      for (uint32_t h = 0; h < heads; ++h) {
        const std::vector<float> in = rounded_input(form, part(x, r * row_stride + h * head_stride, k));
        for (uint32_t i = 0; i < n; ++i) {
          double error;
          const double expected = matrices[h]->product(i, in.data(), &error);
          ASSERT_NEAR(reference[(r * heads + h) * n + i], expected, error);
        }
      }
    }
    for (const uint32_t threads : thread_counts({1, 2, 3})) {
      ThreadPool pool(threads);
      for (const uint32_t rows : {2U, 7U, 13U, most}) {
        std::vector<float> y(rows * heads * n);
        ops().gemm_heads(pool, x.data(), row_stride, head_stride, rows, packed.data(), heads, y.data(), heads * n, n);
        ASSERT_TRUE(same_bits(y.data(), reference.data(), y.size())) << rows << " rows, " << threads << " threads";
      }
    }
  }
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double activated(const ActivationSpec& spec, double gate, double up) {
  if (spec.kind == Activation::kSilu) return gate * sigmoid(gate) * up;
  const double limit = spec.limit;
  gate = std::min(gate, limit);
  up = std::min(std::max(up, -limit), limit);
  return (up + 1.0) * gate * sigmoid(double{spec.alpha} * gate);
}

struct Mlp {
  Matrix gate;
  Matrix up;
  Matrix down;

  Mlp(const OpTable& ops, WeightForm form, WeightForm down_form, uint32_t hidden, uint32_t width, uint32_t seed,
      bool bias)
      : gate(ops, form, width, hidden, seed, bias),
        up(ops, form, width, hidden, seed + 1, bias),
        down(ops, down_form, hidden, width, seed + 2, bias) {}
  MlpWeights weights() const { return {gate.packed, up.packed, down.packed}; }
};

struct MlpCase {
  WeightForm form;
  WeightForm down_form;
  uint32_t hidden;
  uint32_t width;
  bool bias;
  ActivationSpec activation;
  std::vector<uint32_t> rows;  // of each slot
};

TEST_P(Linear, GroupedMlpIsEachRowThroughItsSlotWithTheBitsOfTheRowAlone) {
  const ActivationSpec silu{};
  const ActivationSpec glu{Activation::kGptOssGlu, 1.5F, 1.702F};
  const MlpCase cases[] = {
      {WeightForm::kFloat32, WeightForm::kFloat32, 24, 40, false, silu, {3, 0, 1, 0, 7}},
      {WeightForm::kBfloat16, WeightForm::kBfloat16, 33, 45, true, silu, {0, 14, 1, 0, 0}},
      {WeightForm::kBfloat16, WeightForm::kBfloat16, 50, 33, true, glu, {1, 1, 1, 1, 1}},
      {WeightForm::kFloat32, WeightForm::kFloat32, 17, 9, true, glu, {0, 0, 201, 0, 0}},
      {WeightForm::kBfloat16, WeightForm::kFloat32, 64, 96, false, silu, {100, 0, 2, 13, 5}},
      {WeightForm::kFloat32, WeightForm::kBfloat16, 40, 70, false, silu, {0, 0, 0, 0, 6}},
      {WeightForm::kFloat32, WeightForm::kFloat32, 8, 8, false, silu, {0, 0, 0, 0, 0}},
      {WeightForm::kInt8, WeightForm::kInt8, 96, 72, false, silu, {3, 0, 14, 1, 7}},
      {WeightForm::kInt8, WeightForm::kInt8, 33, 45, true, glu, {0, 0, 201, 0, 1}},
      {WeightForm::kInt4, WeightForm::kInt4, 128, 70, true, silu, {5, 0, 1, 101, 0}},
      {WeightForm::kInt8, WeightForm::kInt4, 40, 64, false, silu, {0, 13, 0, 2, 0}},
      {WeightForm::kBfloat16, WeightForm::kInt8, 45, 64, false, silu, {0, 13, 0, 2, 0}},
      {WeightForm::kBfloat16, WeightForm::kBfloat16, 1100, 61, false, silu, {7, 0, 2, 0, 5}},
      {WeightForm::kInt4, WeightForm::kFloat32, 70, 33, false, glu, {1, 1, 0, 25, 1}},
  };
  for (const MlpCase& c : cases) {
    std::vector<std::unique_ptr<Mlp>> mlps;
    std::vector<MlpWeights> weights;
    std::vector<uint32_t> offsets = {0};
    for (uint32_t s = 0; s < c.rows.size(); ++s) {
      mlps.push_back(std::make_unique<Mlp>(ops(), c.form, c.down_form, c.hidden, c.width, 100 * s + 41, c.bias));
      weights.push_back(mlps.back()->weights());
      offsets.push_back(offsets.back() + c.rows[s]);
    }
    const uint32_t rows = offsets.back();
    const std::vector<float> x = random_values(size_t{rows} * c.hidden, 42, 0.5F);
    ThreadPool one(1);
    const Memory in = encoded(one, c.form, x, rows, c.hidden);
    const size_t bytes = ops().encoded_row_bytes(c.form, c.hidden);
    std::vector<float> alone(size_t{rows} * c.hidden);
    for (uint32_t s = 0; s < c.rows.size(); ++s) {
      for (uint32_t r = offsets[s]; r < offsets[s + 1]; ++r) {
        const uint32_t single[] = {0, 1};
        ops().grouped_mlp(one, static_cast<const char*>(in.get()) + r * bytes, single, &weights[s], 1, c.activation,
                          alone.data() + size_t{r} * c.hidden);
        const std::vector<float> row = rounded_input(c.form, part(x, size_t{r} * c.hidden, c.hidden));
        std::vector<float> h(c.width);
        for (uint32_t i = 0; i < c.width; ++i) {
          h[i] = static_cast<float>(
              activated(c.activation, mlps[s]->gate.product(i, row.data()), mlps[s]->up.product(i, row.data())));
        }
        h = rounded_input(c.down_form, h);
        // The intermediate may round to the other neighbour where the table's own sum lies on the other side of a tie.
        const double slack = c.down_form == WeightForm::kFloat32 ? 1e-5 : 4e-2;
        for (uint32_t i = 0; i < c.hidden; ++i) {
          const double expected = mlps[s]->down.product(i, h.data());
          ASSERT_NEAR(alone[size_t{r} * c.hidden + i], expected, slack * (1.0 + std::fabs(expected)))
              << "slot " << s << " row " << r;
        }
      }
    }
    for (const uint32_t threads : thread_counts({1, 2, 3})) {
      ThreadPool pool(threads);
      std::vector<float> y(size_t{rows} * c.hidden);
      ops().grouped_mlp(pool, in.get(), offsets.data(), weights.data(), static_cast<uint32_t>(weights.size()),
                        c.activation, y.data());
      ASSERT_TRUE(same_bits(y.data(), alone.data(), y.size())) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace switchyard::kernels
