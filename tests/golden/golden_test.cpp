// Whole models against another implementation's numbers: every golden checkpoint, every backend of this machine,
// float32 and bfloat16.
//
// The reference is transformers' own model in float32 (tests/data/golden/README.md); tolerances are the manifest's.
// Greedy continuations and router choices are exact in float32.
//
// SWITCHYARD_GOLDEN in the environment: another directory of such checkpoints instead
// (tests/tools/make_odd_checkpoints.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <ostream>
#include <set>

#include "tests/support/rank_model.h"
#include "tests/support/reference.h"

namespace switchyard::testing {
namespace {

using kernels::WeightForm;

std::vector<std::string> directories() {
  const char* other = std::getenv("SWITCHYARD_GOLDEN");
  if (other != nullptr) return {other};
  return {SWITCHYARD_TEST_DATA "/golden", SWITCHYARD_TEST_DATA "/odd"};
}

struct Case {
  std::string directory;
  std::string model;
  std::string backend;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.model << " on " << c.backend; }

// Remembers what the forward pass showed.
class Recorder final : public worker::ForwardObserver {
 public:
  explicit Recorder(uint32_t hidden) : hidden_(hidden) {}
  void on_route(uint32_t index, const int32_t* ids, const float* weights, uint32_t rows, uint32_t top_k) override {
    routes[index] = {std::vector<int32_t>(ids, ids + rows * top_k),
                     std::vector<float>(weights, weights + rows * top_k)};
  }
  void on_values(const char* what, uint32_t layer, const float* x, uint32_t rows) override {
    const std::string name = what;
    const bool whole = name == "embed" || name == "final_norm";
    values[whole ? name : "layers." + std::to_string(layer) + "." + name].assign(x, x + size_t{rows} * hidden_);
  }

  std::map<uint32_t, std::pair<std::vector<int32_t>, std::vector<float>>> routes;
  std::map<std::string, std::vector<float>> values;

 private:
  uint32_t hidden_;
};

class Golden : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    reference_ = load_reference(GetParam().directory, GetParam().model);
    auto opened = checkpoint::Checkpoint::open(reference_.directory);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    checkpoint_ = std::make_unique<checkpoint::Checkpoint>(std::move(*opened));
  }

  std::unique_ptr<RankModel> load(WeightForm form) {
    GroupOptions options;
    options.form = form;
    options.backend = GetParam().backend;
    options.max_num_seqs = 1;
    const auto placement = make_placement(checkpoint_->spec(), 1, 0);
    return std::make_unique<RankModel>(*checkpoint_, options, placement, worker::make_single_transport());
  }

  // Computes positions [first, first + ids.size()) of the one sequence and returns their logits (rows, vocab).
  std::vector<float> compute(RankModel& rank, const std::vector<int32_t>& ids, uint32_t first, worker::KvCache& kv,
                             worker::KvTables& tables, worker::ForwardObserver* observer = nullptr) {
    const auto count = static_cast<uint32_t>(ids.size());
    EXPECT_TRUE(kv.grow(tables, first, first + count));
    worker::StepBatch batch;
    batch.ids = ids;
    for (uint32_t i = 0; i < count; ++i) batch.positions.push_back(first + i);
    for (const auto& table : tables.tables) batch.sequences.push_back({{0, count, first, table.data()}});
    EXPECT_TRUE(rank.model->forward(batch, observer).ok());
    std::vector<uint32_t> rows(count);
    for (uint32_t i = 0; i < count; ++i) rows[i] = i;
    const float* logits = rank.model->logits(rows, observer);
    kv.slide(tables, first + count);
    return {logits, logits + size_t{count} * checkpoint_->spec().vocab_size};
  }

  std::vector<float> compute(RankModel& rank, const std::vector<int32_t>& ids,
                             worker::ForwardObserver* observer = nullptr) {
    worker::KvCache kv(rank.groups, 16);
    worker::KvTables tables = kv.make_tables();
    return compute(rank, ids, 0, kv, tables, observer);
  }

  Reference reference_;
  std::unique_ptr<checkpoint::Checkpoint> checkpoint_;
};

size_t argmax(const float* row, size_t count) { return static_cast<size_t>(std::max_element(row, row + count) - row); }

TEST_P(Golden, LogitsInFloat32) {
  const auto rank = load(WeightForm::kFloat32);
  for (const auto& [name, wanted] : reference_.cases) {
    const auto got = compute(*rank, wanted.input_ids);
    const float* first = got.data() + size_t{wanted.logits_first_position} * reference_.vocab;
    double worst = 0;
    for (size_t i = 0; i < wanted.logits.size(); ++i) {
      ASSERT_TRUE(std::isfinite(first[i])) << name;
      worst = std::max(worst, std::abs(static_cast<double>(first[i]) - wanted.logits[i]));
    }
    EXPECT_LE(worst, reference_.tolerance.float32_max_abs_diff) << name;
  }
}

