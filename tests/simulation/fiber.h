// A function with a stack of its own, which can stop in the middle and go on later: blocking code in a simulation of
// one thread.
//
// Thread: one, for all of them.
#pragma once

#include <functional>
#include <memory>

namespace switchyard::simulation {

class Fiber {
 public:
  explicit Fiber(std::function<void()> body);
  ~Fiber();  // ends it first
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // From outside: goes on with the function until it stops again, or is done.
  void resume();
  // From outside: the function ends where it stands, and what it holds is destroyed.
  void end();
  bool done() const { return done_; }

  // From inside: back to resume().
  static void suspend();
  // The one that runs; null outside of all.
  static Fiber* running();

 private:
  struct Ended {};  // thrown through the function
  static void enter();
  void run();

  const std::function<void()> body_;
  char* memory_ = nullptr;
  void* inside_ = nullptr;  // stack pointers
  void* outside_ = nullptr;
  bool ending_ = false;
  bool done_ = false;
};

}  // namespace switchyard::simulation
