// Packed weights out of a file are those that packing gives, and out of the wrong file they never come.
#include "worker/model/packed_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/checkpoint/checkpoint.h"

namespace switchyard::worker {
namespace {

namespace fs = std::filesystem;
using kernels::WeightForm;

class PackedCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(base_);
    fs::create_directories(base_);
    fs::copy(std::string(SWITCHYARD_TEST_DATA) + "/golden/qwen3-moe-tiny", model_);
  }
  void TearDown() override { fs::remove_all(base_); }

  std::vector<LayerPlacement> placement(uint32_t ranks) const {
    const auto spec = checkpoint::Checkpoint::read_spec(model_);
    std::vector<uint32_t> rank_of(spec->expert_count);
    for (uint32_t e = 0; e < spec->expert_count; ++e) rank_of[e] = e % ranks;
    std::vector<LayerPlacement> all;
    for (const auto& layer : spec->layers) {
      if (layer.experts) all.push_back(LayerPlacement::from_ranks(rank_of, ranks));
    }
    return all;
  }

  std::unique_ptr<ModelWeights> load(WeightForm form, bool cached, uint32_t rank = 0, uint32_t ranks = 1) {
    const auto checkpoint = checkpoint::Checkpoint::open(model_);
    const auto experts = placement(ranks);
    const PackedCache cache(cached ? cache_ : "", model_, ops_.name, WeightForms::of(form), experts, rank);
    auto weights = ModelWeights::load(*checkpoint, WeightForms::of(form), experts, rank, ops_, pool_, nullptr,
                                      cached ? &cache : nullptr);
    EXPECT_TRUE(weights.ok()) << weights.error().message;
    return std::move(*weights);
  }

  size_t files() const {
    size_t count = 0;
    std::error_code error;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(cache_, error)) ++count;
    return count;
  }

  void expect_same(const ModelWeights& a, const ModelWeights& b) {
    const auto same = [&](const kernels::PackedMatrix& x, const kernels::PackedMatrix& y) {
      ASSERT_EQ(x.n, y.n);
      ASSERT_EQ(x.k, y.k);
      ASSERT_EQ(x.form, y.form);
      ASSERT_EQ(std::memcmp(x.data, y.data, ops_.packed_bytes(x.form, x.n, x.k)), 0);
    };
    ASSERT_EQ(a.bytes, b.bytes);
    same(a.lm_head, b.lm_head);
    same(a.embedding, b.embedding);
    for (size_t l = 0; l < a.layers.size(); ++l) {
      same(a.layers[l].qkv, b.layers[l].qkv);
      ASSERT_EQ(a.layers[l].experts.size(), b.layers[l].experts.size());
      for (size_t e = 0; e < a.layers[l].experts.size(); ++e) {
        same(a.layers[l].experts[e].gate, b.layers[l].experts[e].gate);
        same(a.layers[l].experts[e].down, b.layers[l].experts[e].down);
      }
    }
  }

  const std::string base_ = testing::TempDir() + "/packed_cache_" + std::to_string(getpid());
  const std::string model_ = base_ + "/model";
  const std::string cache_ = base_ + "/cache/deeper";
  kernels::ThreadPool pool_{2};
  const kernels::OpTable& ops_ = *kernels::find_backend("auto");
};

TEST_F(PackedCacheTest, TheSecondStartMapsWhatTheFirstPacked) {
  for (const auto form : {WeightForm::kFloat32, WeightForm::kBfloat16, WeightForm::kInt8, WeightForm::kInt4}) {
    const auto packed = load(form, false);
    const auto first = load(form, true);
    EXPECT_FALSE(first->from_cache);
    EXPECT_EQ(first->cache_error, "");
    const auto second = load(form, true);
    EXPECT_TRUE(second->from_cache);
    expect_same(*packed, *first);
    expect_same(*packed, *second);
  }
  EXPECT_EQ(files(), 4U);
}

TEST_F(PackedCacheTest, EveryRankHasItsOwn) {
  load(WeightForm::kInt8, true, 0, 2);
  EXPECT_FALSE(load(WeightForm::kInt8, true, 1, 2)->from_cache);
  EXPECT_FALSE(load(WeightForm::kInt8, true, 0, 1)->from_cache);
  EXPECT_TRUE(load(WeightForm::kInt8, true, 1, 2)->from_cache);
  EXPECT_EQ(files(), 3U);
}

TEST_F(PackedCacheTest, PlacementsAndModelsOfOneNameKeepTheirsSideBySide) {
  load(WeightForm::kInt8, true, 0, 2);
  auto other = placement(2);
  for (LayerPlacement& layer : other) std::swap(layer.experts[0], layer.experts[1]);
  const PackedCache swapped(cache_, model_, ops_.name, WeightForms::of(WeightForm::kInt8), other, 0);
  const PackedCache first(cache_, model_ + "/../model/", ops_.name, WeightForms::of(WeightForm::kInt8), placement(2),
                          0);
  EXPECT_NE(swapped.path(), first.path());
  EXPECT_TRUE(fs::exists(first.path()));

  fs::create_directories(base_ + "/elsewhere");
  fs::copy(model_, base_ + "/elsewhere/model");
  const PackedCache copy(cache_, base_ + "/elsewhere/model", ops_.name, WeightForms::of(WeightForm::kInt8),
                         placement(2), 0);
  EXPECT_NE(copy.path(), first.path());
}

TEST_F(PackedCacheTest, AChangedCheckpointIsPackedAgain) {
  load(WeightForm::kInt8, true);
  const std::string weights = model_ + "/model.safetensors";
  fs::last_write_time(weights, fs::last_write_time(weights) + std::chrono::milliseconds(1));
  EXPECT_FALSE(load(WeightForm::kInt8, true)->from_cache);
  EXPECT_TRUE(load(WeightForm::kInt8, true)->from_cache);
}

TEST_F(PackedCacheTest, ACheckpointOfTheSameNameSizeAndTimesIsAnother) {
  load(WeightForm::kInt8, true);
  const fs::path weights = model_ + "/model.safetensors";
  const auto time = fs::last_write_time(weights);
  fs::copy_file(weights, weights.string() + ".new");
  fs::rename(weights.string() + ".new", weights);
  fs::last_write_time(weights, time);
  EXPECT_FALSE(load(WeightForm::kInt8, true)->from_cache);
}

TEST_F(PackedCacheTest, ABrokenFileIsPackedAgain) {
  load(WeightForm::kInt8, true);
  const fs::path file = fs::directory_iterator(cache_)->path();
  fs::resize_file(file, fs::file_size(file) - 1);
  EXPECT_FALSE(load(WeightForm::kInt8, true)->from_cache);
  {
    std::fstream header(file, std::ios::in | std::ios::out | std::ios::binary);
    header.seekp(3);
    header.put('X');
  }
  EXPECT_FALSE(load(WeightForm::kInt8, true)->from_cache);
  EXPECT_TRUE(load(WeightForm::kInt8, true)->from_cache);
}

TEST_F(PackedCacheTest, ADirectoryThatCannotBeWrittenIsSaidAndNotFatal) {
  std::ofstream(base_ + "/cache") << "a file where the directory should be";
  const auto weights = load(WeightForm::kInt8, true);
  EXPECT_FALSE(weights->from_cache);
  EXPECT_TRUE(weights->cache_error.starts_with("cannot write " + cache_)) << weights->cache_error;
  expect_same(*weights, *load(WeightForm::kInt8, false));
}

}  // namespace
}  // namespace switchyard::worker
