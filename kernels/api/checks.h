// The argument checks that all tables share: a wrong argument is a bug and aborts. Compiled once, outside every
// instruction set's file.
#pragma once

#include "kernels/api/ops.h"

namespace switchyard::kernels {

void check_matrix(const PackedMatrix& w);
// ids of embed: rows of the matrix.
void check_row(const PackedMatrix& w, int32_t row);
// Rows [row_begin, row_end) of n are a valid range for pack_rows with this unit.
void check_pack_range(uint32_t n, uint32_t row_begin, uint32_t row_end, uint32_t unit);
// Gate, up and down fit together.
void check_mlp(const MlpWeights& mlp);
void check_router(const RouterSpec& spec);
void check_rope(const RopeSpec& spec, uint32_t head_dim);
void check_kv(const KvLayout& layout);
void check_attention(const KvLayout& layout, const AttentionSpec& spec);

}  // namespace switchyard::kernels
