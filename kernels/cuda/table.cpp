#include "kernels/cuda/table.h"

#include "kernels/cuda/ops.h"
#include "kernels/cuda/runtime.h"

namespace switchyard::kernels::cuda {

const OpTable kTable = {
    .name = "cuda",
    .allocate = allocate,
    .release = release,
    .finish = finish,
    .is_host = false,
    .packed_bytes = packed_bytes,
    .pack_rows = pack_rows,
    .pack_row_unit = pack_row_unit,
    .encoded_row_bytes = encoded_row_bytes,
    .encode_rows = encode_rows,
    .gemm = gemm,
    .gemm_heads = gemm_heads,
    .grouped_mlp = grouped_mlp,
    .rms_norm = rms_norm,
    .add = add,
    .add_gated = add_gated,
    .rope = rope,
    .copy = copy,
    .embed = embed,
    .route = route,
    .combine = combine,
    .kv_block_bytes = kv_block_bytes,
    .kv_write = kv_write,
    .attention = attention,
};

}  // namespace switchyard::kernels::cuda
