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

// The logit of `id`, to read and to change; null for an id outside the vocabulary (a bias or a stop token of another
// tokenizer).
float* logit_at(std::span<float> row, int32_t id) {
  return id >= 0 && static_cast<size_t>(id) < row.size() ? &row[static_cast<size_t>(id)] : nullptr;
}

bool in_mask(std::span<const uint32_t> mask, size_t id) { return (mask[id / 32] >> (id % 32) & 1U) != 0; }

void apply_mask(std::span<const uint32_t> mask, std::span<float> row) {
  for (size_t begin = 0; begin < row.size(); begin += 32) {
    const uint32_t word = mask[begin / 32];
    if (word == ~0U) continue;
    const size_t count = std::min<size_t>(32, row.size() - begin);
    for (size_t i = 0; i < count; ++i)
      if ((word >> i & 1U) == 0) row[begin + i] = -kInfinity;
  }
}

// The tokens that can still be drawn, by ascending id: `values` at the front of the scratch, `ids` empty while nothing
// was taken out.
struct Candidates {
  std::span<float> values;
  std::vector<int32_t> ids;
  double max = 0.0;    // of values
  double scale = 1.0;  // 1 / temperature

  int32_t id(size_t index) const { return ids.empty() ? static_cast<int32_t>(index) : ids[index]; }
};

