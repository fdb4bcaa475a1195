// Goal: whatever is wrong with a checkpoint is named, with file, tensor, offset and expected shape, or file and key;
// all of it at once; and no input stops the process. Method: golden checkpoints, broken on purpose.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "common/checkpoint/checkpoint.h"
#include "tests/unit/checkpoint/raw_checkpoint.h"

namespace switchyard::checkpoint {
namespace {

using testing::CheckpointCopy;
using testing::RawTensor;
using testing::RawTensors;

// The message that open() refuses the directory with; empty when it opens.
std::string refusal(const CheckpointCopy& copy) {
  const auto checkpoint = Checkpoint::open(copy.path());
  return checkpoint ? "" : checkpoint.error().message;
}

// The message holds each part.
void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(message.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << message;
  }
}

class Weights : public ::testing::Test {
 protected:
  std::string file() const { return copy.file("model.safetensors").string(); }
  void save() const { testing::write_raw(copy.file("model.safetensors"), tensors); }
  // The tensor's offset in the file as it is now.
  std::string offset(const std::string& name) const {
    return "offset " + std::to_string(testing::read_raw(copy.file("model.safetensors")).at(name).offset);
  }

  CheckpointCopy copy{"qwen3-moe-tiny"};
  RawTensors tensors = testing::read_raw(copy.file("model.safetensors"));
};

TEST_F(Weights, WrittenAgainTheyOpen) {
  save();
  EXPECT_EQ(refusal(copy), "");
}

TEST_F(Weights, AMissingTensorIsNamedWithItsShape) {
  tensors.erase("model.layers.2.mlp.experts.11.down_proj.weight");
  save();
  EXPECT_EQ(refusal(copy), file() +
                               ": tensor model.layers.2.mlp.experts.11.down_proj.weight is missing; expected BF16, F16 "
                               "or F32 of shape [64, 24]");
}

TEST_F(Weights, AnExtraTensorIsNamedWithItsOffset) {
  tensors["model.layers.1.self_attn.q_proj.bias"] = {"BF16", {128}, std::string(256, 'x')};
  save();
  EXPECT_EQ(refusal(copy), file() + ": tensor model.layers.1.self_attn.q_proj.bias at " +
                               offset("model.layers.1.self_attn.q_proj.bias") +
                               ": BF16 [128] is not part of this model");
}

TEST_F(Weights, AWrongShapeIsNamedWithOffsetAndExpectedShape) {
  tensors["model.norm.weight"] = {"BF16", {8, 8}, tensors["model.norm.weight"].bytes};
  save();
  EXPECT_EQ(refusal(copy), file() + ": tensor model.norm.weight at " + offset("model.norm.weight") +
                               ": is BF16 [8, 8]; expected BF16, F16 or F32 of shape [64]");
}

TEST_F(Weights, AWrongTypeIsNamed) {
  tensors["model.norm.weight"].type = "I16";
  tensors["lm_head.weight"].type = "F8_E4M3";
  tensors["lm_head.weight"].bytes.resize(512 * 64);
  save();
  expect_parts(refusal(copy),
               {"2 problems", "tensor model.norm.weight at " + offset("model.norm.weight") + ": is I16 [64]",
                "tensor lm_head.weight at " + offset("lm_head.weight") + ": is F8_E4M3 [512, 64]"});
}

TEST_F(Weights, AllProblemsAreListedAtOnce) {
  tensors.erase("lm_head.weight");
  tensors["surprise"] = {"I64", {1}, std::string(8, 'x')};
  tensors["model.norm.weight"].shape = {1, 64};
  save();
  expect_parts(refusal(copy), {"3 problems", "lm_head.weight is missing", "tensor surprise", "model.norm.weight"});
}

TEST_F(Weights, LayersThatTheModelDoesNotHaveAreExtras) {
  tensors["model.layers.3.mlp.gate.weight"] = {"BF16", {3}, std::string(6, 'x')};
  save();
  expect_parts(refusal(copy), {"tensor model.layers.3.mlp.gate.weight at ", "is not part of this model"});
}

TEST(PredictionLayers, AreIgnoredAndNoOthers) {
  const CheckpointCopy copy("glm4-moe-tiny");
  copy.configure({{"num_nextn_predict_layers", 2}});
  RawTensors tensors = testing::read_raw(copy.file("model.safetensors"));
  tensors["model.layers.3.shared_head.norm.weight"] = {"BF16", {3}, std::string(6, 'x')};
  tensors["model.layers.4.odd"] = {"F4", {1}, std::string(9, 'x')};
  testing::write_raw(copy.file("model.safetensors"), tensors);
  EXPECT_EQ(refusal(copy), "");
  copy.configure({{"num_nextn_predict_layers", nullptr}});  // 1
  expect_parts(refusal(copy), {"tensor model.layers.4.odd at ", "is not part of this model"});
}

TEST_F(Weights, TheFirstAndTheLastLineHaveTheFirstProblem) {
  for (auto& [name, tensor] : tensors) tensor.type = "I16";
  save();
  const std::string message = refusal(copy);
  const std::string first = file() + ": tensor model.embed_tokens.weight at " + offset("model.embed_tokens.weight") +
                            ": is I16 [512, 64]; expected BF16, F16 or F32 of shape [512, 64]";
  EXPECT_EQ(message.substr(0, message.find('\n')),
            copy.path() + ": " + std::to_string(tensors.size()) + " problems, the first: " + first);
  EXPECT_EQ(message.substr(message.rfind('\n') + 1), "the first of them: " + first);
}

TEST_F(Weights, BytesWithoutATensorAreNotTheFirstProblemWhereATensorIsMissing) {
  save();
  // The header's entry is blanked: its bytes stay.
  std::string bytes = testing::read_bytes(file());
  const std::string entry = bytes.substr(bytes.find("\"lm_head.weight\""));
  const std::string text = entry.substr(0, entry.find('}') + 2);  // with the comma
  ASSERT_EQ(text.back(), ',');
  bytes.replace(bytes.find(text), text.size(), std::string(text.size(), ' '));
  testing::write_bytes(file(), bytes);
  const std::string message = refusal(copy);
  expect_parts(message, {"2 problems", "belong to no tensor"});
  EXPECT_EQ(message.substr(message.rfind('\n') + 1),
            "the first of them: " + file() +
                ": tensor lm_head.weight is missing; expected BF16, F16 or F32 of shape [512, 64]");
}

TEST_F(Weights, HarmlessExtrasAreIgnored) {
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"F32", {16}, std::string(64, 'x')};
  save();
  EXPECT_EQ(refusal(copy), "");
}

