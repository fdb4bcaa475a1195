// Moves token rows to the ranks that host their experts, and the experts' answers back: dispatch and combine.
//
// A layer's experts live in slots: rank r hosts placement.experts[r], ordered by expert id. The receiver has rows by
// (slot, source rank, source row). Each answer comes back by itself; nothing is summed on the way (invariants 1 and 2).
//
// Thread: the engine thread. Blocks until every rank of the group has made the same call, or returns kPeerLost /
// kTimeout naming the rank, or kUnavailable when the epoch is over; after any of them this exchange is dead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "kernels/api/thread_pool.h"
#include "worker/exchange/epoch.h"
#include "worker/exchange/transport.h"

namespace switchyard::worker {

// Where the experts of one layer live. Every rank of the group holds the same.
struct LayerPlacement {
  std::vector<uint32_t> rank_of_expert;        // (experts)
  std::vector<uint32_t> slot_of_expert;        // (experts): index among its rank's experts
  std::vector<std::vector<uint32_t>> experts;  // (ranks): expert ids hosted, ascending

  static LayerPlacement from_ranks(std::span<const uint32_t> rank_of_expert, uint32_t rank_count);
};

// What an exchange carries, the same on all ranks.
struct ExchangeShape {
  uint32_t rows_max = 0;  // of one rank in one step
  uint32_t experts = 0;   // of a layer; 0: there is nothing to carry
  uint32_t top_k = 0;     // experts of a row
  size_t row_bytes = 0;   // of an encoded row
  uint32_t width = 0;     // float32 values of an answer
};

// Rows for this rank's slots, ordered by (slot, source rank, source row).
struct ReceivedRows {
  const void* rows = nullptr;              // (row_count, row_bytes)
  std::span<const uint32_t> slot_offsets;  // (slots + 1)
  uint32_t row_count = 0;
  float* answers = nullptr;  // (row_count, width): where the experts' answers to these rows go
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

  virtual const char* name() const = 0;
  virtual uint32_t rank() const = 0;
  virtual uint32_t size() const = 0;

  // rows: (row_count, row_bytes); experts: (row_count, top_k) chosen expert ids, all different within a row. Both, and
  // what is received, stay in use until combine() has returned.
  virtual Result<ReceivedRows> dispatch(const LayerPlacement& placement, const void* rows, uint32_t row_count,
                                        const int32_t* experts) = 0;

  // After dispatch, with ReceivedRows::answers written: returns (row_count, top_k) pointers, each to the answer (width)
  // of a row's j-th expert; valid until the next dispatch.
  virtual Result<const float* const*> combine() = 0;

  // Small fixed-size agreement between ranks: all[r] = what rank r gave.
  virtual Status all_gather(const void* mine, size_t bytes, void* all) = 0;

  virtual ExchangeStats stats() const = 0;
};

// Through memory that the ranks share, if all of them run on one machine and can (one rank always can); else by
// messages over the transport. The ranks choose alike.
Result<std::unique_ptr<Exchange>> make_exchange(std::unique_ptr<Transport> transport, const ExchangeShape& shape,
                                                kernels::ThreadPool& pool, uint32_t deadline_ms, Epoch epoch = {});

// By messages over any transport.
std::unique_ptr<Exchange> make_message_exchange(std::unique_ptr<Transport> transport, const ExchangeShape& shape);

}  // namespace switchyard::worker
