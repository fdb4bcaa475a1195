// Row-wise ops against the same formulas in double; strides, tails and thread counts included.
#include "tests/unit/kernels/support.h"

namespace switchyard::kernels {
namespace {

class Rows : public Table {};
INSTANTIATE_TEST_SUITE_P(Tables, Rows, testing::ValuesIn(all_tables()), table_name);

TEST_P(Rows, RmsNormDividesByTheRootMeanSquare) {
  for (const uint32_t threads : thread_counts({1, 3})) {
    ThreadPool pool(threads);
    for (const uint32_t d : {1U, 7U, 16U, 64U, 65U, 100U, 1024U, 1031U}) {
      for (const uint32_t rows : {1U, 6U, 50U}) {
        const size_t x_stride = d + 3;
        const size_t y_stride = d + 1;
        const std::vector<float> x = random_values(rows * x_stride, d, 3.0F);
        const std::vector<float> weight = random_values(d, d + 1);
        std::vector<float> y(rows * y_stride, 5.0F);
        ops().rms_norm(pool, x.data(), x_stride, rows, d, weight.data(), 1e-5F, y.data(), y_stride);
        for (uint32_t r = 0; r < rows; ++r) {
          double squares = 0.0;
          for (uint32_t i = 0; i < d; ++i) squares += std::pow(double{x[r * x_stride + i]}, 2);
          const double scale = 1.0 / std::sqrt(squares / d + double{1e-5F});
          for (uint32_t i = 0; i < d; ++i) {
            const double expected = double{x[r * x_stride + i]} * scale * double{weight[i]};
            ASSERT_NEAR(y[r * y_stride + i], expected, 1e-6 * std::fabs(expected) + 1e-12);
          }
          ASSERT_EQ(y[r * y_stride + d], 5.0F);
          std::vector<float> alone(d);
          ops().rms_norm(pool, x.data() + r * x_stride, x_stride, 1, d, weight.data(), 1e-5F, alone.data(), d);
          ASSERT_TRUE(same_bits(alone.data(), y.data() + r * y_stride, d));
        }
        std::vector<float> in_place = x;
        ops().rms_norm(pool, in_place.data(), x_stride, rows, d, weight.data(), 1e-5F, in_place.data(), x_stride);
        for (uint32_t r = 0; r < rows; ++r)
          ASSERT_TRUE(same_bits(in_place.data() + r * x_stride, y.data() + r * y_stride, d));
      }
    }
  }
}

TEST_P(Rows, AddAddsEveryValueOnce) {
  ThreadPool pool(3);
  for (const size_t count : {1UL, 15UL, 17UL, 1000UL, 200003UL}) {
    const std::vector<float> before = random_values(count, 1);
    const std::vector<float> y = random_values(count, 2);
    std::vector<float> x = before;
    ops().add(pool, x.data(), y.data(), count);
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(x[i], before[i] + y[i]);
  }
}

TEST_P(Rows, AddGatedScalesByTheSigmoidOfTheRowsGate) {
  ThreadPool pool(2);
  for (const uint32_t d : {5U, 64U, 1000U}) {
    const uint32_t rows = 40;
    const std::vector<float> before = random_values(size_t{rows} * d, 3);
    const std::vector<float> y = random_values(size_t{rows} * d, 4);
    std::vector<float> gate = random_values(rows, 5, 8.0F);
    gate[0] = 200.0F;
    gate[1] = -200.0F;
    std::vector<float> x = before;
    ops().add_gated(pool, x.data(), y.data(), gate.data(), rows, d);
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(x[i], double{before[i]} + double{y[i]} / (1.0 + std::exp(-double{gate[i / d]})), 5e-7);
    }
  }
}

TEST_P(Rows, RopeRotatesThePairsOfItsRangeAndNothingElse) {
  struct Case {
    RopeSpec spec;
    uint32_t heads, head_dim;
  };
  const Case cases[] = {{{64, 0, false}, 3, 64},  {{64, 0, true}, 3, 64},  {{24, 0, false}, 2, 40},
                        {{16, 48, true}, 5, 64},  {{10, 3, false}, 1, 13}, {{6, 1, true}, 4, 9},
                        {{128, 0, false}, 8, 128}};
  for (const uint32_t threads : thread_counts({1, 2})) {
    ThreadPool pool(threads);
    for (const Case& c : cases) {
      const uint32_t rows = 33;
      const uint32_t pairs = c.spec.rotary_dim / 2;
      const size_t stride = c.heads * c.head_dim + 7;
      const std::vector<float> cos_sin = random_values(100 * c.spec.rotary_dim, 6);
      std::vector<uint32_t> positions(rows);
      for (uint32_t r = 0; r < rows; ++r) positions[r] = (r * 37) % 100;
      const std::vector<float> before = random_values(rows * stride, 7);
      std::vector<double> expected(before.begin(), before.end());
      for (uint32_t r = 0; r < rows; ++r) {
        for (uint32_t h = 0; h < c.heads; ++h) {
          for (uint32_t j = 0; j < pairs; ++j) {
            const size_t head = r * stride + h * c.head_dim + c.spec.offset;
            const size_t a = head + (c.spec.interleaved ? 2 * j : j);
            const size_t b = head + (c.spec.interleaved ? 2 * j + 1 : j + pairs);
            const double cos = cos_sin[positions[r] * c.spec.rotary_dim + j];
            const double sin = cos_sin[positions[r] * c.spec.rotary_dim + pairs + j];
            expected[a] = double{before[a]} * cos - double{before[b]} * sin;
            expected[b] = double{before[b]} * cos + double{before[a]} * sin;
          }
        }
      }
      std::vector<float> x = before;
      ops().rope(pool, c.spec, cos_sin.data(), positions.data(), x.data(), stride, rows, c.heads, c.head_dim);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], expected[i], 3e-7) << "value " << i;
    }
  }
}

