#include "worker/exchange/mpi_transport.h"

#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "worker/exchange/patience.h"

namespace switchyard::worker {
namespace {

constexpr int kGatherTag = 1;
constexpr int kRowsTag = 2;

class MpiTransport final : public Transport {
 public:
  MpiTransport(uint32_t deadline_ms, Epoch epoch) : deadline_(deadline_ms), epoch_(epoch) {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    int value = 0;
    MPI_Comm_rank(comm_, &value);
    rank_ = static_cast<uint32_t>(value);
    MPI_Comm_size(comm_, &value);
    size_ = static_cast<uint32_t>(value);
  }

  const char* name() const override { return "mpi"; }
  uint32_t rank() const override { return rank_; }
  uint32_t size() const override { return size_; }

  Status all_gather(const void* send, size_t bytes, void* recv) override {
    begin();
    auto* out = static_cast<std::byte*>(recv);
    for (uint32_t r = 0; r < size_; ++r) {
      if (r == rank_) continue;
      receive(out + r * bytes, bytes, MPI_BYTE, r, kGatherTag);
      send_to(send, bytes, MPI_BYTE, r, kGatherTag);
    }
    if (bytes != 0) std::memcpy(out + rank_ * bytes, send, bytes);
    return finish("step agreement");
  }

  Status all_to_all(const void* send, const uint32_t* send_offsets, void* recv, const uint32_t* recv_offsets,
                    size_t item_bytes) override {
    begin();
    const auto* in = static_cast<const std::byte*>(send);
    auto* out = static_cast<std::byte*>(recv);
    MPI_Datatype item = item_type(item_bytes);
    for (uint32_t step = 1; step < size_; ++step) {
      const uint32_t from = (rank_ + size_ - step) % size_;
      const uint32_t to = (rank_ + step) % size_;
      const uint32_t incoming = recv_offsets[from + 1] - recv_offsets[from];
      const uint32_t outgoing = send_offsets[to + 1] - send_offsets[to];
      if (incoming != 0) receive(out + recv_offsets[from] * item_bytes, incoming, item, from, kRowsTag);
      if (outgoing != 0) send_to(in + send_offsets[to] * item_bytes, outgoing, item, to, kRowsTag);
    }
    const size_t own = (send_offsets[rank_ + 1] - send_offsets[rank_]) * item_bytes;
    if (own != 0) std::memcpy(out + recv_offsets[rank_] * item_bytes, in + send_offsets[rank_] * item_bytes, own);
    return finish("exchange");
  }

 private:
  void begin() {
    requests_.clear();
    peers_.clear();
    failed_ = false;
  }

  void receive(void* data, size_t count, MPI_Datatype type, uint32_t from, int tag) {
    requests_.push_back(MPI_REQUEST_NULL);
    peers_.push_back(from);
    failed_ |= MPI_Irecv(data, static_cast<int>(count), type, static_cast<int>(from), tag, comm_, &requests_.back()) !=
               MPI_SUCCESS;
  }

  void send_to(const void* data, size_t count, MPI_Datatype type, uint32_t to, int tag) {
    requests_.push_back(MPI_REQUEST_NULL);
    peers_.push_back(to);
    failed_ |= MPI_Isend(data, static_cast<int>(count), type, static_cast<int>(to), tag, comm_, &requests_.back()) !=
               MPI_SUCCESS;
  }

  Status finish(const char* what) {
    Patience patience(deadline_, epoch_);
    while (!failed_) {
      int done = 0;
      failed_ =
          MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS;
      if (failed_) break;
      if (done != 0) return {};
      if (!patience.wait()) return patience.error(what, waiting_for());
    }
    return Error{Errc::kPeerLost, std::string(what) + ": MPI reports an error; waiting for " + waiting_for()};
  }

  // The ranks whose requests are still open.
  std::string waiting_for() {
    std::vector<bool> open(size_, false);
    for (size_t i = 0; i < requests_.size(); ++i) {
      int done = 0;
      if (requests_[i] != MPI_REQUEST_NULL) MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE);
      if (requests_[i] != MPI_REQUEST_NULL && done == 0) open[peers_[i]] = true;
    }
    std::string names;
    for (uint32_t r = 0; r < size_; ++r) {
      if (open[r]) names += (names.empty() ? "rank " : ", rank ") + std::to_string(r);
    }
    return names.empty() ? "no rank" : names;
  }

  // Rows as one MPI item each, so that counts stay far below INT_MAX.
  MPI_Datatype item_type(size_t bytes) {
    for (const auto& [size, type] : types_) {
      if (size == bytes) return type;
    }
    MPI_Datatype type = MPI_DATATYPE_NULL;
    MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &type);
    MPI_Type_commit(&type);
    types_.emplace_back(bytes, type);
    return type;
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  uint32_t rank_ = 0;
  uint32_t size_ = 1;
  std::chrono::milliseconds deadline_;
  Epoch epoch_;
  bool failed_ = false;
  std::vector<MPI_Request> requests_;
  std::vector<uint32_t> peers_;  // of each request
  std::vector<std::pair<size_t, MPI_Datatype>> types_;
};

class MpiExchanges final : public ExchangeMaker {
 public:
  explicit MpiExchanges(uint32_t deadline_ms) : deadline_ms_(deadline_ms) {}
  uint16_t port() const override { return 0; }
  Result<std::unique_ptr<Exchange>> make(const std::vector<TcpMember>&, uint32_t, const ExchangeShape& shape,
                                         kernels::ThreadPool&, Epoch epoch) override {
    return make_message_exchange(make_mpi_transport(deadline_ms_, epoch), shape);
  }

 private:
  const uint32_t deadline_ms_;
};

}  // namespace

std::unique_ptr<Transport> make_mpi_transport(uint32_t deadline_ms, Epoch epoch) {
  return std::make_unique<MpiTransport>(deadline_ms, epoch);
}

std::unique_ptr<ExchangeMaker> make_mpi_exchanges(uint32_t deadline_ms) {
  return std::make_unique<MpiExchanges>(deadline_ms);
}

MpiWorld mpi_init() {
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return {static_cast<uint32_t>(rank), static_cast<uint32_t>(size)};
}

void mpi_finalize() { MPI_Finalize(); }

void mpi_abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace switchyard::worker
