#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "common/base/buffer.h"
#include "worker/exchange/transport_exchange.h"

namespace switchyard::worker {
namespace {

class MessageExchange final : public TransportExchange {
 public:
  MessageExchange(std::unique_ptr<Transport> transport, const ExchangeShape& shape)
      : TransportExchange(std::move(transport), shape) {}

  const char* name() const override { return transport_->name(); }

  Result<ReceivedRows> dispatch(const LayerPlacement& placement, const void* rows, uint32_t row_count,
                                const int32_t* experts) override {
    const Timed timed(stats_.dispatch_seconds);
    const size_t row_bytes = shape_.row_bytes;
    order_rows(placement, static_cast<const std::byte*>(rows), row_count, experts);

    const uint32_t ranks = size();
    const auto slots = static_cast<uint32_t>(placement.experts[rank()].size());
    slot_offsets_.assign(slots + 1, 0);
    SWITCHYARD_TRY(exchange_counts(placement, slots));

    received_count_ = recv_offsets_[ranks];
    std::byte* arrived = arrived_.reserve(received_count_ * row_bytes);
    SWITCHYARD_TRY(
        transport_->all_to_all(sent_.data(), send_offsets_.data(), arrived, recv_offsets_.data(), row_bytes));
    stats_.bytes_sent +=
        (uint64_t{send_offsets_[ranks]} - (send_offsets_[rank() + 1] - send_offsets_[rank()])) * row_bytes;

    // Arrived: (source, slot, row). Laid out: (slot, source, row).
    std::byte* laid_out = laid_out_.reserve(received_count_ * row_bytes);
    uint32_t at = 0;
    runs_.clear();
    for (uint32_t slot = 0; slot < slots; ++slot) {
      slot_offsets_[slot] = at;
      for (uint32_t source = 0; source < ranks; ++source) {
        const uint32_t count = received_counts_[source * slots + slot];
        if (count == 0) continue;
        runs_.push_back({next_from_[source], at, count});
        std::memcpy(laid_out + at * row_bytes, arrived + next_from_[source] * row_bytes, count * row_bytes);
        next_from_[source] += count;
        at += count;
      }
    }
    slot_offsets_[slots] = at;
    float* answers = answers_.reserve(std::max<size_t>(size_t{received_count_} * shape_.width, 16));
    return ReceivedRows{laid_out, slot_offsets_, received_count_, answers};
  }

  Result<const float* const*> combine() override {
    const Timed timed(stats_.combine_seconds);
    const size_t width = shape_.width;
    float* leaving = leaving_.reserve(std::max<size_t>(received_count_ * width, 16));
    for (const Run& run : runs_) {
      std::memcpy(leaving + run.arrived * width, answers_.data() + run.laid_out * width,
                  run.count * width * sizeof(float));
    }
    float* home = home_.reserve(std::max<size_t>(send_offsets_[size()] * width, 16));
    SWITCHYARD_TRY(
        transport_->all_to_all(leaving, recv_offsets_.data(), home, send_offsets_.data(), width * sizeof(float)));
    stats_.bytes_sent +=
        (uint64_t{received_count_} - (recv_offsets_[rank() + 1] - recv_offsets_[rank()])) * width * sizeof(float);
    home_pointers_.resize(home_index_.size());
    for (size_t i = 0; i < home_index_.size(); ++i) home_pointers_[i] = home + home_index_[i] * width;
    return home_pointers_.data();
  }

 private:
  // A run of rows of one slot from one source, before and after laying out.
  struct Run {
    uint32_t arrived;
    uint32_t laid_out;
    uint32_t count;
  };

  // Copies this rank's rows, once a choice, into the order (destination rank, slot, row).
  void order_rows(const LayerPlacement& placement, const std::byte* rows, uint32_t row_count, const int32_t* experts) {
    const auto expert_count = static_cast<uint32_t>(placement.rank_of_expert.size());
    const uint32_t top_k = shape_.top_k;
    const size_t row_bytes = shape_.row_bytes;
    const uint32_t choices = row_count * top_k;
    count_of_expert_.assign(expert_count, 0);
    for (uint32_t i = 0; i < choices; ++i) ++count_of_expert_[static_cast<uint32_t>(experts[i])];

    send_offsets_.assign(size() + 1, 0);
    counts_.clear();
    next_of_expert_.resize(expert_count);
    uint32_t at = 0;
    for (uint32_t r = 0; r < size(); ++r) {
      send_offsets_[r] = at;
      for (const uint32_t expert : placement.experts[r]) {
        next_of_expert_[expert] = at;
        counts_.push_back(count_of_expert_[expert]);
        at += count_of_expert_[expert];
      }
    }
    send_offsets_[size()] = at;
    SWITCHYARD_CHECK(at == choices);

    home_index_.resize(choices);
    std::byte* sent = sent_.reserve(choices * row_bytes);
    for (uint32_t row = 0; row < row_count; ++row) {
      for (uint32_t j = 0; j < top_k; ++j) {
        const uint32_t position = next_of_expert_[static_cast<uint32_t>(experts[row * top_k + j])]++;
        home_index_[row * top_k + j] = position;
        std::memcpy(sent + position * row_bytes, rows + row * row_bytes, row_bytes);
      }
    }
  }

  // Tells every rank how many rows its slots get from here.
  Status exchange_counts(const LayerPlacement& placement, uint32_t slots) {
    const uint32_t ranks = size();
    count_send_offsets_.assign(ranks + 1, 0);
    count_recv_offsets_.assign(ranks + 1, 0);
    for (uint32_t r = 0; r < ranks; ++r) {
      count_send_offsets_[r + 1] = count_send_offsets_[r] + static_cast<uint32_t>(placement.experts[r].size());
      count_recv_offsets_[r + 1] = count_recv_offsets_[r] + slots;
    }
    received_counts_.resize(size_t{ranks} * slots);
    SWITCHYARD_TRY(transport_->all_to_all(counts_.data(), count_send_offsets_.data(), received_counts_.data(),
                                          count_recv_offsets_.data(), sizeof(uint32_t)));
    recv_offsets_.assign(ranks + 1, 0);
    next_from_.resize(ranks);
    for (uint32_t source = 0; source < ranks; ++source) {
      uint32_t total = 0;
      for (uint32_t slot = 0; slot < slots; ++slot) total += received_counts_[source * slots + slot];
      recv_offsets_[source + 1] = recv_offsets_[source] + total;
      next_from_[source] = recv_offsets_[source];
    }
    return {};
  }

  std::vector<uint32_t> count_of_expert_, next_of_expert_;
  std::vector<uint32_t> counts_;                       // (all slots in (rank, slot) order)
  std::vector<uint32_t> send_offsets_, recv_offsets_;  // (ranks + 1) rows
  std::vector<uint32_t> count_send_offsets_, count_recv_offsets_;
  std::vector<uint32_t> received_counts_;  // (ranks, slots)
  std::vector<uint32_t> next_from_;        // (ranks)
  std::vector<uint32_t> slot_offsets_;
  std::vector<uint32_t> home_index_;
  std::vector<Run> runs_;
  AlignedBuffer<std::byte> sent_, arrived_, laid_out_;
  AlignedBuffer<float> answers_, leaving_, home_;
  std::vector<const float*> home_pointers_;
  uint32_t received_count_ = 0;
};

}  // namespace

std::unique_ptr<Exchange> make_message_exchange(std::unique_ptr<Transport> transport, const ExchangeShape& shape) {
  return std::make_unique<MessageExchange>(std::move(transport), shape);
}

}  // namespace switchyard::worker
