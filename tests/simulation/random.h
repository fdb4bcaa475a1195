// Chance from a seed: the same on every machine, and each user has a stream of its own, so that one more draw here
// changes nothing there. SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
#pragma once

#include <chrono>
#include <cstdint>

namespace switchyard::simulation {

using Duration = std::chrono::nanoseconds;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  // Below `end`, which is not 0. The bias of the remainder is 2^-50 for what is drawn here.
  uint64_t below(uint64_t end) { return next() % end; }
  uint64_t between(uint64_t first, uint64_t last) { return first + below(last - first + 1); }
  Duration between(Duration first, Duration last) {
    return first + Duration(below(static_cast<uint64_t>((last - first).count()) + 1));
  }
  bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability; }
  // A stream of its own.
  Random fork(uint64_t key) { return Random(next() ^ (key * 0xd1342543de82ef95U)); }

 private:
  uint64_t state_;
};

}  // namespace switchyard::simulation