TEST_F(Weights, ATruncatedFileNamesTheTensorsThatItCuts) {
  save();
  const std::string norm = offset("model.norm.weight");
  const std::string bytes = testing::read_bytes(file());
  testing::write_bytes(file(), bytes.substr(0, bytes.size() - 200));
  // The last ones by name are model.norm.weight (128 bytes) and the v_proj before it.
  expect_parts(refusal(copy), {"2 problems", "tensor model.norm.weight at " + norm, "BF16 [64] needs 128 bytes",
                               "the file has only " + std::to_string(bytes.size() - 200) + " bytes", "v_proj.weight"});
}

TEST_F(Weights, HeadersThatAreNoneAreRefused) {
  const auto refused = [&](const std::string& bytes) {
    testing::write_bytes(file(), bytes);
    return refusal(copy);
  };
  const auto length = [](uint64_t value) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &value, 8);
    return bytes;
  };
  expect_parts(refused(""), {file(), "too short"});
  expect_parts(refused("abc"), {file(), "3 bytes", "too short"});
  expect_parts(refused(length(1000) + "{}"), {file(), "truncated", "1000 bytes at offset 8"});
  expect_parts(refused(length(uint64_t{1} << 60) + "{}"), {file(), "above the limit of 100000000"});
  expect_parts(refused(length(~uint64_t{0}) + "{}"), {file(), "above the limit"});
  expect_parts(refused(length(5) + "garba"), {file(), "not JSON at offset 8"});
  expect_parts(refused(length(9) + "{\"a\": [1,"), {file(), "header"});
  expect_parts(refused(length(2) + "[]"), {file(), "an array, not an object"});
  expect_parts(refused(length(4) + "{}{}"), {file(), "not JSON"});
  expect_parts(refused(length(2) + "{}"), {file(), "has no tensors"});
}

