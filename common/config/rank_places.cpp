#include "common/config/rank_places.h"

#include <charconv>
#include <map>

namespace switchyard::config {

HostSlots host_slots(const std::string& host, uint32_t otherwise) {
  HostSlots out{host.substr(0, host.find(':')), otherwise};
  if (out.host.size() < host.size())
    std::from_chars(host.data() + out.host.size() + 1, host.data() + host.size(), out.slots);
  return out;
}

std::vector<RankPlace> rank_places(const WorkerConfig& worker) {
  std::vector<HostSlots> hosts;
  const uint32_t ranks = worker.groups * worker.data_parallel_size;
  for (const auto& host : worker.hosts)
    hosts.push_back(host_slots(host, worker.gpus_per_node != 0 ? worker.gpus_per_node : worker.data_parallel_size));
  if (hosts.empty()) hosts.push_back({"", ranks});

  std::vector<RankPlace> places;
  std::map<std::string, uint32_t> on_host;
  for (size_t at = 0; places.size() < ranks; at = (at + 1) % hosts.size()) {
    for (uint32_t slot = 0; slot < hosts[at].slots && places.size() < ranks; ++slot)
      places.push_back({hosts[at].host, on_host[hosts[at].host]++, 0});
  }
  for (auto& place : places) place.on_host = on_host[place.host];
  return places;
}

}  // namespace switchyard::config
