// An array in an op table's memory that grows and never shrinks. Growing drops the contents.
#pragma once

#include <cstddef>
#include <utility>

#include "common/base/out_of_memory.h"
#include "kernels/api/ops.h"

namespace switchyard::worker {

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(const kernels::OpTable& ops) : ops_(ops) {}
  ~DeviceArray() { release(); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  // Room for count items, one at least; by half more when it has to grow, so that steady growth is cheap.
  T* reserve(size_t count) {
    if (count > capacity_ || data_ == nullptr) {
      release();
      const size_t more = capacity_ + capacity_ / 2;
      capacity_ = count > more ? count : more;
      if (capacity_ == 0) capacity_ = 1;
      data_ = static_cast<T*>(ops_.allocate(capacity_ * sizeof(T)));
      if (data_ == nullptr) out_of_memory(capacity_ * sizeof(T));
    }
    return data_;
  }

  T* data() { return data_; }

 private:
  void release() {
    if (data_ != nullptr) ops_.release(data_, capacity_ * sizeof(T));
    data_ = nullptr;
  }

  const kernels::OpTable& ops_;
  T* data_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace switchyard::worker