TEST_P(Rows, CopyMovesStridedHeads) {
  ThreadPool pool(2);
  const uint32_t rows = 40;
  const uint32_t heads = 3;
  const uint32_t d = 11;
  const std::vector<float> x = random_values(rows * 100, 8);
  std::vector<float> y(rows * 90, -1.0F);
  ops().copy(pool, x.data() + 4, 100, 30, rows, heads, d, y.data() + 2, 90, 20);
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t i = 0; i < 90; ++i) {
      const bool inside = i >= 2 && (i - 2) / 20 < heads && (i - 2) % 20 < d;
      ASSERT_EQ(y[r * 90 + i], inside ? x[r * 100 + 4 + (i - 2) / 20 * 30 + (i - 2) % 20] : -1.0F);
    }
  }
}

TEST_P(Rows, EmbedReadsRowsOfEveryForm) {
  ThreadPool pool(2);
  for (const WeightForm form : {WeightForm::kFloat32, WeightForm::kBfloat16, WeightForm::kInt8, WeightForm::kInt4}) {
    for (const uint32_t d : {1U, 21U, 64U, 100U}) {
      const uint32_t n = 70;
      const Matrix table(ops(), form, n, d, 9);
      std::vector<int32_t> ids(50);
      for (size_t r = 0; r < ids.size(); ++r) ids[r] = static_cast<int32_t>(r * 7 % n);
      std::vector<float> y(ids.size() * d);
      ops().embed(pool, table.packed, ids.data(), 50, y.data());
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y[i], table.values[static_cast<size_t>(ids[i / d]) * d + i % d]) << "d " << d << " value " << i;
      }
    }
  }
}

// The contract is exact: fp32 fma in top-k order from zero, then one addition.
TEST_P(Rows, CombineSumsAnswersInTopKOrder) {
  for (const uint32_t threads : thread_counts({1, 3})) {
    ThreadPool pool(threads);
    for (const uint32_t d : {3U, 64U, 777U}) {
      const uint32_t rows = 37;
      const uint32_t top_k = 3;
      const std::vector<float> answers = random_values(size_t{rows} * top_k * d, 10);
      const std::vector<float> weights = random_values(rows * top_k, 11);
      std::vector<const float*> source(rows * top_k);
      for (uint32_t i = 0; i < source.size(); ++i) source[i] = &answers[size_t{(i * 5) % (rows * top_k)} * d];
      const std::vector<float> before = random_values(size_t{rows} * d, 12);
      std::vector<float> out = before;
      ops().combine(pool, source.data(), weights.data(), rows, top_k, d, out.data());
      for (uint32_t r = 0; r < rows; ++r) {
        for (uint32_t i = 0; i < d; ++i) {
          float sum = 0.0F;
          for (uint32_t j = 0; j < top_k; ++j) {
            sum = std::fma(weights[r * top_k + j], source[r * top_k + j][i], sum);
          }
          ASSERT_EQ(out[r * d + i], before[r * d + i] + sum);
        }
      }
    }
  }
}

TEST(Backends, TheLastIsPlainTheFirstIsAutoAndNamesFindTheirTable) {
  const BackendList list = cpu_backends();
  ASSERT_GE(list.count, 1U);
  EXPECT_STREQ(list.tables[list.count - 1]->name, "cpu-plain");
  EXPECT_EQ(find_backend(nullptr), list.tables[0]);
  EXPECT_EQ(find_backend("auto"), list.tables[0]);
  for (size_t i = 0; i < list.count; ++i) EXPECT_EQ(find_backend(list.tables[i]->name), list.tables[i]);
  EXPECT_EQ(find_backend("abacus"), nullptr);
}

}  // namespace
}  // namespace switchyard::kernels
