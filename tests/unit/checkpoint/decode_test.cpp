// Goal: what a TensorView reads is the tensor on disk, exactly, however it lies there.
// Method: the same bytes are decoded by the formulas of the formats (raw_checkpoint.cpp), element by element.
#include "common/checkpoint/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "common/checkpoint/checkpoint.h"
#include "tests/unit/checkpoint/raw_checkpoint.h"

namespace switchyard::checkpoint {
namespace {

using testing::CheckpointCopy;
using testing::decode_element;
using testing::RawTensor;
using testing::RawTensors;

std::string golden(const std::string& name) { return std::string(SWITCHYARD_TEST_DATA "/golden/") + name; }

Checkpoint open(const std::string& directory) {
  auto checkpoint = Checkpoint::open(directory);
  if (!checkpoint) throw std::runtime_error(checkpoint.error().message);
  return std::move(checkpoint).value();
}

// Reads the view whole, and again in uneven pieces of rows; both must be what `expected(row, column)` says.
void expect_view(const TensorView& view, uint32_t rows, uint32_t columns,
                 const std::function<double(size_t, size_t)>& expected) {
  ASSERT_TRUE(view.present());
  ASSERT_EQ(view.rows, rows) << view.name;
  ASSERT_EQ(view.columns, columns) << view.name;
  std::vector<float> whole(size_t{rows} * columns, -77.0F), pieces = whole;
  view.read(0, rows, whole.data());
  for (uint32_t begin = 0, step = 1; begin < rows; step = step % 37 + 3) {
    const uint32_t end = std::min(rows, begin + step);
    view.read(begin, end, pieces.data() + size_t{begin} * columns);
    begin = end;
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    ASSERT_EQ(whole[i], static_cast<float>(expected(i / columns, i % columns))) << view.name << " element " << i;
    ASSERT_EQ(pieces[i], whole[i]) << view.name << " element " << i << ", read in pieces";
  }
}

RawTensor raw_of(const std::string& model, const std::string& tensor) {
  for (const auto& entry : std::filesystem::directory_iterator(golden(model))) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("model") || !name.ends_with(".safetensors")) continue;
    const RawTensors tensors = testing::read_raw(entry.path());
    if (const auto at = tensors.find(tensor); at != tensors.end()) return at->second;
  }
  throw std::runtime_error("no tensor " + tensor + " in " + model);
}

TEST(Decode, Bfloat16MatricesAndVectorsAreTheirBytes) {
  const Checkpoint c = open(golden("qwen3-moe-tiny"));
  const RawTensor q = raw_of("qwen3-moe-tiny", "model.layers.2.self_attn.q_proj.weight");
  expect_view(c.tensors().layers[2].q, 128, 64, [&](size_t r, size_t k) { return decode_element(q, r * 64 + k); });
  const RawTensor up = raw_of("qwen3-moe-tiny", "model.layers.0.mlp.experts.13.up_proj.weight");
  expect_view(c.tensors().layers[0].experts[13].up, 24, 64,
              [&](size_t r, size_t k) { return decode_element(up, r * 64 + k); });
  const RawTensor norm = raw_of("qwen3-moe-tiny", "model.layers.1.self_attn.k_norm.weight");
  expect_view(c.tensors().layers[1].k_norm, 1, 32, [&](size_t, size_t k) { return decode_element(norm, k); });
}

TEST(Decode, EachNameGoesToItsPlace) {
  const Checkpoint c = open(golden("mixtral-tiny"));
  const MlpTensors& expert = c.tensors().layers[1].experts[5];
  const std::string prefix = "model.layers.1.block_sparse_moe.experts.5.";
  EXPECT_EQ(expert.gate.name, prefix + "w1.weight");
  EXPECT_EQ(expert.up.name, prefix + "w3.weight");
  EXPECT_EQ(expert.down.name, prefix + "w2.weight");
  const Checkpoint v3 = open(golden("deepseek-v3-tiny"));
  const LayerTensors& mla = v3.tensors().layers[2];
  EXPECT_EQ(mla.kv_a.name, "model.layers.2.self_attn.kv_a_proj_with_mqa.weight");
  EXPECT_EQ(mla.correction_bias.name, "model.layers.2.mlp.gate.e_score_correction_bias");
  EXPECT_FALSE(mla.q.present());
  EXPECT_FALSE(mla.dense.gate.present());
  const Checkpoint qwen2 = open(golden("qwen2-tiny"));
  const ModelTensors& tied = qwen2.tensors();
  EXPECT_EQ(tied.lm_head.name, "model.embed_tokens.weight");
  EXPECT_EQ(tied.lm_head.rows, 512U);
}

