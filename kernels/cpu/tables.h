// The CPU's op tables, one a file, and the ops that more than one of them takes as they are.
#pragma once

#include "kernels/api/ops.h"

namespace switchyard::kernels::cpu {

extern const OpTable kPlainTable;  // the definition of every op: scalar, readable, slow

// fast_*.cpp: the same sources over each instruction set's vectors. Only for machines that have it.
extern const OpTable kAvx2Table;        // AVX2 and FMA
extern const OpTable kAvx512Table;      // AVX-512 F, BW, DQ, VL
extern const OpTable kAvx512VnniTable;  // and VNNI
extern const OpTable kAvx512Bf16Table;  // and BF16

// router.cpp: scalar in every table. A row costs about a microsecond, and the same code chooses the same experts for
// the same logits whatever the instruction set.
void route(ThreadPool& pool, const RouterSpec& spec, const float* logits, const float* correction_bias, uint32_t rows,
           int32_t* ids, float* weights);

// memory.cpp: on huge pages where the kernel gives them.
void* allocate(size_t bytes);
void release(void* data, size_t bytes);
void finish();

// plain_rows.cpp
void copy(ThreadPool& pool, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows, uint32_t heads,
          uint32_t d, float* y, size_t y_row_stride, size_t y_head_stride);

}  // namespace switchyard::kernels::cpu