// Keeps the shortest prefix of the candidates, ordered by (value descending, id ascending), whose sum reaches `target`;
// at least one, and none that are -inf. With by_count, each counts 1 (top_k). Otherwise each counts its weight and the
// target is a share of all (top_p).
//
// Sorting the vocabulary is what this avoids: a histogram over the value finds the bin in which the prefix ends, a
// second one looks into this bin, and so on until what is left is few or equal. Each histogram separates the largest
// from the smallest value and narrows the range 2048-fold, so a float's 32 bits allow few of them. Order of the sums:
// bins by descending value and ascending id within each, the last few in sorted order.
void keep_prefix(Candidates& candidates, bool by_count, double target) {
  constexpr size_t kBins = 2048;
  constexpr size_t kFew = 256;  // sorting these costs less than another histogram
  const std::span<float> values = candidates.values;
  std::vector<uint32_t>
      members;  // indices in which the prefix ends, ascending; stands for all while `narrowed` is false
  bool narrowed = false;
  double high = candidates.max;
  double low = row_min_finite(values);
  double sum = 0.0;  // of all that come before the members
  double wanted = 0.0;
  std::array<double, kRowBlock> weights;
  std::array<double, kBins> mass;
  std::array<uint32_t, kBins> count;
  while (!narrowed || (members.size() > kFew && high > low)) {
    const double bins_per_unit = high > low ? static_cast<double>(kBins) / (high - low) : 0.0;
    // Monotone: high is in the first bin, low in the last.
    const auto bin_of = [&](float x) {
      return std::min(static_cast<size_t>((high - static_cast<double>(x)) * bins_per_unit), kBins - 1);
    };
    mass.fill(0.0);
    count.fill(0);
    const auto add = [&](float x, double weight) {
      const size_t bin = bin_of(x);
      mass[bin] += by_count ? 1.0 : weight;
      ++count[bin];
    };
    if (!narrowed) {
      for (size_t begin = 0; begin < values.size(); begin += kRowBlock) {
        const size_t size = std::min(kRowBlock, values.size() - begin);
        if (!by_count) exp_block(values.subspan(begin, size), candidates.max, candidates.scale, weights.data());
        for (size_t i = 0; i < size; ++i) {
          if (values[begin + i] > -kInfinity) add(values[begin + i], weights[i]);
        }
      }
      double total = 0.0;
      for (const double m : mass) total += m;
      if (by_count && total <= target) return;
      wanted = by_count ? target : target * total;
    } else {
      for (const uint32_t i : members) {
        double weight = 1.0;
        if (!by_count) exp_block(values.subspan(i, 1), candidates.max, candidates.scale, &weight);
        add(values[i], weight);
      }
    }
    // The first bin that reaches it; the last that holds any, should rounding leave the sum short.
    size_t last_bin = 0;
    double before = sum;
    for (size_t bin = 0; bin < kBins; ++bin) {
      if (count[bin] == 0) continue;
      last_bin = bin;
      before = sum;
      sum += mass[bin];
      if (sum >= wanted) break;
    }
    sum = before;

    std::vector<uint32_t> inside;
    inside.reserve(count[last_bin]);
    double inside_high = -static_cast<double>(kInfinity);
    double inside_low = static_cast<double>(kInfinity);
    const auto look = [&](uint32_t i) {
      const float x = values[i];
      if (!(x > -kInfinity) || bin_of(x) != last_bin) return;
      inside.push_back(i);
      inside_high = std::max(inside_high, static_cast<double>(x));
      inside_low = std::min(inside_low, static_cast<double>(x));
    };
    if (narrowed) {
      for (const uint32_t i : members) look(i);
    } else {
      for (uint32_t i = 0; i < values.size(); ++i) look(i);
    }
    members = std::move(inside);
    high = inside_high;
    low = inside_low;
    narrowed = true;
  }

  if (high > low) {
    std::sort(members.begin(), members.end(),
              [&](uint32_t a, uint32_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  }
  uint32_t last = members.front();
  for (const uint32_t i : members) {
    double weight = 1.0;
    if (!by_count) exp_block(values.subspan(i, 1), candidates.max, candidates.scale, &weight);
    sum += weight;
    last = i;
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

// The candidate at which the running sum of the weights, by ascending id, first exceeds u times their total. The sum up
// to a block is that of the blocks before it, each summed as exp_block_sum() does.
int32_t draw(const Candidates& candidates, double u) {
  const std::span<const float> values = candidates.values;
  std::array<double, kRowBlock> weights;
  std::vector<double> sum_before;  // of each block
  sum_before.reserve(values.size() / kRowBlock + 1);
  double sum = 0.0;
  const auto block_at = [&](size_t begin) { return values.subspan(begin, std::min(kRowBlock, values.size() - begin)); };
  for (size_t begin = 0; begin < values.size(); begin += kRowBlock) {
    sum_before.push_back(sum);
    sum += exp_block_sum(block_at(begin), candidates.max, candidates.scale);
  }
  // u < 1, but the product may round up to the total itself, which nothing exceeds.
  const double target = std::min(u * sum, std::nextafter(sum, 0.0));
  // The last block with a sum before it of at most the target: its own sum is not 0, or the next one would do as well.
  const auto after = std::upper_bound(sum_before.begin(), sum_before.end(), target);
  const size_t block = static_cast<size_t>(after - sum_before.begin()) - 1;
  sum = sum_before[block];
  const std::span<const float> row = block_at(block * kRowBlock);
  exp_block(row, candidates.max, candidates.scale, weights.data());
  size_t drawn = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    if (weights[i] == 0.0) continue;
    drawn = i;  // the last one, should this order of summing end below the block's sum
    sum += weights[i];
    if (sum > target) break;
  }
  return candidates.id(block * kRowBlock + drawn);
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
  const double log_sum = std::isfinite(max)
                             ? std::log(exp_sum(logits, max, 1.0))
                             : std::log(static_cast<double>(std::count(logits.begin(), logits.end(), max)));
  const auto logprob = [&](float x) {
    if (!(x > -kInfinity)) return -kInfinity;
    return static_cast<float>(x == max ? -log_sum : static_cast<double>(x) - static_cast<double>(max) - log_sum);
  };

  TokenLogprob result;
  result.token_id = token;
  const float value =
      token >= 0 && static_cast<size_t>(token) < logits.size() ? without_nan(logits[token]) : -kInfinity;
  result.logprob = logprob(value);
  result.rank = 1 + static_cast<uint32_t>(count_above(logits, value));

  const size_t wanted = std::min<size_t>(top, logits.size());
  if (wanted == 0) return result;
  // A heap of the likeliest so far with the least likely in front: most entries cost one comparison.
  using Entry = std::pair<int32_t, float>;
  const auto likelier = [](const Entry& a, const Entry& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
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

int32_t SamplingState::sample(std::span<const float> logits, uint64_t position, std::vector<float>& scratch,
                              std::span<const uint32_t> mask) const {
  const SamplingParams& params = *params_;
  const bool greedy = !(params.temperature > 0.0F);
  const bool mask_stops = generated_count_ < params.min_tokens && !params.stop_token_ids.empty();
  const bool adjusts = mask_stops || !params.logit_bias.empty() || penalties_on(params);
  if (greedy && !adjusts && mask.empty()) return static_cast<int32_t>(row_argmax(logits));

  if (scratch.size() < logits.size()) scratch.resize(logits.size());
  const std::span<float> row(scratch.data(), logits.size());
  copy_without_nan(logits, row.data());
  if (!mask.empty()) apply_mask(mask, row);
  if (adjusts) adjust(row, mask_stops);

  if (greedy || row_max(row) == -kInfinity) return first_allowed(row, mask_stops, mask);

  Candidates candidates;
  candidates.values = row;
  candidates.max = row_max(row);
  candidates.scale =
      std::max(1.0 / static_cast<double>(params.temperature), 1e-30);  // > 0 for an infinite temperature too
  if (std::isinf(candidates.max)) {                                    // +inf: they share all of the probability
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

int32_t SamplingState::first_allowed(std::span<const float> row, bool mask_stops,
                                     std::span<const uint32_t> mask) const {
  const size_t best = row_argmax(row);
  if ((!mask_stops && mask.empty()) || row[best] > -kInfinity) return static_cast<int32_t>(best);
  const std::vector<int32_t>& stops = params_->stop_token_ids;
  for (size_t id = 0; id < row.size(); ++id) {
    if (!mask.empty() && !in_mask(mask, id)) continue;
    const bool is_stop = std::find(stops.begin(), stops.end(), static_cast<int32_t>(id)) != stops.end();
    if (!mask_stops || !is_stop) return static_cast<int32_t>(id);
  }
  return 0;
}

}  // namespace switchyard::worker
