// The CUDA backend's op table.
#pragma once

#include "kernels/api/ops.h"

namespace switchyard::kernels::cuda {

extern const OpTable kTable;

}  // namespace switchyard::kernels::cuda
