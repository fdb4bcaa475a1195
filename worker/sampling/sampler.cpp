#include "worker/sampling/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "worker/sampling/philox.h"
#include "worker/sampling/row_math.h"

namespace switchyard::worker {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool repetition_on(const SamplingParams& params) { return params.repetition_penalty != 1.0F; }
bool penalties_on(const SamplingParams& params) {
  return repetition_on(params) || params.frequency_penalty != 0.0F || params.presence_penalty != 0.0F;
}

// NaN sorts with -inf, so that one bad logit neither wins nor breaks an ordering.
float without_nan(float x) { return std::isnan(x) ? -kInfinity : x; }

// The logit of `id`, to read and to change; null for an id outside the vocabulary (a bias or a stop token of another tokenizer).
float* logit_at(std::span<float> row, int32_t id) {
  return id >= 0 && static_cast<size_t>(id) < row.size() ? &row[static_cast<size_t>(id)] : nullptr;
}

// The tokens that can still be drawn, by ascending id: `values` at the front of the scratch, `ids` empty while nothing was taken out.
struct Candidates {
  std::span<float> values;
  std::vector<int32_t> ids;
  double max = 0.0;    // of values
  double scale = 1.0;  // 1 / temperature

  int32_t id(size_t index) const { return ids.empty() ? static_cast<int32_t>(index) : ids[index]; }
};

// Keeps the shortest prefix of the candidates, ordered by (value descending, id ascending), whose sum reaches `target`; at least one.
// With by_count, each counts 1 (top_k). Otherwise each counts its weight and the target is a share of all (top_p).
//
// Sorting the vocabulary is what this avoids: a histogram over the value finds the bin in which the prefix ends, and only this bin is sorted.
// Order of the sums: within a bin above the last by ascending id, bins by descending value, the last bin in sorted order.
void keep_prefix(Candidates& candidates, bool by_count, double target) {
  constexpr size_t kBins = 2048;
  const std::span<float> values = candidates.values;
  const float top = static_cast<float>(candidates.max);
  const float bins_per_unit = static_cast<float>(kBins) / (top - row_min_finite(values));
  // Monotone in x, which is all that is asked of it: NaN (0 * inf) and -inf land in the last bin with everything too far away.
  const auto bin_of = [&](float x) {
    const float distance = (top - x) * bins_per_unit;
    return distance < static_cast<float>(kBins - 1) ? static_cast<size_t>(distance) : kBins - 1;
  };

  std::array<double, kBins> mass{};
  std::array<double, kRowBlock> weights;
  for (size_t begin = 0; begin < values.size(); begin += kRowBlock) {
    const size_t count = std::min(kRowBlock, values.size() - begin);
    if (!by_count) exp_block(values.subspan(begin, count), candidates.max, candidates.scale, weights.data());
    for (size_t i = 0; i < count; ++i) {
      const float x = values[begin + i];
      if (x > -kInfinity) mass[bin_of(x)] += by_count ? 1.0 : weights[i];
    }
  }
  double total = 0.0;
  for (const double m : mass) total += m;
  const double wanted = by_count ? target : target * total;

  double sum = 0.0;
  size_t last_bin = 0;
  while (last_bin < kBins && sum + mass[last_bin] < wanted) sum += mass[last_bin++];
  if (last_bin == kBins) return;  // all of them do not reach it

  std::vector<size_t> ends;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] > -kInfinity && bin_of(values[i]) == last_bin) ends.push_back(i);
  }
  std::sort(ends.begin(), ends.end(), [&](size_t a, size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  size_t last = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    double weight = 1.0;
    if (!by_count) exp_block(values.subspan(ends[i], 1), candidates.max, candidates.scale, &weight);
    sum += weight;
    last = ends[i];
    if (sum >= wanted) break;
  }

  const float last_value = values[last];
  std::vector<int32_t> ids;
  size_t kept = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const float x = values[i];
    if (x > last_value || (x == last_value && i <= last)) {
      ids.push_back(candidates.id(i));
      values[kept++] = x;
    }
  }
  candidates.ids = std::move(ids);
  candidates.values = values.first(kept);
}

