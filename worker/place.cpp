#include "worker/place.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "common/base/machine.h"
#include "common/config/rank_places.h"
#include "kernels/api/device.h"

namespace switchyard::worker {
namespace {

uint32_t number_from_launcher(const char* name, uint32_t otherwise) {
  const char* text = std::getenv(name);
  const int value = text != nullptr ? std::atoi(text) : -1;
  return value >= 0 ? static_cast<uint32_t>(value) : otherwise;
}

}  // namespace

bool started_by_launcher() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr || std::getenv("PMIX_RANK") != nullptr;
}

Result<Place> find_place(const config::ClusterConfig& config, uint32_t group, uint32_t index, uint32_t size) {
  if (size != config.worker.data_parallel_size) {
    return Error{Errc::kInvalid, fmt::format("started with {} ranks, but worker.data_parallel_size is {}", size,
                                             config.worker.data_parallel_size)};
  }
  if (index >= size) {
    return Error{Errc::kInvalid, fmt::format("started as rank {}, but worker.data_parallel_size is {}", index, size)};
  }
  if (group >= config.worker.groups) {
    return Error{Errc::kInvalid,
                 fmt::format("started as group {}, but worker.groups is {}", group, config.worker.groups)};
  }
  Place place{index, size, group, group * size + index, 0, 1};
  place.on_node = number_from_launcher("OMPI_COMM_WORLD_LOCAL_RANK", 0);
  place.node_size = std::max(1U, number_from_launcher("OMPI_COMM_WORLD_LOCAL_SIZE", 1));
  // What a launcher knows of the machine ends with its job: of other jobs there the plan tells.
  if (uses_mpi(config) && (config.worker.groups == 1 || config.launcher == "srun")) return place;
  const config::RankPlace planned = config::rank_places(config.worker)[place.rank_id];
  place.on_node = planned.index;
  place.node_size = planned.on_host;
  return place;
}

std::vector<int> cores_to_pin(const Place& place, uint32_t threads) {
  const std::vector<int> cores = machine_cores();
  const bool shared = cores.size() >= size_t{place.node_size} * threads;
  const uint32_t first = shared ? place.on_node * threads : 0;
  if (cores.size() < size_t{first} + threads) return {};
  return {cores.begin() + first, cores.begin() + first + threads};
}

Result<const kernels::OpTable*> choose_backend(const config::WorkerConfig& worker, const Place& place) {
  if (worker.device == "cuda") {
    auto ops = kernels::cuda_backend(place.on_node);
    if (!ops.ok()) return Error{ops.error().code, "worker.device: " + ops.error().message};
    return ops;
  }
  const kernels::OpTable* ops = kernels::find_backend(worker.backend.c_str());
  if (ops == nullptr) {
    std::string names;
    const kernels::BackendList list = kernels::cpu_backends();
    for (size_t i = 0; i < list.count; ++i) names += std::string(" ") + list.tables[i]->name;
    return Error{Errc::kInvalid,
                 fmt::format("worker.backend: this machine has no op table '{}', but auto{}", worker.backend, names)};
  }
  return ops;
}

}  // namespace switchyard::worker
