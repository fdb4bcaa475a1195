// What one core could multiply if memory were no matter: independent sums in registers, the widest instruction that the
// processor has for a form.
#pragma once

#include <cstdint>

#include "kernels/api/ops.h"

namespace switchyard::kernels {

// Operations (a multiply and an add are two) of one call, on the calling thread.
uint64_t peak_operations(WeightForm form);

}  // namespace switchyard::kernels
