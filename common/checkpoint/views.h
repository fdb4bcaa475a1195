// TensorViews over mapped files: one function per way in which a matrix lies on disk.
//
// The arguments are checked by the caller (tensor_source.h); a view reads only the bytes of the rows it is asked for,
// prefetches them, and hands the mapped pages back when done, so that loading does not count as memory of the process.
#pragma once

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/safetensors.h"

namespace switchyard::checkpoint {

// Row r of the view is `columns` contiguous elements from element first + r * row_stride of a BF16, F16 or F32 tensor.
TensorView rows_view(const TensorEntry& tensor, uint32_t rows, uint32_t columns, uint64_t first, uint64_t row_stride);
// Vector whose element i is element first + i * stride.
TensorView strided_vector_view(const TensorEntry& tensor, uint32_t count, uint64_t first, uint64_t stride);
// Element (r, c) of the view is element first + c * column_stride + r * row_stride; row_stride is small (1, or 2 when
// interleaved). Column blocks are decoded and turned over in cache; cost is linear in the elements asked for when at
// least ~32 rows are read at once.
TensorView transposed_view(const TensorEntry& tensor, uint32_t rows, uint32_t columns, uint64_t first,
                           uint64_t row_stride, uint64_t column_stride);
// F8_E4M3 (rows, columns) times the factor of its block: scales (ceil(rows / block_rows), ceil(columns /
// block_columns)).
TensorView f8_block_view(const TensorEntry& tensor, const TensorEntry& scales, uint32_t rows, uint32_t columns,
                         uint32_t block_rows, uint32_t block_columns);
// MXFP4: row r of the view is row first_row + r * row_stride of the flattened (rows of all experts, columns / 32, 16)
// blocks.
TensorView mxfp4_view(const TensorEntry& blocks, const TensorEntry& scales, uint32_t rows, uint32_t columns,
                      uint64_t first_row, uint64_t row_stride);

}  // namespace switchyard::checkpoint
