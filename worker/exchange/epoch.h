// The time in which a group has the same members and the same placement. When one of the two changes, the next epoch
// begins, and whatever a rank waits for in the old one will not come.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "common/base/result.h"

namespace switchyard::worker {

struct Epoch {
  uint64_t number = 0;
  const std::atomic<uint64_t>* latest = nullptr;  // that this rank has heard of; null: there will be no other
  // A digest of its members and placement: should a coordinator that has begun anew give a number twice, the two do not
  // meet.
  uint64_t contents = 0;

  // Any thread.
  bool over() const { return latest != nullptr && latest->load(std::memory_order_acquire) > number; }
  // What a wait that it ends returns: kUnavailable.
  Error end() const { return {Errc::kUnavailable, "epoch " + std::to_string(number) + " is over"}; }
};

}  // namespace switchyard::worker