// All sorts of halves, subnormals among them, in one vector.
TEST(Decode, Float16IsExactInAllItsFiniteValuesAndKeepsTheOthers) {
  RawTensor halves{"F16", {65536}, std::string(131072, '\0')};
  for (unsigned i = 0; i < 65536; ++i) {
    halves.bytes[2 * i] = static_cast<char>(i & 255);
    halves.bytes[2 * i + 1] = static_cast<char>(i >> 8);
  }
  std::vector<float> out(65536);
  decode_f16(reinterpret_cast<const uint8_t*>(halves.bytes.data()), out.size(), out.data());
  for (unsigned i = 0; i < 65536; ++i) {
    const bool infinite = (i & 0x7fff) == 0x7c00, nan = (i & 0x7fff) > 0x7c00;
    if (nan) {
      EXPECT_TRUE(std::isnan(out[i])) << i;
    } else if (infinite) {
      EXPECT_EQ(out[i], i == 0x7c00 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity());
    } else {
      ASSERT_EQ(out[i], static_cast<float>(decode_element(halves, i))) << i;
      ASSERT_EQ(std::signbit(out[i]), i >= 32768) << i;
    }
  }
}

TEST(Decode, Float16AndFloat32FilesReadLikeBfloat16Ones) {
  const CheckpointCopy copy("llama3-tiny");
  RawTensors tensors = testing::read_raw(copy.file("model.safetensors"));
  // Every second tensor becomes F32 with more bits than bf16 has, the others F16.
  int turn = 0;
  for (auto& [name, tensor] : tensors) {
    const bool wide = turn++ % 2 == 0;
    const size_t count = tensor.bytes.size() / 2;
    RawTensor changed{wide ? "F32" : "F16", tensor.shape, std::string(count * (wide ? 4 : 2), '\0')};
    for (size_t i = 0; i < count; ++i) {
      if (wide) {
        const float value = static_cast<float>(decode_element(tensor, i)) * 1.000123F;
        std::memcpy(changed.bytes.data() + 4 * i, &value, 4);
      } else {
        changed.bytes[2 * i] = static_cast<char>(i * 37 & 255);
        changed.bytes[2 * i + 1] = static_cast<char>(i * 11 & 0x3b);
      }
    }
    tensor = changed;
  }
  testing::write_raw(copy.file("model.safetensors"), tensors);
  const Checkpoint c = open(copy.path());
  const RawTensor& gate = tensors.at("model.layers.0.mlp.gate_proj.weight");
  const RawTensor& up = tensors.at("model.layers.0.mlp.up_proj.weight");
  ASSERT_NE(gate.type, up.type);
  expect_view(c.tensors().layers[0].dense.gate, 128, 64,
              [&](size_t r, size_t k) { return decode_element(gate, r * 64 + k); });
  expect_view(c.tensors().layers[0].dense.up, 128, 64,
              [&](size_t r, size_t k) { return decode_element(up, r * 64 + k); });
}

TEST(Decode, Fp8BlocksTakeTheFactorOfTheirBlockAlsoAtTheEdges) {
  const Checkpoint c = open(golden("deepseek-v3-fp8-tiny"));
  const auto check = [&](const TensorView& view, const std::string& name, uint32_t rows, uint32_t columns) {
    const RawTensor weight = raw_of("deepseek-v3-fp8-tiny", name),
                    scales = raw_of("deepseek-v3-fp8-tiny", name + "_scale_inv");
    const size_t blocks = (columns + 127) / 128;
    expect_view(view, rows, columns, [&](size_t r, size_t k) {
      return static_cast<float>(decode_element(weight, r * columns + k)) *
             static_cast<float>(decode_element(scales, r / 128 * blocks + k / 128));
    });
  };
  check(c.tensors().layers[0].dense.down, "model.layers.0.mlp.down_proj.weight", 144, 200);
  check(c.tensors().layers[1].kv_b, "model.layers.1.self_attn.kv_b_proj.weight", 192, 128);
  check(c.tensors().layers[2].experts[7].gate, "model.layers.2.mlp.experts.7.gate_proj.weight", 136, 144);
}

