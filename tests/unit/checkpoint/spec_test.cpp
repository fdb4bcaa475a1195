// Goal: config.json and generation_config.json of every golden checkpoint become the right ModelSpec.
// Method: values read by hand off the files; frequencies and scales from a separate Python computation in double,
// pasted here.
#include <gtest/gtest.h>

#include <cmath>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/memory_plan.h"
#include "tests/support/reference.h"
#include "tests/unit/checkpoint/raw_checkpoint.h"

namespace switchyard::checkpoint {
namespace {

using kernels::GroupScore;
using kernels::RouterScore;
using testing::CheckpointCopy;

ModelSpec spec_of(const std::string& directory) {
  auto spec = Checkpoint::read_spec(directory);
  if (!spec) throw std::runtime_error(spec.error().message);
  return std::move(spec).value();
}
ModelSpec golden(const std::string& name) { return spec_of(SWITCHYARD_TEST_DATA "/golden/" + name); }

std::string experts_of(const ModelSpec& spec) {
  std::string text;
  for (const LayerSpec& layer : spec.layers) text += layer.experts ? 'E' : 'd';
  return text;
}
std::vector<uint32_t> windows_of(const ModelSpec& spec) {
  std::vector<uint32_t> windows;
  for (const LayerSpec& layer : spec.layers) windows.push_back(layer.window);
  return windows;
}

void expect_frequencies(const ModelSpec& spec, const std::vector<double>& expected) {
  ASSERT_EQ(spec.rope.inverse_frequency.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(spec.rope.inverse_frequency[i], expected[i], 2e-7 * expected[i]) << i;
  }
}

TEST(Spec, EveryGoldenCheckpointOpensAndCountsItsParameters) {
  const std::string root = SWITCHYARD_TEST_DATA "/golden";
  const auto names = testing::golden_names(root);
  EXPECT_EQ(names.size(), 14U);
  for (const std::string& name : names) {
    const auto checkpoint = Checkpoint::open(root + "/" + name);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    const auto manifest = testing::read_json(root + "/" + name + "/reference.json");
    EXPECT_EQ(checkpoint->spec().architecture, manifest.at("architecture").as_string().c_str());
    EXPECT_EQ(checkpoint->spec().model_type, manifest.at("model_type").as_string().c_str());
    // The manifest does not count the correction bias, a buffer in transformers.
    uint64_t buffers = 0;
    for (const LayerSpec& layer : checkpoint->spec().layers) {
      if (layer.experts && checkpoint->spec().correction_bias) buffers += checkpoint->spec().expert_count;
    }
    EXPECT_EQ(parameter_count(checkpoint->spec()), manifest.at("parameters").to_number<uint64_t>() + buffers) << name;
    EXPECT_EQ(checkpoint->spec().vocab_size, 512U);
    EXPECT_EQ(checkpoint->spec().eos_token_ids, (std::vector<int32_t>{6, 1})) << name;
    EXPECT_EQ(checkpoint->spec().bos_token_id, 0);
    EXPECT_EQ(checkpoint->spec().file_dtype, "bfloat16");
  }
}

TEST(Spec, Qwen3MoeInTheKeysOfTransformers5) {
  const ModelSpec s = golden("qwen3-moe-tiny");
  EXPECT_EQ(s.hidden, 64U);
  EXPECT_EQ(s.max_position, 4096U);
  EXPECT_EQ(s.norm_eps, 1e-6F);
  EXPECT_EQ(s.attention, AttentionKind::kGrouped);
  EXPECT_EQ(s.head_count, 4U);
  EXPECT_EQ(s.kv_head_count, 2U);
  EXPECT_EQ(s.head_dim, 32U);
  EXPECT_FLOAT_EQ(s.softmax_scale, 0.17677669F);
  EXPECT_TRUE(s.qk_norm);
  EXPECT_FALSE(s.qkv_bias || s.o_bias || s.sinks || s.tied_embeddings);
  EXPECT_EQ(experts_of(s), "EdE");
  EXPECT_EQ(s.expert_count, 16U);
  EXPECT_EQ(s.expert_width, 24U);
  EXPECT_EQ(s.dense_width, 96U);
  EXPECT_EQ(s.shared_width, 0U);
  EXPECT_EQ(s.router.top_k, 4U);
  EXPECT_EQ(s.router.expert_count, 16U);
  EXPECT_EQ(s.router.score, RouterScore::kSoftmax);
  EXPECT_TRUE(s.router.normalize);
  EXPECT_EQ(s.rope.layout.rotary_dim, 32U);
  EXPECT_EQ(s.rope.layout.offset, 0U);
  EXPECT_FALSE(s.rope.layout.interleaved);
  EXPECT_NEAR(s.rope.inverse_frequency[1], 0.421696503, 1e-7);  // 1e6^(-2/32)
}

TEST(Spec, DeepseekV2LiteHasYarnOnTheSoftmaxScaleOnly) {
  const ModelSpec s = golden("deepseek-v2-lite-tiny");
  EXPECT_EQ(s.attention, AttentionKind::kLatent);
  EXPECT_EQ(s.q_lora_rank, 0U);
  EXPECT_EQ(s.kv_lora_rank, 32U);
  EXPECT_EQ(s.nope_dim, 16U);
  EXPECT_EQ(s.rope_dim, 16U);
  EXPECT_EQ(s.v_head_dim, 16U);
  EXPECT_EQ(s.head_dim, 32U);
  EXPECT_EQ(s.latent_norm_eps, 1e-6F);
  EXPECT_TRUE(s.rope.layout.interleaved);
  EXPECT_EQ(s.rope.layout.offset, 16U);
  EXPECT_EQ(s.rope.layout.rotary_dim, 16U);
  expect_frequencies(s, {1.0, 0.213453742, 0.035, 0.000790569415, 0.00025, 7.90569415e-05, 2.5e-05, 7.90569415e-06});
  EXPECT_EQ(s.rope.magnitude, 1.0F);
  EXPECT_FLOAT_EQ(s.softmax_scale, 0.2810088602271341F);
  EXPECT_EQ(experts_of(s), "dEE");
  EXPECT_EQ(s.shared_width, 64U);
  EXPECT_EQ(s.router.score, RouterScore::kSoftmax);
  EXPECT_EQ(s.router.group_count, 1U);
  EXPECT_FALSE(s.router.normalize);
}

TEST(Spec, DeepseekV2LimitsGroupsByTheirBestExpert) {
  const ModelSpec s = golden("deepseek-v2-tiny");
  EXPECT_EQ(s.q_lora_rank, 48U);
  EXPECT_EQ(s.router.group_count, 4U);
  EXPECT_EQ(s.router.group_top_k, 2U);
  EXPECT_EQ(s.router.group_score, GroupScore::kBest);
  EXPECT_EQ(s.router.scaling, 2.0F);
  EXPECT_FALSE(s.correction_bias);
  expect_frequencies(s, {1.0, 0.05125, 0.00025, 2.5e-05});
  EXPECT_FLOAT_EQ(s.softmax_scale, 0.38249888831204115F);
}

TEST(Spec, DeepseekV3InBothStyles) {
  const ModelSpec v3 = golden("deepseek-v3-tiny"), r1 = golden("r1-tiny"), fp8 = golden("deepseek-v3-fp8-tiny");
  EXPECT_FLOAT_EQ(v3.softmax_scale, 0.33125375419753433F);
  EXPECT_FLOAT_EQ(r1.softmax_scale, 0.33125375419753433F);
  EXPECT_FLOAT_EQ(fp8.softmax_scale, 0.2962823648750772F);
  EXPECT_EQ(v3.rope.inverse_frequency, r1.rope.inverse_frequency);
  EXPECT_EQ(v3.layers.size(), 3U);
  EXPECT_EQ(r1.layers.size(), 4U);
  EXPECT_EQ(v3.router.score, RouterScore::kSigmoid);
  EXPECT_EQ(v3.router.group_score, GroupScore::kSumOfBestTwo);
  EXPECT_TRUE(v3.correction_bias && v3.router.normalize);
  EXPECT_EQ(v3.router.scaling, 2.5F);
  EXPECT_EQ(r1.router.group_count, 8U);
  EXPECT_EQ(r1.router.group_top_k, 4U);
  EXPECT_EQ(r1.shared_width, 48U);
  EXPECT_EQ(v3.shared_width, 24U);
  EXPECT_EQ(fp8.hidden, 144U);
  EXPECT_EQ(fp8.expert_width, 136U);
}

TEST(Spec, GptOssInBothStyles) {
  for (const char* name : {"gpt-oss-tiny", "gpt-oss-mxfp4-tiny"}) {
    const ModelSpec s = golden(name);
    EXPECT_EQ(windows_of(s), (std::vector<uint32_t>{32, 0, 32, 0}));
    EXPECT_TRUE(s.sinks && s.qkv_bias && s.o_bias && s.expert_bias && s.router_bias);
    EXPECT_EQ(s.router.score, RouterScore::kSoftmaxOfTopK);
    EXPECT_EQ(s.activation.kind, kernels::Activation::kGptOssGlu);
    EXPECT_EQ(s.activation.limit, 7.0F);
    EXPECT_EQ(s.activation.alpha, 1.702F);
    expect_frequencies(s, {1.0, 0.0852490992, 0.00158791484, 0.000357944587, 8.0687153e-05, 1.81883367e-05,
                           4.09997848e-06, 9.2420895e-07});
    EXPECT_FLOAT_EQ(s.rope.magnitude, 1.3465735902799727F);
    EXPECT_EQ(s.softmax_scale, 0.25F);
    EXPECT_EQ(s.dense_width, 0U);
  }
  EXPECT_EQ(golden("gpt-oss-mxfp4-tiny").expert_width, 64U);
  EXPECT_EQ(golden("gpt-oss-mxfp4-tiny").head_count, 8U);
}

TEST(Spec, TheOthers) {
  const ModelSpec glm = golden("glm4-moe-tiny");
  EXPECT_EQ(glm.rope.layout.rotary_dim, 16U);
  EXPECT_EQ(glm.head_dim, 32U);
  expect_frequencies(
      glm, {1, 0.177827941, 0.0316227766, 0.00562341325, 0.001, 0.000177827941, 3.16227766e-05, 5.62341325e-06});
  EXPECT_TRUE(glm.qk_norm && glm.qkv_bias && glm.correction_bias);
  EXPECT_FALSE(glm.o_bias);
  EXPECT_EQ(glm.router.scaling, 1.5F);
  const ModelSpec mixtral = golden("mixtral-tiny");
  EXPECT_EQ(windows_of(mixtral), (std::vector<uint32_t>{48, 48, 48}));
  EXPECT_EQ(mixtral.head_dim, 16U);
  EXPECT_EQ(mixtral.expert_width, 40U);
  EXPECT_TRUE(mixtral.router.normalize);
  const ModelSpec qwen2_moe = golden("qwen2-moe-tiny");
  EXPECT_TRUE(qwen2_moe.qkv_bias && qwen2_moe.shared_gate);
  EXPECT_FALSE(qwen2_moe.o_bias || qwen2_moe.router.normalize);
  EXPECT_EQ(qwen2_moe.shared_width, 64U);
  EXPECT_EQ(windows_of(qwen2_moe), (std::vector<uint32_t>{0, 0, 0}));
  const ModelSpec llama = golden("llama3-tiny");
  EXPECT_EQ(llama.expert_count, 0U);
  EXPECT_EQ(experts_of(llama), "ddd");
  expect_frequencies(llama, {1, 0.0794030092, 0.00470075387, 0.000911583092, 0.000176776695, 3.4281022e-05,
                             6.64786987e-06, 1.28917317e-06});
  EXPECT_TRUE(golden("qwen2-tiny").tied_embeddings);
  EXPECT_TRUE(golden("qwen2-tiny").qkv_bias);
  EXPECT_TRUE(golden("qwen3-tiny").qk_norm);
}

// The published sizes: there the ramp begins and ends inside of the channels, and rounding its ends matters.
TEST(Spec, YarnRampsAtTheSizesOfDeepseekV3AndGptOss) {
  const auto expect = [](const ModelSpec& s, const std::vector<std::pair<size_t, double>>& points) {
    ASSERT_EQ(s.rope.inverse_frequency.size(), 32U);
    for (const auto& [pair, value] : points) {
      EXPECT_NEAR(s.rope.inverse_frequency[pair], value, 3e-7 * value) << pair;
    }
  };
  const CheckpointCopy r1("r1-tiny"), oss("gpt-oss-tiny");
  boost::json::object scaling = testing::read_json(r1.file("config.json")).at("rope_scaling").as_object();
  scaling["original_max_position_embeddings"] = 4096;
  r1.configure({{"qk_rope_head_dim", 64}, {"rope_scaling", scaling}});
  expect(spec_of(r1.path()), {{0, 1.0},
                              {8, 0.1},
                              {9, 0.0749894209},
                              {11, 0.0390069266},
                              {12, 0.0268793601},
                              {16, 0.0055},
                              {18, 0.0022493653},
                              {22, 0.000177827941},
                              {23, 3.33380358e-05},
                              {31, 3.33380358e-06}});
  boost::json::object parameters = testing::read_json(oss.file("config.json")).at("rope_parameters").as_object();
  parameters["original_max_position_embeddings"] = 4096;
  oss.configure({{"head_dim", 64}, {"rope_parameters", parameters}});
  expect(spec_of(oss.path()), {{0, 1.0},
                               {8, 0.0508132748},
                               {9, 0.0317056962},
                               {11, 0.0115920493},
                               {12, 0.00679495949},
                               {16, 0.000456483919},
                               {18, 3.83088124e-05},
                               {22, 8.63549588e-06},
                               {23, 5.95023926e-06},
                               {31, 3.02351143e-07}});
}

TEST(Spec, QwenWindowsSlideFromMaxWindowLayersOn) {
  const CheckpointCopy copy("qwen2-tiny");
  copy.configure(
      {{"use_sliding_window", true}, {"sliding_window", 20}, {"max_window_layers", 2}, {"layer_types", nullptr}});
  EXPECT_EQ(windows_of(spec_of(copy.path())), (std::vector<uint32_t>{0, 0, 20}));
  copy.configure({{"layer_types", {"sliding_attention", "full_attention", "full_attention"}}});
  EXPECT_EQ(windows_of(spec_of(copy.path())), (std::vector<uint32_t>{20, 0, 0}));
  copy.configure({{"use_sliding_window", false}, {"layer_types", nullptr}});
  EXPECT_EQ(windows_of(spec_of(copy.path())), (std::vector<uint32_t>{0, 0, 0}));
}

TEST(Spec, MixtralWindowMayBeAbsentOrZero) {
  const CheckpointCopy copy("mixtral-tiny");
  for (const boost::json::value& none : {boost::json::value(nullptr), boost::json::value(0)}) {
    copy.configure({{"sliding_window", none}});
    EXPECT_EQ(windows_of(spec_of(copy.path())), (std::vector<uint32_t>{0, 0, 0}));
  }
}

TEST(Spec, LayersWithExpertsFollowStepAndFrequency) {
  const CheckpointCopy qwen("qwen3-moe-tiny");
  qwen.configure({{"decoder_sparse_step", 2}, {"mlp_only_layers", boost::json::array{}}});
  EXPECT_EQ(experts_of(spec_of(qwen.path())), "dEd");
  const CheckpointCopy r1("r1-tiny");
  r1.configure({{"moe_layer_freq", 2}});
  EXPECT_EQ(experts_of(spec_of(r1.path())), "ddEd");
  r1.configure({{"mlp_layer_types", {"sparse", "dense", "dense", "sparse"}}});
  EXPECT_EQ(experts_of(spec_of(r1.path())), "EddE");
}

TEST(Spec, EndOfSequenceIdsComeFromBothFilesOnce) {
  const CheckpointCopy copy("llama3-tiny");
  copy.configure({{"eos_token_id", {9, 6, 9}}});
  EXPECT_EQ(spec_of(copy.path()).eos_token_ids, (std::vector<int32_t>{9, 6, 1}));
  std::filesystem::remove(copy.file("generation_config.json"));
  copy.configure({{"eos_token_id", 3}, {"bos_token_id", nullptr}});
  EXPECT_EQ(spec_of(copy.path()).eos_token_ids, (std::vector<int32_t>{3}));
  EXPECT_EQ(spec_of(copy.path()).bos_token_id, -1);
}

TEST(Spec, TokenIdsOutsideOfTheVocabularyAreLeftOut) {
  const CheckpointCopy copy("llama3-tiny");
  copy.configure({{"eos_token_id", {6, 512, 200002}}, {"bos_token_id", 512}});
  testing::write_json(copy.file("generation_config.json"), boost::json::object{{"eos_token_id", 600}});
  EXPECT_EQ(spec_of(copy.path()).eos_token_ids, (std::vector<int32_t>{6}));
  EXPECT_EQ(spec_of(copy.path()).bos_token_id, -1);
}

// What transformers' configuration classes take for keys that are not there.
TEST(Spec, AbsentKeysMeanWhatTheArchitectureSays) {
  const CheckpointCopy qwen3("qwen3-tiny");
  qwen3.configure({{"head_dim", nullptr}});
  EXPECT_EQ(spec_of(qwen3.path()).head_dim, 128U);

  const CheckpointCopy gpt_oss("gpt-oss-mxfp4-tiny");
  gpt_oss.configure({{"head_dim", nullptr}, {"rope_scaling", nullptr}, {"rope_theta", nullptr}});
  const ModelSpec s = spec_of(gpt_oss.path());
  EXPECT_EQ(s.head_dim, 64U);
  // YaRN of 4096 positions by 32, theta 150000, not truncated: 0.1 ln 32 + 1, and the ramp from 8.09 to 17.4.
  EXPECT_FLOAT_EQ(s.rope.magnitude, 1.3465736F);
  ASSERT_EQ(s.rope.inverse_frequency.size(), 32U);
  EXPECT_FLOAT_EQ(s.rope.inverse_frequency[0], 1.0F);
  EXPECT_NEAR(s.rope.inverse_frequency[12], 0.006794959489732219, 1e-9);
  EXPECT_NEAR(s.rope.inverse_frequency[31], 3.0235114281192144e-07, 1e-13);

  const CheckpointCopy glm("glm4-moe-tiny");
  glm.configure({{"head_dim", nullptr}, {"first_k_dense_replace", nullptr}, {"partial_rotary_factor", nullptr}});
  EXPECT_EQ(spec_of(glm.path()).head_dim, 16U);  // 64 / 4
  EXPECT_EQ(spec_of(glm.path()).rope.layout.rotary_dim, 8U);
  EXPECT_EQ(experts_of(spec_of(glm.path())), "dEE");

  const CheckpointCopy r1("r1-tiny");
  r1.configure({{"n_group", nullptr}, {"topk_group", nullptr}, {"first_k_dense_replace", nullptr}});
  EXPECT_EQ(spec_of(r1.path()).router.group_count, 8U);
  EXPECT_EQ(spec_of(r1.path()).router.group_top_k, 4U);
  EXPECT_EQ(experts_of(spec_of(r1.path())), "dddE");
}

TEST(Spec, ANullHeadDimIsThatOfTheHiddenSize) {
  const CheckpointCopy copy("gpt-oss-tiny");
  boost::json::object config = testing::read_json(copy.file("config.json"));
  config["head_dim"] = nullptr;
  testing::write_json(copy.file("config.json"), config);
  EXPECT_EQ(spec_of(copy.path()).head_dim, 16U);  // 64 / 4
}

TEST(Spec, Qwen2MoeWindowsSlideOnEvenLayersBelowMaxWindowLayers) {
  const CheckpointCopy copy("qwen2-moe-tiny");
  copy.configure(
      {{"use_sliding_window", true}, {"sliding_window", 20}, {"max_window_layers", nullptr}, {"layer_types", nullptr}});
  EXPECT_EQ(windows_of(spec_of(copy.path())), (std::vector<uint32_t>{20, 0, 20}));
  copy.configure({{"max_window_layers", 2}});
  EXPECT_EQ(windows_of(spec_of(copy.path())), (std::vector<uint32_t>{20, 0, 0}));
}

// Only beyond max_position_embeddings it would differ.
TEST(Spec, DynamicScalingIsNone) {
  const CheckpointCopy copy("llama3-tiny");
  copy.configure({{"rope_scaling", nullptr}});
  const auto plain = spec_of(copy.path()).rope.inverse_frequency;
  copy.configure({{"rope_scaling", {{"type", "dynamic"}, {"factor", 4}}}});
  EXPECT_EQ(spec_of(copy.path()).rope.inverse_frequency, plain);
}

TEST(Spec, LinearScalingDividesAndDefaultIsAccepted) {
  const CheckpointCopy copy("llama3-tiny");
  copy.configure({{"rope_scaling", {{"type", "linear"}, {"factor", 4}}}});
  const ModelSpec s = spec_of(copy.path());
  EXPECT_FLOAT_EQ(s.rope.inverse_frequency[0], 0.25F);
  EXPECT_EQ(s.rope.magnitude, 1.0F);
  copy.configure({{"rope_scaling", {{"rope_type", "default"}}}});
  EXPECT_FLOAT_EQ(spec_of(copy.path()).rope.inverse_frequency[0], 1.0F);
}

TEST(MemoryPlan, CountsWeightsAndKvOfGroupedAttention) {
  const ModelSpec s = golden("gpt-oss-tiny");
  MemoryPlanOptions options;
  options.rank_count = 3;
  options.max_model_len = 100;
  const MemoryPlan plan = plan_memory(s, options);
  // An expert: 3 x 64 x 32 weights of 2 bytes, 2 x 32 + 64 biases of 4. 4 layers of 8 on 3 ranks: 11 at most.
  EXPECT_EQ(plan.expert_bytes, 3U * 64 * 32 * 2 + 128 * 4);
  EXPECT_EQ(plan.expert_rank_bytes, 11 * plan.expert_bytes);
  // 2 layers full, 2 sliding, each 2 heads x (16 + 16) x 2 bytes.
  EXPECT_EQ(plan.kv_token_full_bytes, 2U * 128);
  EXPECT_EQ(plan.kv_token_sliding_bytes, 2U * 128);
  // 100 positions are 7 blocks of 16; a window of 32 and one block are 3.
  EXPECT_EQ(plan.kv_sequence_bytes, 2U * 128 * 112 + 2U * 128 * 48);
  EXPECT_GT(plan.workspace_bytes, 0U);
}

TEST(MemoryPlan, CountsTheLatentOfMla) {
  const ModelSpec s = golden("deepseek-v3-tiny");
  MemoryPlanOptions options;
  options.kv_element_bytes = 4;
  options.weight_bits = options.expert_weight_bits = 32;
  const MemoryPlan plan = plan_memory(s, options);
  EXPECT_EQ(plan.kv_token_full_bytes, 3U * (32 + 16) * 4);
  EXPECT_EQ(plan.kv_token_sliding_bytes, 0U);
  EXPECT_EQ(plan.expert_bytes, 3U * 64 * 24 * 4);
  EXPECT_EQ(plan.replicated_bytes + plan.expert_rank_bytes, parameter_count(s) * 4);
}

TEST(MemoryPlan, CountsQuantizedExpertsApart) {
  const ModelSpec s = golden("deepseek-v3-tiny");
  MemoryPlanOptions options;
  options.weight_bits = 8;
  const MemoryPlan all = plan_memory(s, options);
  options.expert_weight_bits = 4.5;
  const MemoryPlan experts = plan_memory(s, options);
  EXPECT_EQ(experts.expert_bytes, 3U * 64 * 24 * 9 / 16);
  EXPECT_EQ(experts.replicated_bytes, all.replicated_bytes);
}

}  // namespace
}  // namespace switchyard::checkpoint
