// The exchange of ranks on one machine: nothing is sent. Each rank lays its rows and their order into memory that all
// map, and says so; the others gather what is for their experts from there, and later read the answers where the
// expert's rank wrote them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/exchange/exchange.h"

namespace switchyard::worker {

// Memory of each rank of a group, mapped by all: pages are there once they are touched.
struct SharedMemory {
  // Collective. Without regions, `why_not` says why the ranks cannot share memory, on all of them alike.
  static Result<SharedMemory> make(Transport& transport, size_t bytes);

  SharedMemory() = default;
  ~SharedMemory();
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) = delete;

  std::vector<std::byte*> regions;  // (ranks)
  size_t bytes = 0;                 // of each
  std::string why_not;
};

// Where things lie in a rank's region, as offsets in bytes.
struct SharedLayout {
  SharedLayout(const ExchangeShape& shape, uint32_t ranks);

  size_t expert_offsets = 0;  // uint32 (experts + 1): of an expert's rows among the next
  size_t rows_of_expert = 0;  // uint32 (rows_max * top_k): row numbers by (expert, row)
  size_t rows = 0;            // (rows_max, row_bytes)
  size_t answers = 0;         // float32 (ranks * rows_max * top_k, width): all choices of all ranks may fall on one
  size_t bytes = 0;
};

// memory: a region for each rank of the transport, of SharedLayout's size.
std::unique_ptr<Exchange> make_shared_exchange(std::unique_ptr<Transport> transport, SharedMemory memory,
                                               const ExchangeShape& shape, kernels::ThreadPool& pool,
                                               uint32_t deadline_ms, Epoch epoch);

}  // namespace switchyard::worker
