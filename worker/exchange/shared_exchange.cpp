#include "worker/exchange/shared_exchange.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

#include "common/base/buffer.h"
#include "worker/exchange/patience.h"
#include "worker/exchange/transport_exchange.h"

namespace switchyard::worker {
namespace {

// The head of a region. Layers are counted from 1. Rows of a layer stay until all ranks have written their answers, and
// answers until all ranks have said their next rows: so neither is written over while another reads it. Notes of a
// gathering stay until all have come to the next one, so two of them are enough.
struct Head {
  static constexpr size_t kNoteBytes = 256;

  alignas(64) std::atomic<uint64_t> rows_ready{0};
  alignas(64) std::atomic<uint64_t> answers_ready{0};
  alignas(64) std::atomic<uint64_t> notes_ready{0};
  std::array<std::array<std::byte, kNoteBytes>, 2> notes;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

constexpr size_t kGatherBytes = 64U << 10;  // worth waking another thread for

class SharedExchange final : public TransportExchange {
 public:
  SharedExchange(std::unique_ptr<Transport> transport, SharedMemory memory, const ExchangeShape& shape,
                 kernels::ThreadPool& pool, uint32_t deadline_ms, Epoch epoch)
      : TransportExchange(std::move(transport), shape),
        memory_(std::move(memory)),
        pool_(pool),
        deadline_(deadline_ms),
        epoch_(epoch) {
    const SharedLayout layout(shape, size());
    SWITCHYARD_CHECK(memory_.regions.size() == size() && memory_.bytes >= layout.bytes);
    for (std::byte* region : memory_.regions) {
      peers_.push_back({std::launder(reinterpret_cast<Head*>(region)),
                        reinterpret_cast<uint32_t*>(region + layout.expert_offsets),
                        reinterpret_cast<uint32_t*>(region + layout.rows_of_expert), region + layout.rows,
                        reinterpret_cast<float*>(region + layout.answers)});
    }
    index_.resize(size_t{shape.rows_max} * shape.top_k);
    home_.resize(index_.size());
    expert_bases_.resize(shape.experts);
    expert_ends_.resize(shape.experts);
  }

  const char* name() const override { return size() == 1 ? "local" : "shared memory"; }

  Result<ReceivedRows> dispatch(const LayerPlacement& placement, const void* rows, uint32_t row_count,
                                const int32_t* experts) override {
    const Timed timed(stats_.dispatch_seconds);
    SWITCHYARD_CHECK(row_count <= shape_.rows_max);
    ++layer_;
    placement_ = &placement;
    experts_ = experts;
    row_count_ = row_count;
    order_rows();
    if (size() > 1) {
      // One message: order and rows together.
      std::byte* shared = peers_[rank()].rows;
      pool_.parallel_for(size_t{row_count} * shape_.row_bytes, kGatherBytes, [&](size_t begin, size_t end) {
        std::memcpy(shared + begin, static_cast<const std::byte*>(rows) + begin, end - begin);
      });
      SWITCHYARD_TRY(meet(&Head::rows_ready, layer_, "dispatch"));
    }
    plan();
    std::byte* gathered = gathered_.reserve(std::max<size_t>(received_count_ * shape_.row_bytes, 64));
    pool_.parallel_for(
        received_count_, std::max<size_t>(1, kGatherBytes / shape_.row_bytes),
        [&](size_t begin, size_t end) { gather(static_cast<const std::byte*>(rows), begin, end, gathered); });
    return ReceivedRows{gathered, slot_offsets_, received_count_, peers_[rank()].answers};
  }

  Status all_gather(const void* mine, size_t bytes, void* all) override {
    if (size() == 1 || bytes > Head::kNoteBytes) return TransportExchange::all_gather(mine, bytes, all);
    const size_t note = ++gatherings_ % 2;
    std::memcpy(peers_[rank()].head->notes[note].data(), mine, bytes);
    SWITCHYARD_TRY(meet(&Head::notes_ready, gatherings_, "step agreement"));
    for (uint32_t r = 0; r < size(); ++r)
      std::memcpy(static_cast<std::byte*>(all) + r * bytes, peers_[r].head->notes[note].data(), bytes);
    return {};
  }

  Result<const float* const*> combine() override {
    const Timed timed(stats_.combine_seconds);
    if (size() > 1) SWITCHYARD_TRY(meet(&Head::answers_ready, layer_, "combine"));
    const size_t choices = size_t{row_count_} * shape_.top_k;
    for (size_t i = 0; i < choices; ++i) {
      const auto expert = static_cast<uint32_t>(experts_[i]);
      home_[i] = peers_[placement_->rank_of_expert[expert]].answers +
                 (size_t{expert_bases_[expert]} + index_[i]) * shape_.width;
    }
    return home_.data();
  }

 private:
  // A rank's region.
  struct Peer {
    Head* head;
    uint32_t* expert_offsets;
    uint32_t* rows_of_expert;
    std::byte* rows;
    float* answers;
  };
  // Received rows of one slot from one source: they begin at `at`, and come from these of its rows.
  struct Run {
    uint32_t at;
    uint32_t source;
    const uint32_t* rows;
  };

