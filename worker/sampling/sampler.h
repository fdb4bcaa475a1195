// Draws a token from one row of logits, by the request's own parameters and a counter-based generator.
//
// The number drawn for position p depends on (seed, p) and on the row alone: a replay or a recomputation draws the same
// token. Order of steps, as vLLM: the constraint's mask; logit_bias and min_tokens; repetition, frequency and presence
// penalties; temperature; min_p; top_k; top_p (of what top_k left, its weights summing to 1 again); draw. Unlike vLLM,
// top_k keeps exactly k: ties go to the lower id, as everywhere here. NaN counts as -inf; ids outside the row are
// ignored. A row of -inf alone gives the lowest id that neither the mask nor min_tokens forbids. Tokens less likely
// than 2^-80 of the likeliest are never drawn. Log-probabilities are natural logs of the float32 softmax of the row as
// it came, before all of these.
//
// Cost: some passes over the row, none of them a sort; greedy without penalties reads it once.
//
// Thread: any, on data of its own. Does not block.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace switchyard::worker {

struct SamplingParams {
  float temperature = 1.0F;  // 0 = the largest logit, ties to the lower id
  float top_p = 1.0F;        // 1 = off; 0 = the likeliest alone
  int32_t top_k = 0;         // 0 = off
  float min_p = 0.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  float repetition_penalty = 1.0F;
  uint64_t seed = 0;
  std::vector<std::pair<int32_t, float>> logit_bias;
  uint32_t min_tokens = 0;  // stop_token_ids cannot be drawn while fewer tokens were generated
  std::vector<int32_t> stop_token_ids;
  bool logprobs = false;
  uint32_t top_logprobs = 0;
  bool prompt_logprobs = false;
};

struct TokenLogprob {
  int32_t token_id = 0;
  float logprob = 0.0F;
  uint32_t rank = 1;                           // 1 + how many tokens are likelier (strictly)
  std::vector<std::pair<int32_t, float>> top;  // top_logprobs entries, largest first, ties to the lower id
};

// A uniform number in [0, 1) from (seed, position): Philox4x32-10 (Salmon et al., SC 2011), key = seed, counter =
// position.
double uniform(uint64_t seed, uint64_t position);

// Log-probability of `token` under the row's softmax, with the `top` likeliest (all, where the row has fewer). -inf for
// an id outside the row.
TokenLogprob token_logprob(std::span<const float> logits, int32_t token, uint32_t top);

// What penalties need to know of a sequence; kept up to date by add_*.
class SamplingState {
 public:
  // Keeps a reference to `params`.
  explicit SamplingState(const SamplingParams& params) : params_(&params) {}
  void add_prompt(std::span<const int32_t> tokens);
  void add_generated(int32_t token);

  // The token for `position` (0-based index in the sequence of the token to be drawn). `scratch` is the caller's,
  // reused between calls. `mask`: only ids whose bit is set are drawn (bit id % 32 of word id / 32; as many bits as
  // logits); empty: all.
  int32_t sample(std::span<const float> logits, uint64_t position, std::vector<float>& scratch,
                 std::span<const uint32_t> mask = {}) const;

 private:
  // logit_bias, min_tokens and the penalties, in place.
  void adjust(std::span<float> row, bool mask_stops) const;
  // The largest; where everything is -inf, the lowest id that neither the mask nor min_tokens forbids.
  int32_t first_allowed(std::span<const float> row, bool mask_stops, std::span<const uint32_t> mask) const;

  const SamplingParams* params_;
  uint32_t generated_count_ = 0;
  std::unordered_map<int32_t, uint32_t> generated_;  // token -> times; only when a penalty is on
  std::unordered_map<int32_t, uint32_t> prompt_;
};

}  // namespace switchyard::worker