TEST_F(Weights, EntriesThatMakeNoSenseAreNamed) {
  const auto refused = [&](const std::string& header) {
    testing::write_raw(copy.file("model.safetensors"), header, std::string(64, 'x'));
    return refusal(copy);
  };
  const std::string good = R"("shape": [4, 4], "data_offsets": [0, 64]})";
  expect_parts(refused(R"({"a": {"dtype": "F32", )" + good + R"(, "a": {"dtype": "F32", )" + good + "}"),
               {"tensor a occurs twice"});
  expect_parts(refused(R"({"a": {"dtype": 7, )" + good + "}"), {"tensor a: dtype is a number"});
  expect_parts(refused(R"({"a": 5})"), {"entry a is a number, not an object"});
  expect_parts(refused(R"({"a": {)" + good + "}"), {"tensor a: dtype is missing"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "data_offsets": [0, 64]}})"), {"tensor a: shape is missing"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "shape": [4, 4]}})"), {"tensor a: data_offsets must be two integers"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "shape": [-4, 4], "data_offsets": [0, 64]}})"),
               {"tensor a: shape is negative"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "shape": [4.5], "data_offsets": [0, 64]}})"),
               {"tensor a: shape is a fraction"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "shape": [[4]], "data_offsets": [0, 64]}})"),
               {"tensor a: shape is an array"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "shape": [4, 4], "data_offsets": [64, 0]}})"),
               {"tensor a", "[64, 0] are no range"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "shape": [4, 5], "data_offsets": [0, 64]}})"),
               {"tensor a", "F32 [4, 5] is 80 bytes, but data_offsets give it 64"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296, 8], "data_offsets": [0, 64]}})"),
               {"tensor a", "more than 2^64"});
  expect_parts(
      refused(
          R"({"a": {"dtype": "F32", "shape": [4, 4], "data_offsets": [18446744073709551000, 18446744073709551064]}})"),
      {"tensor a", "are no range"});
  expect_parts(
      refused(
          R"({"a": {"dtype": "F32", "shape": [12], "data_offsets": [0, 48]}, "b": {"dtype": "F32", "shape": [8], "data_offsets": [32, 64]}})"),
      {"tensor b", "overlaps tensor a"});
  expect_parts(
      refused(
          R"({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "b": {"dtype": "F32", "shape": [8], "data_offsets": [32, 64]}})"),
      {"tensor b", "16 bytes at offset", "belong to no tensor"});
  expect_parts(refused(R"({"a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}})"),
               {"32 bytes at offset", "belong to no tensor"});
}

// Random damage: any answer is fine, as long as there is one.
TEST_F(Weights, DamagedHeadersNeverStopTheProcess) {
  const std::string bytes = testing::read_bytes(file());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  std::mt19937 random(20240601);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 1 + round % 4; ++i) damaged[random() % (8 + length)] = static_cast<char>(random());
    testing::write_bytes(file(), damaged);
    const auto checkpoint = Checkpoint::open(copy.path());
    EXPECT_TRUE(checkpoint.ok() || !checkpoint.error().message.empty());
  }
}

class Shards : public ::testing::Test {
 protected:
  std::string shard(int number) const {
    return copy.file("model-0000" + std::to_string(number) + "-of-00002.safetensors").string();
  }
  std::string index() const { return copy.file("model.safetensors.index.json").string(); }
  CheckpointCopy copy{"mixtral-tiny"};
};

TEST_F(Shards, AMissingShardIsNamedOnceAndNotItsTensors) {
  std::filesystem::remove(shard(2));
  const std::string message = refusal(copy);
  EXPECT_EQ(message, index() + ": shard model-00002-of-00002.safetensors is missing: no such file " + shard(2));
}

TEST_F(Shards, ATensorThatTheIndexListsInVainIsNamed) {
  RawTensors tensors = testing::read_raw(shard(1));
  const std::string name = tensors.begin()->first;
  tensors.erase(name);
  testing::write_raw(shard(1), tensors);
  EXPECT_EQ(refusal(copy), shard(1) + ": tensor " + name + " is missing, which " + index() + " lists there");
}

TEST_F(Shards, ATensorInTwoShardsIsNamed) {
  RawTensors tensors = testing::read_raw(shard(1));
  const auto twice = *tensors.begin();
  RawTensors second = testing::read_raw(shard(2));
  second.insert(twice);
  testing::write_raw(shard(2), second);
  expect_parts(refusal(copy), {shard(2) + ": tensor " + twice.first, "is also in " + shard(1)});
}