// The candidate at which the running sum of the weights, by ascending id, first exceeds u times their total.
int32_t draw(const Candidates& candidates, double u) {
  const std::span<const float> values = candidates.values;
  std::array<double, kRowBlock> weights;
  std::vector<double> sum_before;  // of each block
  sum_before.reserve(values.size() / kRowBlock + 1);
  double sum = 0.0;
  const auto weigh = [&](size_t begin) {
    const size_t count = std::min(kRowBlock, values.size() - begin);
    exp_block(values.subspan(begin, count), candidates.max, candidates.scale, weights.data());
    return count;
  };
  for (size_t begin = 0; begin < values.size(); begin += kRowBlock) {
    sum_before.push_back(sum);
    const size_t count = weigh(begin);
    for (size_t i = 0; i < count; ++i) sum += weights[i];
  }
  // u < 1, but the product may round up to the total itself, which nothing exceeds.
  const double target = std::min(u * sum, std::nextafter(sum, 0.0));
  const auto after = std::upper_bound(sum_before.begin(), sum_before.end(), target);
  const size_t block = static_cast<size_t>(after - sum_before.begin()) - 1;
  sum = sum_before[block];
  const size_t count = weigh(block * kRowBlock);
  for (size_t i = 0; i < count; ++i) {
    sum += weights[i];
    if (sum > target) return candidates.id(block * kRowBlock + i);
  }
  return candidates.id(block * kRowBlock + count - 1);  // not reached: the sums are those of the first pass
}

}  // namespace