TEST(Decode, Fp8BlocksMayHaveOtherSizes) {
  const CheckpointCopy copy("deepseek-v3-fp8-tiny");
  copy.configure({{"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {64, 128}}}}});
  const auto refused = Checkpoint::open(copy.path());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("model.layers.0.self_attn.q_b_proj.weight_scale_inv"), std::string::npos);
  EXPECT_NE(refused.error().message.find("of shape [3, 1]"), std::string::npos) << refused.error().message;
}

double e2m1(unsigned code) {
  const double values[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return code >= 8 ? -values[code - 8] : values[code];
}

TEST(Decode, Mxfp4TakesTheLowNibbleFirstAndSplitsGateFromUp) {
  const Checkpoint c = open(golden("gpt-oss-mxfp4-tiny"));
  const auto check = [&](const TensorView& view, const std::string& name, size_t expert, size_t all_rows, size_t first,
                         size_t step) {
    const std::string prefix = "model.layers.1.mlp.experts." + name;
    const RawTensor blocks = raw_of("gpt-oss-mxfp4-tiny", prefix + "_blocks"),
                    scales = raw_of("gpt-oss-mxfp4-tiny", prefix + "_scales");
    expect_view(view, 64, 64, [&](size_t r, size_t k) {
      const size_t row = expert * all_rows + first + r * step;
      const auto byte = static_cast<unsigned char>(blocks.bytes.at(row * 32 + k / 2));
      const auto scale = static_cast<unsigned char>(scales.bytes.at(row * 2 + k / 32));
      return std::ldexp(e2m1(k % 2 == 0 ? byte & 15 : byte >> 4), scale - 127);
    });
  };
  check(c.tensors().layers[1].experts[6].gate, "gate_up_proj", 6, 128, 0, 2);
  check(c.tensors().layers[1].experts[6].up, "gate_up_proj", 6, 128, 1, 2);
  check(c.tensors().layers[1].experts[3].down, "down_proj", 3, 64, 0, 1);
}

TEST(Decode, GptOssBf16ExpertsAreTurnedOverAndTakenApart) {
  const Checkpoint c = open(golden("gpt-oss-tiny"));
  const MlpTensors& expert = c.tensors().layers[2].experts[5];
  const std::string prefix = "model.layers.2.mlp.experts.";
  const RawTensor gate_up = raw_of("gpt-oss-tiny", prefix + "gate_up_proj"),
                  down = raw_of("gpt-oss-tiny", prefix + "down_proj");
  const RawTensor gate_up_bias = raw_of("gpt-oss-tiny", prefix + "gate_up_proj_bias"),
                  down_bias = raw_of("gpt-oss-tiny", prefix + "down_proj_bias");
  // gate_up (8, 64 in, 64 = 2 x 32 out), down (8, 32 in, 64 out)
  expect_view(expert.gate, 32, 64,
              [&](size_t r, size_t k) { return decode_element(gate_up, (5 * 64 + k) * 64 + 2 * r); });
  expect_view(expert.up, 32, 64,
              [&](size_t r, size_t k) { return decode_element(gate_up, (5 * 64 + k) * 64 + 2 * r + 1); });
  expect_view(expert.down, 64, 32, [&](size_t r, size_t k) { return decode_element(down, (5 * 32 + k) * 64 + r); });
  expect_view(expert.gate_bias, 1, 32, [&](size_t, size_t k) { return decode_element(gate_up_bias, 5 * 64 + 2 * k); });
  expect_view(expert.up_bias, 1, 32,
              [&](size_t, size_t k) { return decode_element(gate_up_bias, 5 * 64 + 2 * k + 1); });
  expect_view(expert.down_bias, 1, 64, [&](size_t, size_t k) { return decode_element(down_bias, 5 * 64 + k); });
}

// Sides that are no multiple of a tile, larger than one, and reads that begin inside of it.
TEST(Decode, TransposedMatricesLargerThanATileAreReadRight) {
  const CheckpointCopy copy("gpt-oss-tiny");
  copy.configure({{"intermediate_size", 173},
                  {"num_local_experts", 2},
                  {"num_hidden_layers", 1},
                  {"layer_types", {"full_attention"}}});
  RawTensors tensors = testing::read_raw(copy.file("model.safetensors"));
  std::erase_if(tensors, [](const auto& tensor) {
    return tensor.first.starts_with("model.layers.") && !tensor.first.starts_with("model.layers.0.");
  });
  const auto fill = [&](const std::string& name, std::vector<uint64_t> shape) {
    RawTensor tensor{"BF16", shape, ""};
    uint64_t count = 1;
    for (uint64_t side : shape) count *= side;
    for (uint64_t i = 0; i < count; ++i)
      tensor.bytes += {static_cast<char>(i * 131 >> 3 & 255), static_cast<char>(0x3f - (i % 3))};
    tensors["model.layers.0.mlp." + name] = tensor;
  };
  fill("experts.gate_up_proj", {2, 64, 346});
  fill("experts.gate_up_proj_bias", {2, 346});
  fill("experts.down_proj", {2, 173, 64});
  fill("experts.down_proj_bias", {2, 64});
  fill("router.weight", {2, 64});
  fill("router.bias", {2});
  testing::write_raw(copy.file("model.safetensors"), tensors);
  const Checkpoint c = open(copy.path());
  const RawTensor& gate_up = tensors.at("model.layers.0.mlp.experts.gate_up_proj");
  const RawTensor& down = tensors.at("model.layers.0.mlp.experts.down_proj");
  const MlpTensors& expert = c.tensors().layers[0].experts[1];
  expect_view(expert.up, 173, 64,
              [&](size_t r, size_t k) { return decode_element(gate_up, (64 + k) * 346 + 2 * r + 1); });
  expect_view(expert.down, 64, 173, [&](size_t r, size_t k) { return decode_element(down, (173 + k) * 64 + r); });
}

}  // namespace
}  // namespace switchyard::checkpoint
