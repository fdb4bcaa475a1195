// The op table of one instruction set. The including file has named SWITCHYARD_SIMD and SWITCHYARD_TABLE and included
// its simd_*.h.

namespace switchyard::kernels::cpu {

const OpTable SWITCHYARD_TABLE = {
    .name = SWITCHYARD_TABLE_NAME,
    .allocate = allocate,
    .release = release,
    .finish = finish,
    .is_host = true,
    .packed_bytes = SWITCHYARD_SIMD::packed_bytes,
    .pack_rows = SWITCHYARD_SIMD::pack_rows,
    .pack_row_unit = SWITCHYARD_SIMD::pack_row_unit,
    .encoded_row_bytes = SWITCHYARD_SIMD::encoded_row_bytes,
    .encode_rows = SWITCHYARD_SIMD::encode_rows,
    .gemm = SWITCHYARD_SIMD::gemm,
    .gemm_heads = SWITCHYARD_SIMD::gemm_heads,
    .grouped_mlp = SWITCHYARD_SIMD::grouped_mlp,
    .rms_norm = SWITCHYARD_SIMD::rms_norm,
    .add = SWITCHYARD_SIMD::add,
    .add_gated = SWITCHYARD_SIMD::add_gated,
    .rope = SWITCHYARD_SIMD::rope,
    .copy = copy,
    .embed = SWITCHYARD_SIMD::embed,
    .route = route,
    .combine = SWITCHYARD_SIMD::combine,
    .kv_block_bytes = SWITCHYARD_SIMD::kv_block_bytes,
    .kv_write = SWITCHYARD_SIMD::kv_write,
    .attention = SWITCHYARD_SIMD::attention,
};

}  // namespace switchyard::kernels::cpu