double uniform(uint64_t seed, uint64_t position) {
  const auto bits = philox4x32_10({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0, 0},
                                  {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t mantissa = (static_cast<uint64_t>(bits[0]) << 21) | (bits[1] >> 11);  // 53 bits
  return static_cast<double>(mantissa) * 0x1p-53;
}

TokenLogprob token_logprob(std::span<const float> logits, int32_t token, uint32_t top) {
  const float max = row_max(logits);
  const double log_sum = std::isfinite(max) ? std::log(exp_sum(logits, max, 1.0))
                                            : std::log(static_cast<double>(std::count(logits.begin(), logits.end(), max)));
  const auto logprob = [&](float x) {
    if (!(x > -kInfinity)) return -kInfinity;
    return static_cast<float>(x == max ? -log_sum : static_cast<double>(x) - static_cast<double>(max) - log_sum);
  };

  TokenLogprob result;
  result.token_id = token;
  const float value = token >= 0 && static_cast<size_t>(token) < logits.size() ? without_nan(logits[token]) : -kInfinity;
  result.logprob = logprob(value);
  result.rank = 1 + static_cast<uint32_t>(count_above(logits, value));

  const size_t wanted = std::min<size_t>(top, logits.size());
  if (wanted == 0) return result;
  // A heap of the likeliest so far with the least likely in front: most entries cost one comparison.
  using Entry = std::pair<int32_t, float>;
  const auto likelier = [](const Entry& a, const Entry& b) { return a.second != b.second ? a.second > b.second : a.first < b.first; };
  std::vector<Entry>& heap = result.top;
  heap.reserve(wanted);
  for (size_t i = 0; i < wanted; ++i) heap.emplace_back(static_cast<int32_t>(i), without_nan(logits[i]));
  std::make_heap(heap.begin(), heap.end(), likelier);
  for (size_t i = wanted; i < logits.size(); ++i) {
    if (!(logits[i] > heap.front().second)) continue;  // ties stay with the lower id
    std::pop_heap(heap.begin(), heap.end(), likelier);
    heap.back() = {static_cast<int32_t>(i), logits[i]};
    std::push_heap(heap.begin(), heap.end(), likelier);
  }
  std::sort_heap(heap.begin(), heap.end(), likelier);
  for (Entry& entry : heap) entry.second = logprob(entry.second);
  return result;
}

void SamplingState::add_prompt(std::span<const int32_t> tokens) {
  if (!repetition_on(*params_)) return;
  for (const int32_t token : tokens) ++prompt_[token];
}

void SamplingState::add_generated(int32_t token) {
  ++generated_count_;
  if (penalties_on(*params_)) ++generated_[token];
}

int32_t SamplingState::sample(std::span<const float> logits, uint64_t position, std::vector<float>& scratch) const {
  const SamplingParams& params = *params_;
  const bool greedy = !(params.temperature > 0.0F);
  const bool mask_stops = generated_count_ < params.min_tokens && !params.stop_token_ids.empty();
  const bool adjusts = mask_stops || !params.logit_bias.empty() || penalties_on(params);
  if (greedy && !adjusts) return static_cast<int32_t>(row_argmax(logits));

  if (scratch.size() < logits.size()) scratch.resize(logits.size());
  const std::span<float> row(scratch.data(), logits.size());
  copy_without_nan(logits, row.data());
  if (adjusts) adjust(row, mask_stops);

  if (greedy || row_max(row) == -kInfinity) return first_allowed(row, mask_stops);

  Candidates candidates;
  candidates.values = row;
  candidates.max = row_max(row);
  candidates.scale = std::max(1.0 / static_cast<double>(params.temperature), 1e-30);  // > 0 for an infinite temperature too
  if (std::isinf(candidates.max)) {  // +inf: they share all of the probability
    for (float& x : row) x = x == kInfinity ? 0.0F : -kInfinity;
    candidates.max = 0.0;
  }
  // min_p and the floor are thresholds on the weight. What lies below the floor would never be drawn.
  const double min_weight = std::min(static_cast<double>(params.min_p), 1.0);
  const double floor = min_weight > 0.0 ? std::max(std::log(min_weight), kLogWeightFloor) : kLogWeightFloor;
  drop_below(row, candidates.max, candidates.scale, floor);
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < row.size()) keep_prefix(candidates, true, params.top_k);
  if (params.top_p < 1.0F) keep_prefix(candidates, false, params.top_p);
  return draw(candidates, uniform(params.seed, position));
}

void SamplingState::adjust(std::span<float> row, bool mask_stops) const {
  const SamplingParams& params = *params_;
  for (const auto& [id, bias] : params.logit_bias) {
    if (float* x = logit_at(row, id)) *x = without_nan(*x + bias);
  }
  if (mask_stops) {
    for (const int32_t id : params.stop_token_ids) {
      if (float* x = logit_at(row, id)) *x = -kInfinity;
    }
  }
  if (repetition_on(params)) {
    const auto penalize = [&](int32_t id) {
      if (float* x = logit_at(row, id)) {
        *x = without_nan(*x > 0.0F ? *x / params.repetition_penalty : *x * params.repetition_penalty);
      }
    };
    for (const auto& [id, times] : prompt_) penalize(id);
    for (const auto& [id, times] : generated_) {
      if (!prompt_.contains(id)) penalize(id);
    }
  }
  for (const auto& [id, times] : generated_) {
    if (float* x = logit_at(row, id)) {
      *x = without_nan(*x - params.frequency_penalty * static_cast<float>(times) - params.presence_penalty);
    }
  }
}

int32_t SamplingState::first_allowed(std::span<const float> row, bool mask_stops) const {
  const size_t best = row_argmax(row);
  if (!mask_stops || row[best] > -kInfinity) return static_cast<int32_t>(best);
  const std::vector<int32_t>& stops = params_->stop_token_ids;
  for (size_t id = 0; id < row.size(); ++id) {
    if (std::find(stops.begin(), stops.end(), static_cast<int32_t>(id)) == stops.end()) return static_cast<int32_t>(id);
  }
  return 0;
}

}  // namespace switchyard::worker
