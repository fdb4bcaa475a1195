// Moves token rows to the ranks that host their experts, and the experts' answers back: dispatch and combine.
//
// A layer's experts live in slots: rank r hosts slot_experts(r) of them, ordered by expert id. dispatch() sends counts
// first, then rows; the receiver lays rows out by (slot, source rank, source row) with prefix sums. combine() returns
// each answer by itself to where its row came from; nothing is summed on the way (invariants 1 and 2).
//
// Thread: the engine thread. Blocks until every rank of the group has made the same call, or returns kPeerLost /
// kTimeout naming the rank, after which this exchange is dead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "worker/exchange/transport.h"

namespace switchyard::worker {

// Where the experts of one layer live. Every rank of the group holds the same.
struct LayerPlacement {
  std::vector<uint32_t> rank_of_expert;        // (experts)
  std::vector<uint32_t> slot_of_expert;        // (experts): index among its rank's experts
  std::vector<std::vector<uint32_t>> experts;  // (ranks): expert ids hosted, ascending

  static LayerPlacement from_ranks(std::span<const uint32_t> rank_of_expert, uint32_t rank_count);
};

// Rows for this rank's slots, ordered by (slot, source rank, source row).
struct ReceivedRows {
  const void* rows = nullptr;              // (row_count, row_bytes)
  std::span<const uint32_t> slot_offsets;  // (slots + 1)
  uint32_t row_count = 0;
};

// Bytes and seconds since start, for metrics.
struct ExchangeStats {
  uint64_t bytes_sent = 0;  // to other ranks
  double dispatch_seconds = 0.0;
  double combine_seconds = 0.0;
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual uint32_t rank() const = 0;
  virtual uint32_t size() const = 0;

  // rows: (row_count, row_bytes) encoded activations; experts: (row_count, top_k) chosen expert ids, all different
  // within a row. The result stays valid until the next call.
  virtual Result<ReceivedRows> dispatch(const LayerPlacement& placement, const void* rows, size_t row_bytes,
                                        uint32_t row_count, const int32_t* experts, uint32_t top_k) = 0;

  // After dispatch: answers (ReceivedRows::row_count, width) float32 in the received order go home. home_answers() then
  // holds one answer per (row, choice), and home_index()[row * top_k + j] says which one is for choice j of a row.
  virtual Status combine(const float* answers, uint32_t width) = 0;
  virtual const float* home_answers() const = 0;
  virtual std::span<const uint32_t> home_index() const = 0;

  // Small fixed-size agreement between ranks: all[r] = what rank r gave.
  virtual Status all_gather(const void* mine, size_t bytes, void* all) = 0;

  virtual ExchangeStats stats() const = 0;
};

// Rows in host memory, over any transport.
std::unique_ptr<Exchange> make_host_exchange(std::unique_ptr<Transport> transport);

}  // namespace switchyard::worker
