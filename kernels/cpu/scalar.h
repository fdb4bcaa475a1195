// What the CPU's tables share beside kernels/api/numbers.h.
#pragma once

#include <type_traits>

#include "kernels/api/numbers.h"

namespace switchyard::kernels::cpu {

// body(T*) with the element type of a cache.
template <typename Body>
[[maybe_unused]] static inline void with_elements(KvType type, Body body) {
  switch (type) {
    case KvType::kFloat32: body(static_cast<float*>(nullptr)); break;
    case KvType::kBfloat16: body(static_cast<uint16_t*>(nullptr)); break;
    case KvType::kInt8: body(static_cast<int8_t*>(nullptr));
  }
}

}  // namespace switchyard::kernels::cpu
