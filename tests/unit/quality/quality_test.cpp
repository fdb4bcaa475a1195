// `switchyard quality` by its library function, on golden checkpoints (random weights: their routers decide closely).
#include "worker/quality/quality.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace switchyard::worker {
namespace {

QualityOptions options(const std::string& model) {
  QualityOptions o;
  o.model = std::string(SWITCHYARD_TEST_DATA) + "/golden/" + model;
  o.max_tokens = 1000;
  o.threads = 2;
  return o;
}

std::string error_of(const QualityOptions& o) {
  const auto report = measure_quality(o);
  return report.ok() ? "" : report.error().message;
}

TEST(Quality, AFormAgreesWithItself) {
  QualityOptions o = options("qwen3-moe-tiny");
  o.reference = "int8";
  o.forms = {"int8"};
  const auto report = measure_quality(o);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->tokens, 1000U);
  EXPECT_EQ(report->sequences, 4U);
  EXPECT_EQ(report->forms[0].mean_kl, 0.0);
  EXPECT_EQ(report->forms[0].top1_agreement, 1.0);
  EXPECT_EQ(report->forms[0].weight_bytes, report->reference_bytes);
}

TEST(Quality, FewerBitsAreSmallerAndFurtherAway) {
  for (const char* model : {"qwen3-moe-tiny", "deepseek-v2-lite-tiny", "qwen2-moe-tiny"}) {
    QualityOptions o = options(model);
    o.forms = {"bfloat16", "int8", "int4"};
    const auto report = measure_quality(o);
    ASSERT_TRUE(report.ok()) << report.error().message;
    uint64_t bytes = report->reference_bytes;
    double kl = 0.0;
    for (const FormQuality& form : report->forms) {
      EXPECT_LT(form.weight_bytes, bytes) << model << " " << form.form;
      EXPECT_GT(form.mean_kl, 2 * kl) << model << " " << form.form;
      bytes = form.weight_bytes;
      kl = form.mean_kl;
    }
    // What the same rounding of weights and inputs costs transformers' models (three of them, in float32): 93 to 96 %.
    EXPECT_GT(report->forms[1].top1_agreement, 0.9) << model;
    EXPECT_LT(report->forms[1].mean_kl, 0.02) << model;
  }
}

TEST(Quality, TextNamesEveryForm) {
  QualityOptions o = options("qwen3-moe-tiny");
  o.forms = {"int8"};
  const QualityReport report{1000000, 10, 1, 2000000, {{"int8", 520000, 1.5e-3, 0.985}}};
  EXPECT_EQ(quality_text(o, report), o.model +
                                         ": 10 tokens in 1 sequences, tensors on disk 1.0 MiB\n"
                                         "weights             MiB   % of files      mean KL  top-1 agreement\n"
                                         "float32             1.9        200.0    reference                 \n"
                                         "int8                0.5         52.0     1.50e-03           98.50%\n");
}

TEST(Quality, TokensComeFromAFileCutToWholeSequences) {
  const std::string path = testing::TempDir() + "/quality_tokens.jsonl";
  std::ofstream file(path);
  file << "{\"ids\": [1, 2, 3]}\n\n{\"ids\": [";
  for (int i = 0; i < 600; ++i) file << (i == 0 ? "" : ",") << i % 500;
  file << "]}\n{\"ids\": [7]}\n";
  file.close();
  QualityOptions o = options("qwen3-moe-tiny");
  o.forms = {"int8"};
  o.tokens = path;
  const auto report = measure_quality(o);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->tokens, 604U);
  EXPECT_EQ(report->sequences, 4U);  // 3, 512, 88 and 1 tokens
  o.max_tokens = 10;
  const auto some = measure_quality(o);
  ASSERT_TRUE(some.ok()) << some.error().message;
  EXPECT_EQ(some->tokens, 10U);
  std::remove(path.c_str());
}

TEST(Quality, WrongOptionsAreNamed) {
  QualityOptions o = options("qwen3-moe-tiny");
  o.forms = {"int3"};
  EXPECT_EQ(error_of(o), "--quantization: there is no form 'int3', only float32, bfloat16, int8, int4");
  o.forms = {"int8"};
  o.reference = "double";
  EXPECT_EQ(error_of(o), "--reference: there is no form 'double', only float32, bfloat16, int8, int4");
  o.reference = "float32";
  o.backend = "abacus";
  EXPECT_EQ(error_of(o), "--backend: this machine has no op table 'abacus'");
  o.backend = "auto";
  o.tokens = "/no/such/file";
  EXPECT_EQ(error_of(o), "--tokens: cannot read /no/such/file");

  const std::string path = testing::TempDir() + "/quality_wrong.jsonl";
  o.tokens = path;
  const auto with = [&](const std::string& text) {
    std::ofstream(path) << text;
    return error_of(o);
  };
  EXPECT_EQ(with("\n"), path + ": no tokens");
  EXPECT_EQ(with("{\"ids\": [1]}\n[1]\n"), path + ":2: an object is expected");
  EXPECT_EQ(with("{\"ids\": 1}\n"), path + ":1: ids: a list is expected");
  EXPECT_EQ(with("{\"ids\": [512]}\n"), path + ":1: ids: token ids of the model's vocabulary are expected");
  std::remove(path.c_str());
}

}  // namespace
}  // namespace switchyard::worker
