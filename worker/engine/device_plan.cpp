#include "worker/engine/device_plan.h"

#include <fmt/format.h>

namespace switchyard::worker {
namespace {

std::string mib(uint64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

}  // namespace

Result<DevicePlan> plan_device(const DeviceNeeds& needs, uint64_t total, uint64_t free, double utilization) {
  const auto room = static_cast<uint64_t>(static_cast<double>(total) * utilization);
  const std::string parts = fmt::format("weights {}, workspace {}", mib(needs.weights), mib(needs.workspace));
  const std::string share = fmt::format("{:g} of the GPU's {} are {}", utilization, mib(total), mib(room));
  if (room > free) {
    return Error{Errc::kUnavailable, fmt::format("{}, and {} are free: end what holds the rest, or lower "
                                                 "gpu_memory_utilization",
                                                 share, mib(free))};
  }
  const uint64_t fixed = needs.weights + needs.workspace;
  const uint64_t least = fixed + (needs.kv != 0 ? needs.kv : needs.kv_sequence);
  if (least > room) {
    return Error{Errc::kUnavailable,
                 needs.kv != 0
                     ? fmt::format("{} and kv_cache_memory_mib {} do not fit: {}", parts, mib(needs.kv), share)
                     : fmt::format("{} and {} of KV for one sequence of max_model_len do not fit: {}", parts,
                                   mib(needs.kv_sequence), share)};
  }
  DevicePlan plan;
  plan.kv = needs.kv != 0 ? needs.kv : room - fixed;
  plan.text = fmt::format("{}, KV {}: {}", parts, mib(plan.kv), share);
  return plan;
}

}  // namespace switchyard::worker
