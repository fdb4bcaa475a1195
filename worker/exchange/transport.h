// Moves bytes between the ranks of a group, and never adds any (invariant 2).
//
// Every call is collective: it returns once all ranks of the group have made the same call, or with kTimeout /
// kPeerLost naming the rank that is late or gone, or kUnavailable when the epoch is over; after an error the transport
// is dead. Calls of
// different kinds must come in the same order on all ranks.
//
// Thread: one thread a rank (the engine thread). Blocks, with a deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/result.h"
#include "worker/exchange/epoch.h"

namespace switchyard::worker {

class Transport {
 public:
  virtual ~Transport() = default;

  virtual const char* name() const = 0;
  virtual uint32_t rank() const = 0;
  virtual uint32_t size() const = 0;

  // recv[r] = what rank r gave; every rank gives `bytes`. recv holds size() x bytes.
  virtual Status all_gather(const void* send, size_t bytes, void* recv) = 0;

  // Items of item_bytes each: this rank sends items [send_offsets[d], send_offsets[d + 1]) to rank d and receives
  // recv_offsets[s + 1] - recv_offsets[s] items from rank s at recv_offsets[s]. Offsets have size() + 1 entries; both
  // sides know the counts.
  virtual Status all_to_all(const void* send, const uint32_t* send_offsets, void* recv, const uint32_t* recv_offsets,
                            size_t item_bytes) = 0;
};

// A group of one.
std::unique_ptr<Transport> make_single_transport();

// `size` ranks as threads of one process. Each thread takes one of the transports.
std::vector<std::unique_ptr<Transport>> make_local_transports(uint32_t size, uint32_t deadline_ms, Epoch epoch = {});

}  // namespace switchyard::worker
