// Says whether constraints can be served, by compiling them, on a thread of its own: a hostile one takes some tenths of
// a second, which no reactor has. Verdicts on the constraints asked for last are kept, so that repeats cost nothing.
//
// Thread: check() from any. Bounds: kWaitingMax constraints wait; kKnownMax verdicts are kept, of at most
// kKnownBytesMax together.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "common/base/result.h"
#include "common/structured/constraint.h"
#include "frontend/http/http.h"

namespace switchyard::frontend {

class ConstraintChecker {
 public:
  static constexpr size_t kWaitingMax = 64;
  static constexpr size_t kKnownMax = 1024;
  static constexpr size_t kKnownBytesMax = size_t{16} << 20;
  // The compiler's error, where the constraint cannot be served.
  using Done = std::function<void(const Status& verdict)>;

  ConstraintChecker();
  ~ConstraintChecker();

  // Calls `done` at once where the verdict is known, else later through the responder, unless that is gone by then:
  // what nobody waits for is not compiled. kOverloaded: too many wait; `done` is not called.
  Status check(structured::Constraint constraint, std::weak_ptr<Responder> responder, Done done);

 private:
  struct Waiting {
    structured::Constraint constraint;
    std::weak_ptr<Responder> responder;
    Done done;
  };
  struct Known {
    structured::Constraint constraint;
    Status verdict;
    size_t bytes() const { return constraint.text.size() + (verdict.ok() ? 0 : verdict.error().message.size()); }
  };
  struct Hash {
    size_t operator()(const structured::Constraint* constraint) const;
  };
  struct Equal {
    bool operator()(const structured::Constraint* a, const structured::Constraint* b) const { return *a == *b; }
  };

  void run();
  // Both under the lock.
  std::optional<Status> find(const structured::Constraint& constraint);
  void keep(structured::Constraint constraint, const Status& verdict);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  std::list<Known> known_;  // the last used one in front
  std::unordered_map<const structured::Constraint*, std::list<Known>::iterator, Hash, Equal> places_;  // into known_
  size_t known_bytes_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace switchyard::frontend
