// A place among the requests that may be in the works at once; given back when the last owner goes. Thread: any.
#pragma once

#include <atomic>
#include <cstdint>

namespace switchyard::http {

class Admission {
 public:
  explicit Admission(std::atomic<uint32_t>& count) : count_(count) {}
  ~Admission() { --count_; }
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

 private:
  std::atomic<uint32_t>& count_;
};

}  // namespace switchyard::http