  // Sorts this rank's rows by expert, in the shared memory.
  void order_rows() {
    const Peer& mine = peers_[rank()];
    const size_t choices = size_t{row_count_} * shape_.top_k;
    std::fill(expert_ends_.begin(), expert_ends_.end(), 0);
    for (size_t i = 0; i < choices; ++i) index_[i] = expert_ends_[static_cast<uint32_t>(experts_[i])]++;
    uint32_t at = 0;
    for (uint32_t e = 0; e < shape_.experts; ++e) {
      mine.expert_offsets[e] = at;
      at += expert_ends_[e];
    }
    mine.expert_offsets[shape_.experts] = at;
    for (uint32_t row = 0; row < row_count_; ++row) {
      for (size_t i = size_t{row} * shape_.top_k; i < (size_t{row} + 1) * shape_.top_k; ++i)
        mine.rows_of_expert[mine.expert_offsets[static_cast<uint32_t>(experts_[i])] + index_[i]] = row;
    }
  }

  // Says that this rank's part of the `count`-th time is there, and waits for the others'.
  Status meet(std::atomic<uint64_t> Head::*ready, uint64_t count, const char* what) {
    (peers_[rank()].head->*ready).store(count, std::memory_order_release);
    Patience patience(deadline_, epoch_);
    for (uint32_t r = 0; r < size(); ++r) {
      while ((peers_[r].head->*ready).load(std::memory_order_acquire) < count) {
        if (!patience.wait()) return patience.error(what, "rank " + std::to_string(r));
      }
    }
    return {};
  }

  // From every rank's order: where this rank's received rows begin, and where the answers to its own rows will lie.
  void plan() {
    const uint32_t me = rank();
    for (uint32_t r = 0; r < size(); ++r) {
      const auto& hosted = placement_->experts[r];
      if (r == me) {
        slot_offsets_.assign(hosted.size() + 1, 0);
        runs_.clear();
      }
      uint32_t at = 0;
      for (size_t slot = 0; slot < hosted.size(); ++slot) {
        const uint32_t expert = hosted[slot];
        for (uint32_t source = 0; source < size(); ++source) {
          const uint32_t* offsets = peers_[source].expert_offsets;
          const uint32_t count = offsets[expert + 1] - offsets[expert];
          if (source == me) {
            expert_bases_[expert] = at;
            if (r != me) stats_.bytes_sent += count * shape_.row_bytes;
          } else if (r == me) {
            stats_.bytes_sent += uint64_t{count} * shape_.width * sizeof(float);
          }
          if (r == me && count != 0) runs_.push_back({at, source, peers_[source].rows_of_expert + offsets[expert]});
          at += count;
        }
        if (r == me) slot_offsets_[slot + 1] = at;
      }
      if (r == me) received_count_ = at;
    }
  }

  // Received rows [begin, end) to their places. mine: this rank's rows, as they were given.
  void gather(const std::byte* mine, size_t begin, size_t end, std::byte* out) const {
    auto run =
        std::upper_bound(runs_.begin(), runs_.end(), begin, [](size_t at, const Run& r) { return at < r.at; }) - 1;
    for (size_t i = begin; i < end; ++i) {
      if (run + 1 != runs_.end() && i == (run + 1)->at) ++run;
      const std::byte* rows = run->source == rank() ? mine : peers_[run->source].rows;
      std::memcpy(out + i * shape_.row_bytes, rows + run->rows[i - run->at] * shape_.row_bytes, shape_.row_bytes);
    }
  }

  SharedMemory memory_;
  kernels::ThreadPool& pool_;
  const std::chrono::milliseconds deadline_;
  const Epoch epoch_;
  std::vector<Peer> peers_;
  uint64_t layer_ = 0;
  uint64_t gatherings_ = 0;

  // Of the layer under way.
  const LayerPlacement* placement_ = nullptr;
  const int32_t* experts_ = nullptr;
  uint32_t row_count_ = 0;
  uint32_t received_count_ = 0;
  std::vector<uint32_t> index_;         // (rows, top_k): a choice's place among this rank's rows for its expert
  std::vector<uint32_t> expert_ends_;   // (experts): counts while rows are ordered
  std::vector<uint32_t> expert_bases_;  // (experts): where answers to this rank's rows begin, at the expert's rank
  std::vector<uint32_t> slot_offsets_;
  std::vector<Run> runs_;
  std::vector<const float*> home_;
  AlignedBuffer<std::byte> gathered_;
};

}  // namespace

SharedLayout::SharedLayout(const ExchangeShape& shape, uint32_t ranks) {
  const auto place = [&](size_t size) {
    const size_t at = bytes;
    bytes = (at + size + 63) / 64 * 64;
    return at;
  };
  const size_t choices = size_t{shape.rows_max} * shape.top_k;
  place(sizeof(Head));  // new memory is zero, and so are its counters
  expert_offsets = place((size_t{shape.experts} + 1) * sizeof(uint32_t));
  rows_of_expert = place(choices * sizeof(uint32_t));
  rows = place(shape.rows_max * shape.row_bytes);
  answers = place(std::max<size_t>(ranks * choices * shape.width * sizeof(float), 64));
}

std::unique_ptr<Exchange> make_shared_exchange(std::unique_ptr<Transport> transport, SharedMemory memory,
                                               const ExchangeShape& shape, kernels::ThreadPool& pool,
                                               uint32_t deadline_ms, Epoch epoch) {
  return std::make_unique<SharedExchange>(std::move(transport), std::move(memory), shape, pool, deadline_ms, epoch);
}

}  // namespace switchyard::worker
