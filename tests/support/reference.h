// What the correct engine computes from a golden checkpoint: reference.json and reference.safetensors.zst of
// tests/data/golden/NAME, and layers.safetensors where there is one. See tests/data/golden/README.md.
//
// Reads the files with its own few lines, not with the reader under test.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace switchyard::testing {

struct ReferenceCase {
  std::vector<int32_t> input_ids;      // (T)
  uint32_t logits_first_position = 0;  // row 0 of logits is this position; rows go to the last one
  uint32_t rows = 0;
  std::vector<float> logits;  // (rows, vocab)
};

struct ReferenceGreedy {
  std::vector<int32_t> prompt;
  std::vector<int32_t> tokens;  // argmax continuation; end of sequence is ignored
  std::vector<float> margins;   // at each step, best minus second-best logit
};

// Router choices of one layer on the case "mid".
struct ReferenceRouter {
  uint32_t layer = 0;
  uint32_t rows = 0, top_k = 0;
  std::vector<int32_t> experts;  // (rows, top_k), by weight, largest first
  std::vector<float> weights;    // (rows, top_k), after normalisation and scaling
};

struct ReferenceTolerance {
  double float32_max_abs_diff = 0;         // every case
  double bfloat16_short_max_abs_diff = 0;  // case "short"
  double bfloat16_mid_mean_abs_diff = 0;   // case "mid"
  double bfloat16_mid_argmax_agreement = 0;
};

struct ReferenceTensor {
  uint32_t rows = 0, columns = 0;
  std::vector<float> values;
};

struct Reference {
  std::string name;
  std::string architecture;
  std::string directory;  // of the checkpoint
  uint32_t vocab = 0;
  double logit_abs_max = 0;
  ReferenceTolerance tolerance;
  std::map<std::string, ReferenceCase> cases;  // "short", "mid", "long", "text"
  std::vector<ReferenceGreedy> greedy;
  std::vector<ReferenceRouter> routers;  // of the layers with experts; empty for dense models
  std::map<std::string, ReferenceTensor>
      layers;               // case "short": "embed", "layers.0.input_norm", ..., "final_norm"; empty where not stored
  std::string text_prompt;  // of the case "text": the chat template's output
  std::string text_messages_json;  // of the case "text": its messages, as JSON
};

// SWITCHYARD_TEST_DATA/golden: pass it as `golden`. Throws std::runtime_error naming the file when something is missing
// or malformed: a test without its data fails.
Reference load_reference(const std::string& golden, const std::string& name);
// The directories under `golden`, sorted; throws when there are none.
std::vector<std::string> golden_names(const std::string& golden);

}  // namespace switchyard::testing
