// The sequences that a frontend has with ranks, and what it takes to begin one again elsewhere: the request as it was
// sent, and the tokens since. A rank computes the same bits for both together as the lost one did for the tokens one by
// one, so that a client sees a pause and no other difference.
//
// Memory: 4 bytes a token of prompt and answer, for as long as the sequence runs.
//
// Thread: one at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/wire/switchyard.pb.h"
#include "frontend/http/http.h"

namespace switchyard::frontend {

class Sequences {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using OnOutput = std::function<void(wire::Output&)>;

  struct Sequence {
    Reactor* reactor = nullptr;  // null: there is no such sequence
    std::shared_ptr<OnOutput> on_output;
    std::shared_ptr<const wire::Frame> frame;  // its Generate, as it was first sent
    std::vector<int32_t> generated;            // since
    std::optional<uint32_t> rank;              // that it was sent to last
    bool waits = true;                         // for a rank
    std::optional<Time> stalled_at;            // when it came, or was lost; until a rank has sent something since
    uint32_t replays = 0;
    bool has_begun = false;  // a rank has sent something
    std::string refusal;     // a rank's last words on it

    std::span<const int32_t> prompt() const;
    // What a rank is to be sent now.
    std::shared_ptr<const wire::Frame> next_frame() const;
  };

  // Takes a request in; it waits for a rank. Fills in its request_id, which is the sequence's id here.
  uint64_t add(wire::Generate request, Reactor& reactor, OnOutput on_output, Time now);
  // The rank works on it now. A second time is a replay.
  void assign(uint64_t id, uint32_t rank);
  // Notes what the rank has sent for the sequence, and takes out of it what the client knows from before.
  void record(Sequence& sequence, wire::Output& output);
  // It needs another rank.
  void set_waiting(uint64_t id, Time now);
  // All that the rank works on pause, and stay with it.
  void stall(uint32_t rank, Time now);
  std::vector<uint64_t> all() const;
  // Those that the rank works on.
  std::vector<uint64_t> on(uint32_t rank) const;
  // All that the rank works on need another.
  size_t lose(uint32_t rank, Time now);
  Sequence* find(uint64_t id);
  // Forgets it; one without a reactor when there is none.
  Sequence take(uint64_t id);

  // In the order of their arrival.
  const std::set<uint64_t>& waiting() const { return waiting_; }
  // That the rank works on.
  size_t count_on(uint32_t rank) const;
  size_t size() const { return sequences_.size(); }

 private:
  void leave(const Sequence& sequence, uint64_t id);  // waiting_ or counts_

  uint64_t next_id_ = 0;
  std::unordered_map<uint64_t, Sequence> sequences_;
  std::set<uint64_t> waiting_;
  std::map<uint32_t, size_t> counts_;  // of those that do not wait
};

}  // namespace switchyard::frontend
