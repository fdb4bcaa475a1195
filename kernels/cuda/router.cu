// A warp a row. The choice is the plain router's (kernels/cpu/router.cpp): by value, ties by the lower id.
#include <cfloat>

#include "common/base/result.h"
#include "kernels/api/checks.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/reduce.cuh"

namespace switchyard::kernels::cuda {
namespace {

constexpr float kTaken = -INFINITY;  // less than any score, which are finite

struct Candidate {
  float value;
  int32_t id;
};
struct Before {
  __device__ bool operator()(const Candidate& a, const Candidate& b) const {
    return a.value > b.value || (a.value == b.value && a.id < b.id);
  }
};

// A NaN counts as the least finite number, infinities as the largest.
__device__ inline float finite(float x) {
  if (!(x >= -FLT_MAX)) return -FLT_MAX;
  return x > FLT_MAX ? FLT_MAX : x;
}

// The first of the lanes' candidates, on every lane.
__device__ inline Candidate first_of_warp(Candidate mine) {
  for (uint32_t distance = kWarp / 2; distance != 0; distance /= 2) {
    const Candidate other{__shfl_xor_sync(kAllLanes, mine.value, distance),
                          __shfl_xor_sync(kAllLanes, mine.id, distance)};
    if (Before()(other, mine)) mine = other;
  }
  return mine;
}

// Takes the first of values[0, count) out of them.
__device__ inline Candidate take_first(float* values, uint32_t count) {
  Candidate best{kTaken, INT32_MAX};
  for (uint32_t i = threadIdx.x; i < count; i += kWarp) {
    const Candidate here{values[i], static_cast<int32_t>(i)};
    if (Before()(here, best)) best = here;
  }
  best = first_of_warp(best);
  __syncwarp();
  if (threadIdx.x == 0) values[best.id] = kTaken;
  __syncwarp();
  return best;
}

__device__ inline void score_experts(const RouterSpec& spec, const float* logits, float* scores) {
  for (uint32_t e = threadIdx.x; e < spec.expert_count; e += kWarp) scores[e] = finite(logits[e]);
  if (spec.score == RouterScore::kSigmoid) {
    for (uint32_t e = threadIdx.x; e < spec.expert_count; e += kWarp) scores[e] = 1.0F / (1.0F + expf(-scores[e]));
  } else if (spec.score == RouterScore::kSoftmax) {
    float largest = -FLT_MAX;
    for (uint32_t e = threadIdx.x; e < spec.expert_count; e += kWarp) largest = fmaxf(largest, scores[e]);
    largest = reduce_warp(largest, Most());
    float sum = 0.0F;
    for (uint32_t e = threadIdx.x; e < spec.expert_count; e += kWarp) {
      scores[e] = expf(scores[e] - largest);
      sum += scores[e];
    }
    sum = reduce_warp(sum, Sum());
    for (uint32_t e = threadIdx.x; e < spec.expert_count; e += kWarp) scores[e] /= sum;
  }
}

__device__ inline float group_score(const RouterSpec& spec, const float* choice, uint32_t size) {
  float best = -INFINITY;
  float second = -INFINITY;
  for (uint32_t e = 0; e < size; ++e) {
    if (choice[e] > best) {
      second = best;
      best = choice[e];
    } else if (choice[e] > second) {
      second = choice[e];
    }
  }
  return spec.group_score == GroupScore::kBest || size == 1 ? best : best + second;
}

// Takes the experts of all groups but the best out of the choice.
__device__ inline void limit_groups(const RouterSpec& spec, float* choice, float* groups, float* keep) {
  const uint32_t size = spec.expert_count / spec.group_count;
  for (uint32_t g = threadIdx.x; g < spec.group_count; g += kWarp) {
    groups[g] = finite(group_score(spec, choice + g * size, size));
    keep[g] = 0.0F;
  }
  __syncwarp();
  for (uint32_t i = 0; i < spec.group_top_k; ++i) {
    const Candidate best = take_first(groups, spec.group_count);
    if (threadIdx.x == 0) keep[best.id] = 1.0F;
  }
  __syncwarp();
  for (uint32_t e = threadIdx.x; e < spec.expert_count; e += kWarp) {
    if (keep[e / size] == 0.0F) choice[e] = kTaken;
  }
  __syncwarp();
}

// The chosen, by weight; one thread.
__device__ inline void weigh(const RouterSpec& spec, Candidate* chosen, int32_t* ids, float* weights) {
  for (uint32_t j = 1; j < spec.top_k; ++j) {
    const Candidate c = chosen[j];
    uint32_t at = j;
    for (; at > 0 && Before()(c, chosen[at - 1]); --at) chosen[at] = chosen[at - 1];
    chosen[at] = c;
  }
  float sum = 0.0F;
  for (uint32_t j = 0; j < spec.top_k; ++j) {
    ids[j] = chosen[j].id;
    weights[j] = spec.score == RouterScore::kSoftmaxOfTopK ? expf(chosen[j].value - chosen[0].value) : chosen[j].value;
    sum += weights[j];
  }
  if (spec.score == RouterScore::kSigmoid) sum += 1e-20F;
  const bool divide = (spec.normalize || spec.score == RouterScore::kSoftmaxOfTopK) && sum > 0.0F;
  for (uint32_t j = 0; j < spec.top_k; ++j) weights[j] = (divide ? weights[j] / sum : weights[j]) * spec.scaling;
}

size_t shared_bytes(const RouterSpec& spec) {
  return (2 * size_t{spec.expert_count} + 2 * size_t{spec.group_count}) * sizeof(float) +
         spec.top_k * sizeof(Candidate);
}

__global__ void route_kernel(RouterSpec spec, const float* logits, const float* bias, int32_t* ids, float* weights) {
  auto* scores = shared_memory<float>();
  float* choice = scores + spec.expert_count;
  float* groups = choice + spec.expert_count;
  float* keep = groups + spec.group_count;
  auto* chosen = reinterpret_cast<Candidate*>(keep + spec.group_count);
  const size_t row = blockIdx.x;
  score_experts(spec, logits + row * spec.expert_count, scores);
  for (uint32_t e = threadIdx.x; e < spec.expert_count; e += kWarp) {
    choice[e] = finite(bias == nullptr ? scores[e] : scores[e] + bias[e]);
  }
  __syncwarp();
  if (spec.group_count > 1) limit_groups(spec, choice, groups, keep);
  for (uint32_t j = 0; j < spec.top_k; ++j) {
    const Candidate best = take_first(choice, spec.expert_count);
    if (threadIdx.x == 0) chosen[j] = {scores[best.id], best.id};
  }
  if (threadIdx.x == 0) weigh(spec, chosen, ids + row * spec.top_k, weights + row * spec.top_k);
}

}  // namespace

void route(ThreadPool&, const RouterSpec& spec, const float* logits, const float* correction_bias, uint32_t rows,
           int32_t* ids, float* weights) {
  check_router(spec);
  if (rows == 0) return;
  const size_t count = size_t{rows} * spec.top_k;
  auto* device_ids = static_cast<int32_t*>(scratch(count * (sizeof(int32_t) + sizeof(float))));
  auto* device_weights = reinterpret_cast<float*>(device_ids + count);
  launch(route_kernel, dim3(rows), kWarp, shared_bytes(spec), spec, logits, correction_bias, device_ids,
         device_weights);
  copy_to_host(ids, device_ids, count * sizeof(int32_t));
  copy_to_host(weights, device_weights, count * sizeof(float));
}

}  // namespace switchyard::kernels::cuda