TEST_F(Shards, AnIndexThatIsNoneOrLeavesTheDirectoryIsRefused) {
  testing::write_bytes(index(), "{\"weight_map\": 3}");
  expect_parts(refusal(copy), {index(), "weight_map: must be an object"});
  testing::write_bytes(index(), "{\"weight_map\": {\"a\": \"../elsewhere.safetensors\"}}");
  expect_parts(refusal(copy), {index(), "a: \"../elsewhere.safetensors\" is not the name of a file"});
  testing::write_bytes(index(), "nonsense");
  expect_parts(refusal(copy), {index(), "not JSON"});
  std::filesystem::remove(index());
  expect_parts(refusal(copy), {copy.path(), "neither model.safetensors nor model.safetensors.index.json"});
}

TEST(Fp8, FactorsAreCheckedLikeTensors) {
  const CheckpointCopy copy("deepseek-v3-fp8-tiny");
  const std::string shard = copy.file("model-00001-of-00003.safetensors");
  RawTensors tensors = testing::read_raw(shard);
  tensors["model.layers.0.mlp.up_proj.weight_scale_inv"].shape = {4, 1};
  testing::write_raw(shard, tensors);
  expect_parts(refusal(copy), {shard, "model.layers.0.mlp.up_proj.weight_scale_inv at offset",
                               "is F32 [4, 1]; expected BF16, F16 or F32 of shape [2, 2]"});
}

// --- config.json ---

struct ConfigCase {
  const char* name;
  const char* model;
  const char* keys;  // set in config.json; null removes
  std::vector<std::string> parts;
};

class BrokenConfig : public ::testing::TestWithParam<ConfigCase> {};

TEST_P(BrokenConfig, IsRefusedWithFileAndKey) {
  const CheckpointCopy copy(GetParam().model);
  copy.configure(boost::json::parse(GetParam().keys).as_object());
  const std::string message = refusal(copy);
  expect_parts(message, {copy.file("config.json").string() + ": "});
  expect_parts(message, GetParam().parts);
  EXPECT_FALSE(Checkpoint::read_spec(copy.path()));
}

