// Packed weights out of a file are those that packing gives, and out of the wrong file they never come.
#include "worker/model/packed_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "common/base/atomic_file.h"
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

TEST_F(PackedCacheTest, ATruncatedFileIsRefusedAndReplacedByAWholeOne) {
  const auto packed = load(WeightForm::kInt8, true);
  const fs::path file = fs::directory_iterator(cache_)->path();
  const auto bytes = fs::file_size(file);
  for (const auto left : {bytes - 1, bytes - 4096, bytes / 2, uintmax_t{256} << 10, uintmax_t{100}, uintmax_t{0}}) {
    fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
    fs::resize_file(file, left);
    const auto again = load(WeightForm::kInt8, true);
    EXPECT_FALSE(again->from_cache);
    EXPECT_EQ(again->cache_refused.find(file.string() + ": truncated"), 0U) << left << ": " << again->cache_refused;
    EXPECT_EQ(again->cache_error, "");
    expect_same(*packed, *again);
    EXPECT_EQ(fs::file_size(file), bytes);
  }
  EXPECT_TRUE(load(WeightForm::kInt8, true)->from_cache);
  EXPECT_EQ(files(), 1U);
}

// Every byte of a file of this version is under a checksum or is one: no flip may go unseen, padding included.
TEST_F(PackedCacheTest, AnyFlippedBitIsNoticed) {
  load(WeightForm::kInt4, true);
  const fs::path path = fs::directory_iterator(cache_)->path();
  const auto experts = placement(1);
  const PackedCache cache(cache_, model_, ops_.name, WeightForms::of(WeightForm::kInt4), experts, 0);
  const size_t bytes = fs::file_size(path);
  const size_t header = size_t{256} << 10;
  ASSERT_GT(bytes, header);
  fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto flip = [&](size_t at, int bit) {
    file.seekg(static_cast<std::streamoff>(at));
    const int was = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(was ^ (1 << bit)));
    file.flush();
  };
  ASSERT_TRUE(cache.map(bytes - header, pool_, nullptr).ok());
  std::mt19937_64 random(20261127);
  std::vector<size_t> places = {0, 30, header - 24, header - 16, header - 8, header - 1, header, bytes - 1};
  for (int i = 0; i < 300; ++i) places.push_back(random() % bytes);
  for (int i = 0; i < 100; ++i) places.push_back(random() % header);
  for (const size_t at : places) {
    const int bit = static_cast<int>(random() % 8);
    flip(at, bit);
    const auto mapped = cache.map(bytes - header, pool_, nullptr);
    ASSERT_FALSE(mapped.ok()) << "byte " << at << ", bit " << bit;
    ASSERT_EQ(mapped.error().code, Errc::kInvalid);
    ASSERT_EQ(mapped.error().message.find(path.string() + ": "), 0U) << mapped.error().message;
    flip(at, bit);
  }
  EXPECT_TRUE(cache.map(bytes - header, pool_, nullptr).ok());
}

TEST_F(PackedCacheTest, AFlippedWeightIsPackedAnewWithTheCause) {
  const auto packed = load(WeightForm::kInt8, true);
  const fs::path path = fs::directory_iterator(cache_)->path();
  fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(300000);
    const int was = file.get();
    file.seekp(300000);
    file.put(static_cast<char>(was ^ 4));
  }
  const auto again = load(WeightForm::kInt8, true);
  EXPECT_FALSE(again->from_cache);
  EXPECT_NE(again->cache_refused.find("its weights are damaged"), std::string::npos) << again->cache_refused;
  expect_same(*packed, *again);
  const auto third = load(WeightForm::kInt8, true);
  EXPECT_TRUE(third->from_cache);
  EXPECT_EQ(third->cache_refused, "");
}

// A file in another's place, as after a copy by hand.
TEST_F(PackedCacheTest, AFileOfAnotherKeyIsRefusedWithWhatDiffers) {
  const auto experts = placement(1);
  const PackedCache int8(cache_, model_, ops_.name, WeightForms::of(WeightForm::kInt8), experts, 0);
  const auto why = [&](const PackedCache& other) {
    fs::copy_file(other.path(), int8.path(), fs::copy_options::overwrite_existing);
    const auto mapped = int8.map(1, pool_, nullptr);
    fs::remove(int8.path());
    return mapped.ok() ? "" : mapped.error().message;
  };
  load(WeightForm::kInt4, true);
  const PackedCache int4(cache_, model_, ops_.name, WeightForms::of(WeightForm::kInt4), experts, 0);
  EXPECT_EQ(why(int4), int8.path() + ": it is for \"forms int8 int4\", not \"forms int8 int8\"");
  load(WeightForm::kInt8, true, 1, 2);
  const PackedCache half(cache_, model_, ops_.name, WeightForms::of(WeightForm::kInt8), placement(2), 1);
  EXPECT_NE(why(half).find(": it is for \"experts 1 3 5"), std::string::npos) << why(half);
}

// So that a log stays text.
TEST_F(PackedCacheTest, WhatADamagedFileBeginsWithIsSaidInPrintableLetters) {
  const PackedCache cache(cache_, model_, ops_.name, WeightForms::of(WeightForm::kInt8), placement(1), 0);
  fs::create_directories(cache_);
  for (const auto& [bytes, said] : {std::pair{std::string("\x1b[2Jab\xff\x7f"), std::string("?[2Jab??")},
                                    std::pair{std::string(200, '\x01'), std::string(97, '?') + "..."}}) {
    std::string file(size_t{300} << 10, '\0');
    file.replace(0, bytes.size(), bytes);
    std::ofstream(cache.path(), std::ios::binary) << file;
    const auto mapped = cache.map(1, pool_, nullptr);
    ASSERT_FALSE(mapped.ok());
    const std::string begin = cache.path() + ": it is for \"" + said + "\", not \"switchyard packed weights ";
    EXPECT_EQ(mapped.error().message.substr(0, begin.size()), begin);
  }
}

TEST_F(PackedCacheTest, AFullDiskIsSaidAndLeavesNoFile) {
  const auto packed = load(WeightForm::kInt8, false);
  struct rlimit old {};
  getrlimit(RLIMIT_FSIZE, &old);
  ignore_file_size_signal();
  for (const size_t room : {size_t{1} << 10, size_t{256} << 10, packed->bytes + (size_t{200} << 10)}) {
    const struct rlimit small { room, old.rlim_max };
    setrlimit(RLIMIT_FSIZE, &small);
    const auto weights = load(WeightForm::kInt8, true);
    setrlimit(RLIMIT_FSIZE, &old);
    EXPECT_FALSE(weights->from_cache);
    EXPECT_NE(weights->cache_error.find("cannot write " + cache_), std::string::npos) << weights->cache_error;
    EXPECT_NE(weights->cache_error.find("File too large"), std::string::npos) << weights->cache_error;
    EXPECT_EQ(files(), 0U);
    expect_same(*weights, *packed);
  }
}

TEST_F(PackedCacheTest, ADirectoryInItsPlaceIsSaidAndNotFatal) {
  const PackedCache cache(cache_, model_, ops_.name, WeightForms::of(WeightForm::kInt8), placement(1), 0);
  fs::create_directories(cache.path());
  const auto weights = load(WeightForm::kInt8, true);
  EXPECT_FALSE(weights->from_cache);
  EXPECT_EQ(weights->cache_refused, cache.path() + ": Is a directory");
  EXPECT_EQ(weights->cache_error, "cannot write " + cache.path() + ": Is a directory");
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