TEST_P(Golden, GreedyContinuationsInFloat32) {
  const auto rank = load(WeightForm::kFloat32);
  for (size_t g = 0; g < reference_.greedy.size(); ++g) {
    const auto& wanted = reference_.greedy[g];
    worker::KvCache kv(rank->groups, 16);
    worker::KvTables tables = kv.make_tables();
    std::vector<int32_t> tokens;
    std::vector<int32_t> next = wanted.prompt;
    uint32_t position = 0;
    while (tokens.size() < wanted.tokens.size()) {
      const auto logits = compute(*rank, next, position, kv, tables);
      position += static_cast<uint32_t>(next.size());
      tokens.push_back(
          static_cast<int32_t>(argmax(logits.data() + (next.size() - 1) * reference_.vocab, reference_.vocab)));
      next = {tokens.back()};
    }
    EXPECT_EQ(tokens, wanted.tokens) << "greedy " << g;
  }
}

TEST_P(Golden, RouterChoicesInFloat32) {
  const auto rank = load(WeightForm::kFloat32);
  Recorder recorder(checkpoint_->spec().hidden);
  compute(*rank, reference_.cases.at("mid").input_ids, &recorder);
  ASSERT_EQ(recorder.routes.size(), reference_.routers.size());
  for (size_t i = 0; i < reference_.routers.size(); ++i) {
    const auto& wanted = reference_.routers[i];
    const auto& [ids, weights] = recorder.routes.at(static_cast<uint32_t>(i));
    EXPECT_EQ(ids, wanted.experts) << "layer " << wanted.layer;
    ASSERT_EQ(weights.size(), wanted.weights.size());
    for (size_t w = 0; w < weights.size(); ++w)
      EXPECT_NEAR(weights[w], wanted.weights[w], 1e-4) << "layer " << wanted.layer;
  }
}

TEST_P(Golden, EveryLayersOutputInFloat32) {
  if (reference_.layers.empty()) return;  // three checkpoints have them
  const auto rank = load(WeightForm::kFloat32);
  Recorder recorder(checkpoint_->spec().hidden);
  compute(*rank, reference_.cases.at("short").input_ids, &recorder);
  for (const auto& [name, wanted] : reference_.layers) {
    ASSERT_TRUE(recorder.values.contains(name)) << name;
    const auto& got = recorder.values.at(name);
    ASSERT_EQ(got.size(), wanted.values.size()) << name;
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], wanted.values[i], 2e-4 * std::max(1.0F, std::abs(wanted.values[i])))
          << name << " value " << i;
    }
  }
}

TEST_P(Golden, LogitsInBfloat16StayNear) {
  const auto rank = load(WeightForm::kBfloat16);
  {
    const auto& wanted = reference_.cases.at("short");
    const auto got = compute(*rank, wanted.input_ids);
    double worst = 0;
    for (size_t i = 0; i < wanted.logits.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(got[i]) - wanted.logits[i]));
    }
    EXPECT_LE(worst, reference_.tolerance.bfloat16_short_max_abs_diff);
  }
  const auto& wanted = reference_.cases.at("mid");
  const auto got = compute(*rank, wanted.input_ids);
  double sum = 0;
  for (size_t i = 0; i < wanted.logits.size(); ++i) sum += std::abs(static_cast<double>(got[i]) - wanted.logits[i]);
  EXPECT_LE(sum / static_cast<double>(wanted.logits.size()), reference_.tolerance.bfloat16_mid_mean_abs_diff);
  uint32_t agree = 0;
  for (uint32_t r = 0; r < wanted.rows; ++r) {
    const size_t at = size_t{r} * reference_.vocab;
    agree += argmax(got.data() + at, reference_.vocab) == argmax(wanted.logits.data() + at, reference_.vocab) ? 1 : 0;
  }
  EXPECT_GE(static_cast<double>(agree) / wanted.rows, reference_.tolerance.bfloat16_mid_argmax_agreement);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto backends = kernels::cpu_backends();
  for (const auto& directory : directories()) {
    for (const auto& model : golden_names(directory)) {
      for (size_t b = 0; b < backends.count; ++b) all.push_back({directory, model, backends.tables[b]->name});
      all.push_back({directory, model, "cuda"});  // on an emulation of the grid
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, Golden, ::testing::ValuesIn(cases()), [](const auto& tested) {
  std::string name = tested.param.model + "_" + tested.param.backend;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace switchyard::testing
