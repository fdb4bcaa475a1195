// How a GPU's memory is shared out, before anything is loaded: weights, then workspace, then all that is left to KV.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.h"

namespace switchyard::worker {

// Bytes.
struct DeviceNeeds {
  uint64_t weights = 0;
  uint64_t workspace = 0;    // of a step, and of what the ops keep for themselves
  uint64_t kv_sequence = 0;  // of one sequence of max_model_len positions
  uint64_t kv = 0;           // as configured; 0: all that is left
};

struct DevicePlan {
  uint64_t kv = 0;
  std::string text;  // the plan, for the log
};

// total, free: of the device. utilization: of the total, what this rank may take. Fails with the figures when what is
// needed is not there.
Result<DevicePlan> plan_device(const DeviceNeeds& needs, uint64_t total, uint64_t free, double utilization);

}  // namespace switchyard::worker
