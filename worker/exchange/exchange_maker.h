// How a rank comes to the exchange of each epoch that it takes part in: over sockets, over MPI (mpi_transport.h), or as
// a test has it.
//
// Thread: the engine thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "kernels/api/thread_pool.h"
#include "worker/exchange/exchange.h"
#include "worker/exchange/tcp_transport.h"

namespace switchyard::worker {

class ExchangeMaker {
 public:
  virtual ~ExchangeMaker() = default;
  // Where the other ranks of the group reach this one; 0: nowhere.
  virtual uint16_t port() const = 0;
  // members: of the epoch, in order; here: this rank's index among them. Collective and blocking, with the errors of
  // make_tcp_transport().
  virtual Result<std::unique_ptr<Exchange>> make(const std::vector<TcpMember>& members, uint32_t here,
                                                 const ExchangeShape& shape, kernels::ThreadPool& pool,
                                                 Epoch epoch) = 0;
};

// Sockets of each epoch's own, and shared memory where all members are on one machine. Listens on any free port of
// host.
Result<std::unique_ptr<ExchangeMaker>> make_tcp_exchanges(const std::string& host, TcpTrust trust,
                                                          uint32_t deadline_ms);

}  // namespace switchyard::worker
