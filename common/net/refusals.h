// Connections that a port refused: counted by reason, and logged without a stranger deciding how much.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "common/base/clock.h"

namespace switchyard::net {

enum class Refusal {
  kBadProof,       // does not know the secret, or shows no certificate that is trusted
  kBadVersion,     // of the protocol
  kNotAHandshake,  // bytes that are none, or not the message whose turn it is
  kOversized,      // a message beyond its limit
  kTruncated,      // closed in the middle of it
  kTimeout,        // silent until the deadline
  kHalfOpenLimit,  // dropped for newer ones
  kRole,           // who knows the secret, and asks for what its role has no business with
};
inline constexpr std::array<const char*, 8> kRefusalNames = {"bad_proof", "bad_version", "not_a_handshake", "oversized",
                                                             "truncated", "timeout",     "half_open_limit", "role"};

// Of one process, for all its ports. Thread: any.
class Refusals {
 public:
  using Counts = std::array<uint64_t, kRefusalNames.size()>;

  // Counts it, and logs `cause` ("127.0.0.1:41234: ...") unless there were 10 lines within this second: then a later
  // line says how many there were.
  void add(Refusal refusal, const std::string& cause);
  Counts counts() const;

 private:
  static constexpr uint64_t kLinesMax = 10;
  static constexpr std::chrono::seconds kWindow{1};

  std::array<std::atomic<uint64_t>, kRefusalNames.size()> counts_{};
  std::mutex mutex_;  // guards what follows
  Time window_begin_{};
  uint64_t in_window_ = 0;
  uint64_t unlogged_ = 0;
};

}  // namespace switchyard::net
