// GEMMs against sums in double, and the promise that a row's bits hang on nothing but the row and the weights.
#include "tests/unit/kernels/support.h"

namespace switchyard::kernels {
namespace {

constexpr WeightForm kForms[] = {WeightForm::kFloat32, WeightForm::kBfloat16};

class Linear : public Table {
 protected:
  Memory encoded(ThreadPool& pool, WeightForm form, const std::vector<float>& x, uint32_t rows, uint32_t k) const {
    Memory memory(ops().encoded_row_bytes(form, k) * rows);
    ops().encode_rows(pool, form, x.data(), k, rows, k, memory.get());
    return memory;
  }
};
INSTANTIATE_TEST_SUITE_P(Tables, Linear, testing::ValuesIn(all_tables()), table_name);

TEST_P(Linear, EncodedRowsAreTheInputsRoundedToTheFormAndZeroPadded) {
  ThreadPool pool(2);
  for (const WeightForm form : kForms) {
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
          ASSERT_EQ(value, rounded(form, x[r * (k + 3) + i]));
        }
        for (size_t i = k * size; i < bytes; ++i) ASSERT_EQ(row[i], 0) << "k " << k << " byte " << i;
      }
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
        std::vector<float> x = random_values(size_t{s.rows} * s.k, s.rows + 3);
        const Memory in = encoded(pool, form, x, s.rows, s.k);
        for (float& v : x) v = rounded(form, v);
        const size_t stride = s.n + 5;
        std::vector<float> y(s.rows * stride, 77.0F);
        ops().gemm(pool, in.get(), s.rows, w.packed, y.data(), stride);
        for (uint32_t r = 0; r < s.rows; ++r) {
          for (uint32_t n = 0; n < s.n; ++n) {
            double error;
            const double expected = w.product(n, x.data() + size_t{r} * s.k, &error);
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
    for (const uint32_t threads : {1U, 2U, 3U}) {
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
  const uint32_t k = 300;
  const uint32_t rows = 601;
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
        std::vector<float> in(x.begin() + static_cast<long>(r * row_stride + h * head_stride),
                              x.begin() + static_cast<long>(r * row_stride + h * head_stride + k));
        for (float& v : in) v = rounded(form, v);
        for (uint32_t i = 0; i < n; ++i) {
          double error;
          const double expected = matrices[h]->product(i, in.data(), &error);
          ASSERT_NEAR(reference[(r * heads + h) * n + i], expected, error);
        }
      }
    }
    for (const uint32_t threads : {1U, 2U, 3U}) {
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
        std::vector<float> row(x.begin() + r * c.hidden, x.begin() + (r + 1) * c.hidden);
        for (float& v : row) v = rounded(c.form, v);
        std::vector<float> h(c.width);
        for (uint32_t i = 0; i < c.width; ++i) {
          h[i] = static_cast<float>(
              activated(c.activation, mlps[s]->gate.product(i, row.data()), mlps[s]->up.product(i, row.data())));
          h[i] = rounded(c.down_form, h[i]);
        }
        // The intermediate may round to the other neighbour where the table's own sum lies on the other side of a tie.
        const double slack = c.down_form == WeightForm::kFloat32 ? 1e-5 : 4e-2;
        for (uint32_t i = 0; i < c.hidden; ++i) {
          const double expected = mlps[s]->down.product(i, h.data());
          ASSERT_NEAR(alone[size_t{r} * c.hidden + i], expected, slack * (1.0 + std::fabs(expected)))
              << "slot " << s << " row " << r;
        }
      }
    }
    for (const uint32_t threads : {1U, 2U, 3U}) {
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
