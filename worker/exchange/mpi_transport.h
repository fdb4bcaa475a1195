// The transport between MPI ranks: nonblocking point-to-point calls on a communicator of its own, tested under a
// deadline.
//
// Point-to-point rather than MPI_Ialltoallv, because the request that does not complete says which rank is late, and
// because for the few ranks of one node the library's collective schedule costs more than the messages.
#pragma once

#include <memory>

#include "worker/exchange/exchange_maker.h"
#include "worker/exchange/transport.h"

namespace switchyard::worker {

// MPI must be initialised (MPI_THREAD_FUNNELED, by the thread that will call). Duplicates MPI_COMM_WORLD.
std::unique_ptr<Transport> make_mpi_transport(uint32_t deadline_ms, Epoch epoch = {});

// Exchanges of such messages; all ranks of the job are members.
std::unique_ptr<ExchangeMaker> make_mpi_exchanges(uint32_t deadline_ms);

// This process in MPI_COMM_WORLD, after MPI_Init. Rank 0 of 1 when not started by a launcher.
struct MpiWorld {
  uint32_t rank = 0;
  uint32_t size = 1;
};
MpiWorld mpi_init();
void mpi_finalize();
// Ends every rank of the job at once.
[[noreturn]] void mpi_abort(int code);

}  // namespace switchyard::worker
