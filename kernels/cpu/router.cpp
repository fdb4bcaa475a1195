// Routers as DeepSeek V2 / V3, Qwen, Mixtral and gpt-oss define them; see RouterSpec.
#include <cfloat>
#include <cmath>

#include "kernels/api/checks.h"
#include "kernels/api/numbers.h"
#include "kernels/api/thread_pool.h"
#include "kernels/cpu/tables.h"

namespace switchyard::kernels::cpu {
namespace {

// Broken activations must not choose an expert that does not exist: a NaN counts as the least finite logit, infinities
// as the largest. They still show in the answer, which is computed from the same activations.
float finite(float x) {
  if (!(x >= -FLT_MAX)) return -FLT_MAX;
  return x > FLT_MAX ? FLT_MAX : x;
}

// a goes before b: by value, ties by the lower id.
struct Candidate {
  float value;
  int32_t id;
};
bool before(const Candidate& a, const Candidate& b) { return a.value > b.value || (a.value == b.value && a.id < b.id); }

// Puts c in its place in list[0, count), kept in order and at most `limit` long. Returns the new count.
uint32_t insert(Candidate* list, uint32_t count, uint32_t limit, Candidate c) {
  if (count == limit && !before(c, list[count - 1])) return count;
  uint32_t at = count < limit ? count++ : count - 1;
  for (; at > 0 && before(c, list[at - 1]); --at) list[at] = list[at - 1];
  list[at] = c;
  return count;
}

// Scratch of one row; sizes from the spec.
struct RowScratch {
  float* scores;         // (experts)
  float* choice;         // (experts) scores with the correction bias
  Candidate* chosen;     // (top_k)
  Candidate* groups;     // (group_top_k)
  Candidate* by_weight;  // (top_k)

  static size_t bytes(const RouterSpec& spec) {
    return spec.expert_count * 2 * sizeof(float) + (2 * spec.top_k + spec.group_top_k) * sizeof(Candidate);
  }
  RowScratch(const RouterSpec& spec, void* memory)
      : scores(static_cast<float*>(memory)),
        choice(scores + spec.expert_count),
        chosen(reinterpret_cast<Candidate*>(choice + spec.expert_count)),
        groups(chosen + spec.top_k),
        by_weight(groups + spec.group_top_k) {}
};

void score_experts(const RouterSpec& spec, const float* logits, float* scores) {
  const uint32_t n = spec.expert_count;
  for (uint32_t e = 0; e < n; ++e) scores[e] = finite(logits[e]);
  if (spec.score == RouterScore::kSigmoid) {
    for (uint32_t e = 0; e < n; ++e) scores[e] = 1.0F / (1.0F + std::exp(-scores[e]));
  } else if (spec.score == RouterScore::kSoftmax) {
    float largest = scores[0];
    for (uint32_t e = 1; e < n; ++e) largest = std::fmax(largest, scores[e]);
    float sum = 0.0F;
    for (uint32_t e = 0; e < n; ++e) {
      scores[e] = std::exp(scores[e] - largest);
      sum += scores[e];
    }
    for (uint32_t e = 0; e < n; ++e) scores[e] /= sum;
  }
}

float group_score(const RouterSpec& spec, const float* choice, uint32_t group) {
  const uint32_t size = spec.expert_count / spec.group_count;
  float best = -INFINITY;
  float second = -INFINITY;
  for (uint32_t e = group * size; e < (group + 1) * size; ++e) {
    if (choice[e] > best) {
      second = best;
      best = choice[e];
    } else if (choice[e] > second) {
      second = choice[e];
    }
  }
  if (spec.group_score == GroupScore::kBest || size == 1) return best;
  return best + second;
}

void choose(const RouterSpec& spec, const RowScratch& s) {
  uint32_t count = 0;
  if (spec.group_count <= 1) {
    for (uint32_t e = 0; e < spec.expert_count; ++e) {
      count = insert(s.chosen, count, spec.top_k, {s.choice[e], static_cast<int32_t>(e)});
    }
    return;
  }
  const uint32_t size = spec.expert_count / spec.group_count;
  uint32_t group_count = 0;
  for (uint32_t g = 0; g < spec.group_count; ++g) {
    group_count =
        insert(s.groups, group_count, spec.group_top_k, {group_score(spec, s.choice, g), static_cast<int32_t>(g)});
  }
  for (uint32_t i = 0; i < group_count; ++i) {
    const uint32_t first = static_cast<uint32_t>(s.groups[i].id) * size;
    for (uint32_t e = first; e < first + size; ++e) {
      count = insert(s.chosen, count, spec.top_k, {s.choice[e], static_cast<int32_t>(e)});
    }
  }
}

void route_row(const RouterSpec& spec, const float* logits, const float* bias, const RowScratch& s, int32_t* ids,
               float* weights) {
  score_experts(spec, logits, s.scores);
  for (uint32_t e = 0; e < spec.expert_count; ++e)
    s.choice[e] = finite(bias == nullptr ? s.scores[e] : s.scores[e] + bias[e]);
  choose(spec, s);
  uint32_t count = 0;
  for (uint32_t j = 0; j < spec.top_k; ++j) {
    count = insert(s.by_weight, count, spec.top_k, {s.scores[s.chosen[j].id], s.chosen[j].id});
  }
  const float largest = s.by_weight[0].value;
  float sum = 0.0F;
  for (uint32_t j = 0; j < spec.top_k; ++j) {
    ids[j] = s.by_weight[j].id;
    weights[j] =
        spec.score == RouterScore::kSoftmaxOfTopK ? std::exp(s.by_weight[j].value - largest) : s.by_weight[j].value;
    sum += weights[j];
  }
  if (spec.score == RouterScore::kSigmoid) sum += 1e-20F;
  const bool divide = (spec.normalize || spec.score == RouterScore::kSoftmaxOfTopK) && sum > 0.0F;
  for (uint32_t j = 0; j < spec.top_k; ++j) weights[j] = (divide ? weights[j] / sum : weights[j]) * spec.scaling;
}

}  // namespace

void route(ThreadPool& pool, const RouterSpec& spec, const float* logits, const float* correction_bias, uint32_t rows,
           int32_t* ids, float* weights) {
  check_router(spec);
  // Rows come in at least 16 to a part: fewer are done before another thread has woken. One scratch a part, by its
  // first row.
  constexpr size_t kGrain = 16;
  constexpr size_t kSmallestPart = kGrain / 2;  // parallel_for's parts are equal to within a row
  const size_t bytes = round_up(RowScratch::bytes(spec), 64);
  auto* scratch = static_cast<char*>(pool.scratch(0, bytes * (rows / kSmallestPart + 1)));
  pool.parallel_for(rows, kGrain, [&](size_t begin, size_t end) {
    const RowScratch s(spec, scratch + begin / kSmallestPart * bytes);
    for (size_t r = begin; r < end; ++r) {
      route_row(spec, logits + r * spec.expert_count, correction_bias, s, ids + r * spec.top_k,
                weights + r * spec.top_k);
    }
  });
}

}  // namespace switchyard::kernels::cpu
