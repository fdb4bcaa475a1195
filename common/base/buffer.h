// A 64-byte aligned array that grows and never shrinks. Growing drops the contents.
#pragma once

#include <cstddef>
#include <cstdlib>

#include "common/base/out_of_memory.h"

namespace switchyard {

template <typename T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t count) { reserve(count); }
  ~AlignedBuffer() { std::free(data_); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  AlignedBuffer(AlignedBuffer&& other) noexcept : data_(other.data_), capacity_(other.capacity_) {
    other.data_ = nullptr;
    other.capacity_ = 0;
  }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    if (this != &other) {
      std::free(data_);
      data_ = other.data_;
      capacity_ = other.capacity_;
      other.data_ = nullptr;
      other.capacity_ = 0;
    }
    return *this;
  }

  // Room for count items; contents are lost when it has to grow. Grows by half at least, so that steady growth is
  // cheap.
  T* reserve(size_t count) {
    if (count > capacity_) {
      const size_t wanted = count > capacity_ + capacity_ / 2 ? count : capacity_ + capacity_ / 2;
      const size_t bytes = (wanted * sizeof(T) + 63) / 64 * 64;
      std::free(data_);
      data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
      if (data_ == nullptr) out_of_memory(bytes);
      capacity_ = wanted;
    }
    return data_;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t capacity() const { return capacity_; }

 private:
  T* data_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace switchyard
