// What `switchyard bench serve` asks: prompts and how long their answers may be.
//
// Thread: any; reads files, so it blocks. Names and meanings of the data sets as `vllm bench serve` has them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace switchyard::launch {

struct BenchPrompt {
  std::string json;         // a JSON string, or an array of token ids
  uint32_t input_len = 0;   // tokens, as far as it is known here; the server's usage counts
  uint32_t output_len = 0;  // max_tokens
};

struct DatasetOptions {
  std::string name = "random";  // random | custom | sharegpt
  std::string path;             // custom, sharegpt
  uint32_t prompt_count = 1000;
  uint32_t random_input_len = 1024;
  uint32_t random_output_len = 128;
  double random_range_ratio = 0;     // lengths are drawn from [len * (1 - ratio), len * (1 + ratio)]
  int32_t custom_output_len = 256;   // of lines without output_tokens; -1: only the lines' own
  uint32_t sharegpt_output_len = 0;  // 0: tokens of the conversation's answer
  uint64_t seed = 0;
  std::string tokenizer;        // directory or tokenizer.json: random prompts are texts of its vocabulary
  bool token_ids = false;       // the endpoint takes token ids: without a tokenizer, random prompts are those
  uint32_t token_id_max = 500;  // random ids are below it: every vocabulary has them
};

// random: text of random tokens of the tokenizer's vocabulary; without one random ids below token_id_max where the
// endpoint takes ids, else words of random letters (input_len of them). custom: JSON Lines with "prompt" and perhaps
// "output_tokens"; too few lines begin again. sharegpt: an array of {"conversations": [{"value": prompt}, {"value":
// answer}, ...]}, of which those with a prompt of 4 to 1024 tokens and an answer of 4 on, 2048 together, are taken in
// an order drawn from the seed, as vLLM does; it needs a tokenizer. kInvalid names the file, line and field.
Result<std::vector<BenchPrompt>> make_prompts(const DatasetOptions& options);

}  // namespace switchyard::launch
