#include "launch/dry_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "common/base/machine.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/memory_plan.h"
#include "common/config/memory_options.h"
#include "common/config/rank_places.h"
#include "coordinator/placement.h"
#include "launch/plan.h"

namespace switchyard::launch {
namespace {

using checkpoint::MemoryPlan;
using checkpoint::MemoryPlanOptions;
using checkpoint::ModelSpec;

std::string mib(uint64_t bytes) { return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 20)); }

std::string billions(uint64_t count) {
  return count < 100'000'000 ? fmt::format("{:.2f} M", static_cast<double>(count) / 1e6)
                             : fmt::format("{:.1f} B", static_cast<double>(count) / 1e9);
}

std::string plural(uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// "A40-48GB" -> 48e9. In units of 10^9: what a GPU of "48 GB" has left in binary ones after ECC and the driver.
uint64_t gpu_bytes(const std::string& gpu_model) {
  const auto dash = gpu_model.rfind('-');
  uint64_t gigabytes = 0;
  if (dash != std::string::npos)
    std::from_chars(gpu_model.data() + dash + 1, gpu_model.data() + gpu_model.size(), gigabytes);
  return gigabytes * 1'000'000'000;
}

std::string placement_text(const coordinator::ExpertPlacement& placement, const std::string& policy) {
  if (placement.layer_count == 0) return "expert placement: none, the model is dense\n";
  std::string out = fmt::format("expert placement: {} of {} on {} ({})\n", plural(placement.layer_count, "layer"),
                                plural(placement.expert_count, "expert"), plural(placement.rank_count, "rank"), policy);
  // Neighbouring layers with the same counts share a line.
  uint32_t first = 0;
  for (uint32_t layer = 1; layer <= placement.layer_count; ++layer) {
    if (layer < placement.layer_count && placement.counts(layer) == placement.counts(first)) continue;
    const std::string which =
        layer - first == 1 ? fmt::format("layer {}", first) : fmt::format("layers {} to {}", first, layer - 1);
    out += fmt::format("  {}: experts per rank {}\n", which, fmt::join(placement.counts(first), " "));
    first = layer;
  }
  return out;
}

}  // namespace

Result<std::string> dry_run_report(const config::ClusterConfig& config, const std::string& program_directory) {
  const auto& w = config.worker;
  SWITCHYARD_ASSIGN(const ModelSpec spec, checkpoint::Checkpoint::read_spec(config.model.path));
  SWITCHYARD_TRY(check_context(config, spec));
  SWITCHYARD_ASSIGN(const auto placement, coordinator::place_experts(w.placement, spec, w.data_parallel_size));

  const auto places = config::rank_places(w);
  uint32_t ranks_on_host = 0;
  for (const auto& place : places) ranks_on_host = std::max(ranks_on_host, place.on_host);

  std::string out =
      fmt::format("cluster {}: {}\n  {}, {} parameters, {} of them for one token, {} layers\n", config.name,
                  config.model.path, spec.architecture, billions(checkpoint::parameter_count(spec)),
                  billions(checkpoint::active_parameter_count(spec)), spec.layers.size());

  if (w.groups > 1) {
    out += fmt::format("{} of {}, each with all experts: {} in all\n", plural(w.groups, "group"),
                       plural(w.data_parallel_size, "rank"), plural(places.size(), "rank"));
  }
  out += "processes\n";
  for (const auto& process : plan_processes(config, {program_directory, "RUN_DIRECTORY", geteuid() == 0})) {
    out += fmt::format("  {} on {}\n    {}\n", process.program.name, process.hosts, shell_line(process.program.argv));
  }
  out += fmt::format("  API on {}:{}, admin API on {}:{}\n", config.frontend.host, config.frontend.port,
                     config.coordinator.admin_host, config.coordinator.admin_port);

  out += placement_text(placement, w.placement);

  const MemoryPlanOptions options = config::memory_options(config, spec);
  const MemoryPlan plan = checkpoint::plan_memory(spec, options);
  const uint64_t kv_bytes =
      w.kv_cache_memory_mib != 0
          ? w.kv_cache_memory_mib << 20
          : checkpoint::auto_kv_bytes(plan.kv_sequence_bytes, w.max_num_seqs, machine_memory_bytes() / ranks_on_host);
  const uint64_t room = static_cast<uint64_t>(static_cast<double>(gpu_bytes(w.gpu_model)) * w.gpu_memory_utilization);

  std::vector<uint64_t> experts(w.data_parallel_size);
  for (uint32_t layer = 0; layer < placement.layer_count; ++layer) {
    const auto counts = placement.counts(layer);
    for (uint32_t rank = 0; rank < w.data_parallel_size; ++rank) experts[rank] += counts[rank];
  }
  out += fmt::format("memory per rank, MiB, weights in {}\n", config::weight_form(config, spec));
  out += fmt::format("  {:>4} {:>5} {:>11} {:>8} {:>11} {:>10} {:>10} {:>11}  {}\n", "rank", "group", "replicated",
                     "experts", "of experts", "KV", "workspace", "total", "host");
  std::string too_small;
  std::map<std::string, uint64_t> host_bytes;
  for (uint32_t rank = 0; rank < places.size(); ++rank) {
    const uint32_t index = rank % w.data_parallel_size;
    const std::string host = places[rank].host.empty() ? "this machine" : places[rank].host;
    const uint64_t expert_bytes = experts[index] * plan.expert_bytes;
    const uint64_t total = plan.replicated_bytes + expert_bytes + kv_bytes + plan.workspace_bytes;
    host_bytes[host] += total;
    out += fmt::format("  {:>4} {:>5} {:>11} {:>8} {:>11} {:>10} {:>10} {:>11}  {}\n", rank,
                       rank / w.data_parallel_size, mib(plan.replicated_bytes), experts[index], mib(expert_bytes),
                       mib(kv_bytes), mib(plan.workspace_bytes), mib(total), host);
    if (room != 0 && total > room && too_small.empty()) {
      too_small = fmt::format("worker.gpu_model: rank {} needs {} MiB, and {:g} of a {} are {} MiB", rank, mib(total),
                              w.gpu_memory_utilization, w.gpu_model, mib(room));
    }
  }
  for (const auto& [host, bytes] : host_bytes) out += fmt::format("  all ranks of {}: {} MiB\n", host, mib(bytes));
  if (room != 0) out += fmt::format("  room on each {}: {} MiB\n", w.gpu_model, mib(room));
  const uint64_t longest = options.max_model_len != 0 ? options.max_model_len : spec.max_position;
  if (plan.kv_sequence_bytes != 0) {
    out += fmt::format("  KV holds {} of {} positions in a rank\n",
                       plural(kv_bytes / plan.kv_sequence_bytes, "sequence"), longest);
    if (kv_bytes < plan.kv_sequence_bytes && too_small.empty()) {
      too_small = fmt::format("worker.kv_cache_memory_mib: one sequence of {} positions needs {} MiB, and it is {}",
                              longest, mib(plan.kv_sequence_bytes), kv_bytes >> 20);
    }
  }
  if (!too_small.empty()) return Error{Errc::kInvalid, out + too_small};
  return out;
}

}  // namespace switchyard::launch
