#include "launch/dry_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "common/base/machine.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/memory_plan.h"
#include "common/config/memory_options.h"
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

// Rank r's host: hosts filled in order, each with its slots.
std::string host_of_rank(const config::WorkerConfig& w, uint32_t rank) {
  if (w.hosts.empty()) return "this machine";
  uint32_t before = 0;
  for (const auto& host : w.hosts) {
    const auto colon = host.find(':');
    uint32_t slots = w.gpus_per_node != 0 ? w.gpus_per_node : w.data_parallel_size;
    if (colon != std::string::npos) std::from_chars(host.data() + colon + 1, host.data() + host.size(), slots);
    if (rank < before + slots) return host.substr(0, colon);
    before += slots;
  }
  return w.hosts.back().substr(0, w.hosts.back().find(':'));
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

  std::string out =
      fmt::format("cluster {}: {}\n  {}, {} parameters, {} of them for one token, {} layers\n", config.name,
                  config.model.path, spec.architecture, billions(checkpoint::parameter_count(spec)),
                  billions(checkpoint::active_parameter_count(spec)), spec.layers.size());

  out += "processes\n";
  for (const auto& process : plan_processes(config, {program_directory, "RUN_DIRECTORY", geteuid() == 0})) {
    out += fmt::format("  {} on {}\n    {}\n", process.program.name, process.hosts, shell_line(process.program.argv));
  }
  out += fmt::format("  API on {}:{}, admin API on {}:{}\n", config.frontend.host, config.frontend.port,
                     config.coordinator.admin_host, config.coordinator.admin_port);

  out += placement_text(placement, w.placement);

  const MemoryPlanOptions options = config::memory_options(config, spec);
  const MemoryPlan plan = checkpoint::plan_memory(spec, options);
  const uint64_t ranks_here = w.hosts.empty() ? w.data_parallel_size : (w.data_parallel_size - 1) / w.hosts.size() + 1;
  const uint64_t kv_bytes =
      w.kv_cache_memory_mib != 0
          ? w.kv_cache_memory_mib << 20
          : checkpoint::auto_kv_bytes(plan.kv_sequence_bytes, w.max_num_seqs, machine_memory_bytes() / ranks_here);
  const uint64_t room = static_cast<uint64_t>(static_cast<double>(gpu_bytes(w.gpu_model)) * w.gpu_memory_utilization);

  std::vector<uint64_t> experts(w.data_parallel_size);
  for (uint32_t layer = 0; layer < placement.layer_count; ++layer) {
    const auto counts = placement.counts(layer);
    for (uint32_t rank = 0; rank < w.data_parallel_size; ++rank) experts[rank] += counts[rank];
  }
  out += fmt::format("memory per rank, MiB, weights in {}\n", config::weight_form(config, spec));
  out += fmt::format("  {:>4} {:>11} {:>8} {:>11} {:>10} {:>10} {:>11}  {}\n", "rank", "replicated", "experts",
                     "of experts", "KV", "workspace", "total", "host");
  std::string too_small;
  for (uint32_t rank = 0; rank < w.data_parallel_size; ++rank) {
    const uint64_t expert_bytes = experts[rank] * plan.expert_bytes;
    const uint64_t total = plan.replicated_bytes + expert_bytes + kv_bytes + plan.workspace_bytes;
    out += fmt::format("  {:>4} {:>11} {:>8} {:>11} {:>10} {:>10} {:>11}  {}\n", rank, mib(plan.replicated_bytes),
                       experts[rank], mib(expert_bytes), mib(kv_bytes), mib(plan.workspace_bytes), mib(total),
                       host_of_rank(w, rank));
    if (room != 0 && total > room && too_small.empty()) {
      too_small = fmt::format("worker.gpu_model: rank {} needs {} MiB, and {:g} of a {} are {} MiB", rank, mib(total),
                              w.gpu_memory_utilization, w.gpu_model, mib(room));
    }
  }
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