INSTANTIATE_TEST_SUITE_P(
    Spec, BrokenConfig,
    ::testing::Values(
        ConfigCase{
            "ManyAtOnce",
            "qwen3-moe-tiny",
            R"({"hidden_size": null, "vocab_size": "512", "rms_norm_eps": -1, "num_experts_per_tok": 2.5, "norm_topk_prob": 1})",
            {"5 problems", "hidden_size: missing", "vocab_size: must be an integer from 1 to 16777216, is \"512\"",
             "rms_norm_eps: must be a number above 0, is -1", "num_experts_per_tok: must be an integer",
             "norm_topk_prob: must be true or false, is 1"}},
        ConfigCase{"Architecture",
                   "llama3-tiny",
                   R"({"architectures": ["MambaForCausalLM"]})",
                   {"architectures: MambaForCausalLM is not supported; supported: DeepseekV2ForCausalLM"}},
        ConfigCase{"NoArchitecture",
                   "llama3-tiny",
                   R"({"architectures": null})",
                   {"architectures: a model without a name is not supported"}},
        ConfigCase{"Theta",
                   "r1-tiny",
                   R"({"rope_theta": "x"})",
                   {"config.json: rope_theta: must be a number above 0, is \"x\""}},
        ConfigCase{"KvHeads",
                   "llama3-tiny",
                   R"({"num_key_value_heads": 3})",
                   {"num_key_value_heads: 3 does not divide num_attention_heads 4"}},
        ConfigCase{"HeadDim",
                   "mixtral-tiny",
                   R"({"num_attention_heads": 6})",
                   {"num_attention_heads: 6 does not divide hidden_size 64"}},
        ConfigCase{"OddRotary",
                   "llama3-tiny",
                   R"({"head_dim": 15})",
                   {"head_dim: the rotary embedding turns pairs, but has 15 channels"}},
        ConfigCase{"OddRotaryOfMla",
                   "r1-tiny",
                   R"({"qk_rope_head_dim": 7})",
                   {"qk_rope_head_dim: the rotary embedding turns pairs"}},
        ConfigCase{"TopK",
                   "qwen2-moe-tiny",
                   R"({"num_experts_per_tok": 9})",
                   {"num_experts_per_tok: 9 is more than the 8 experts"}},
        ConfigCase{"ZeroTopK",
                   "qwen2-moe-tiny",
                   R"({"num_experts_per_tok": 0})",
                   {"num_experts_per_tok: must be an integer from 1"}},
        ConfigCase{"Groups", "r1-tiny", R"({"n_group": 3})", {"n_group: 3 does not divide the 16 experts"}},
        ConfigCase{"GroupsOfOne",
                   "r1-tiny",
                   R"({"n_group": 16})",
                   {"n_group: 16 groups of 1 experts: a group is scored by its best 2"}},
        ConfigCase{"GroupsTooFew",
                   "r1-tiny",
                   R"({"topk_group": 1, "num_experts_per_tok": 3})",
                   {"topk_group: 1 groups have 2 experts, num_experts_per_tok is 3"}},
        ConfigCase{"GroupsTooMany", "r1-tiny", R"({"topk_group": 9})", {"topk_group: 9 is more than the 8 groups"}},
        ConfigCase{"Scoring",
                   "r1-tiny",
                   R"({"scoring_func": "tanh"})",
                   {"scoring_func: \"tanh\" is not supported here; supported: sigmoid"}},
        ConfigCase{"TopkMethod",
                   "deepseek-v2-tiny",
                   R"({"topk_method": "noaux_tc"})",
                   {"topk_method: \"noaux_tc\" is not supported here"}},
        ConfigCase{"Activation",
                   "llama3-tiny",
                   R"({"hidden_act": "gelu"})",
                   {"hidden_act: \"gelu\" is not supported here; supported: silu"}},
        ConfigCase{"RopeType",
                   "llama3-tiny",
                   R"({"rope_scaling": {"type": "longrope", "factor": 2}})",
                   {"rope_scaling.type: \"longrope\" is not supported here; supported: default, linear, dynamic, "
                    "yarn, llama3"}},
        ConfigCase{"RopeFactor", "r1-tiny", R"({"rope_scaling": {"type": "yarn"}})", {"rope_scaling.factor: missing"}},
        ConfigCase{
            "RopeKind", "r1-tiny", R"({"rope_scaling": "yarn"})", {"rope_scaling: must be an object, is \"yarn\""}},
        ConfigCase{"LayerTypes",
                   "gpt-oss-tiny",
                   R"({"layer_types": ["full_attention"]})",
                   {"layer_types: has 1 entries, num_hidden_layers is 4"}},
        ConfigCase{"LayerType",
                   "gpt-oss-tiny",
                   R"({"layer_types": ["full_attention", "linear_attention", "full_attention", "full_attention"]})",
                   {"layer_types: layer 1: \"linear_attention\" is not supported"}},
        ConfigCase{"SlidingWithoutWindow",
                   "qwen2-tiny",
                   R"({"layer_types": ["sliding_attention", "full_attention", "full_attention"]})",
                   {"layer_types: layer 0 is sliding_attention, but there is no sliding_window"}},
        ConfigCase{"Quantization",
                   "llama3-tiny",
                   R"({"quantization_config": {"quant_method": "gptq", "bits": 4}})",
                   {"quantization_config.quant_method: \"gptq\" is not supported here; supported: fp8, mxfp4"}},
        ConfigCase{"BlockSize",
                   "deepseek-v3-fp8-tiny",
                   R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128]}})",
                   {"quantization_config.weight_block_size: must be two integers above 0"}},
        ConfigCase{"Layers",
                   "llama3-tiny",
                   R"({"num_hidden_layers": 4000000000})",
                   {"num_hidden_layers: must be an integer from 1 to 1024, is 4000000000"}},
        ConfigCase{"Eos",
                   "llama3-tiny",
                   R"({"eos_token_id": [6, "x"]})",
                   {"eos_token_id: must be a token id or a list of them, has \"x\""}}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(BrokenConfigFile, ThatIsNoJsonIsNamedWithItsLine) {
  const CheckpointCopy copy("llama3-tiny");
  testing::write_bytes(copy.file("config.json"), "{\n\"num_experts_per_tok\": NaN\n}");
  expect_parts(refusal(copy), {copy.file("config.json").string() + ": not JSON, line 2"});
  testing::write_bytes(copy.file("config.json"), "[]");
  expect_parts(refusal(copy), {"config.json: must be an object, is a list"});
  testing::write_bytes(copy.file("config.json"), "");
  expect_parts(refusal(copy), {"config.json: not JSON"});
  std::filesystem::remove(copy.file("config.json"));
  const auto missing = Checkpoint::open(copy.path());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  EXPECT_EQ(Checkpoint::open(copy.path() + "/nowhere").error().message, copy.path() + "/nowhere: no such directory");
}

}  // namespace
}  // namespace switchyard::checkpoint
