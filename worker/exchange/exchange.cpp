#include "worker/exchange/exchange.h"

#include "common/base/log.h"
#include "worker/exchange/shared_exchange.h"

namespace switchyard::worker {

LayerPlacement LayerPlacement::from_ranks(std::span<const uint32_t> rank_of_expert, uint32_t rank_count) {
  LayerPlacement placement;
  placement.rank_of_expert.assign(rank_of_expert.begin(), rank_of_expert.end());
  placement.slot_of_expert.resize(rank_of_expert.size());
  placement.experts.resize(rank_count);
  for (uint32_t expert = 0; expert < rank_of_expert.size(); ++expert) {
    auto& hosted = placement.experts[rank_of_expert[expert]];
    placement.slot_of_expert[expert] = static_cast<uint32_t>(hosted.size());
    hosted.push_back(expert);
  }
  return placement;
}

Result<std::unique_ptr<Exchange>> make_exchange(std::unique_ptr<Transport> transport, const ExchangeShape& shape,
                                                kernels::ThreadPool& pool, uint32_t deadline_ms, Epoch epoch) {
  const size_t bytes = SharedLayout(shape, transport->size()).bytes;
  SWITCHYARD_ASSIGN(SharedMemory memory, SharedMemory::make(*transport, bytes));
  if (memory.regions.empty()) {
    if (transport->rank() == 0) log_info("ranks exchange messages", {{"why", memory.why_not}});
    return make_message_exchange(std::move(transport), shape);
  }
  return make_shared_exchange(std::move(transport), std::move(memory), shape, pool, deadline_ms, epoch);
}

}  // namespace switchyard::worker
