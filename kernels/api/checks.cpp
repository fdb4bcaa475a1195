#include "kernels/api/checks.h"

#include "common/base/result.h"

namespace switchyard::kernels {

void check_matrix(const PackedMatrix& w) {
  SWITCHYARD_CHECK(w.n > 0 && w.k > 0 && w.data != nullptr);
  SWITCHYARD_CHECK(reinterpret_cast<uintptr_t>(w.data) % 64 == 0);
  // Sums of 127 x 127, and 128 x 127 with the packed weights' offset, stay within 32 bits.
  SWITCHYARD_CHECK(w.form != WeightForm::kInt8 || w.k <= 131072);
}

void check_row(const PackedMatrix& w, int32_t row) { SWITCHYARD_CHECK(row >= 0 && static_cast<uint32_t>(row) < w.n); }

void check_pack_range(uint32_t n, uint32_t row_begin, uint32_t row_end, uint32_t unit) {
  SWITCHYARD_CHECK(row_begin % unit == 0 && row_begin <= row_end && row_end <= n);
}

void check_mlp(const MlpWeights& mlp) {
  check_matrix(mlp.gate);
  check_matrix(mlp.up);
  check_matrix(mlp.down);
  SWITCHYARD_CHECK(mlp.gate.n == mlp.up.n && mlp.gate.k == mlp.up.k && mlp.gate.form == mlp.up.form);
  SWITCHYARD_CHECK(mlp.down.k == mlp.gate.n);
}

void check_rope(const RopeSpec& spec, uint32_t head_dim) {
  SWITCHYARD_CHECK(spec.rotary_dim % 2 == 0 && spec.offset + spec.rotary_dim <= head_dim);
}

void check_kv(const KvLayout& layout) {
  SWITCHYARD_CHECK(layout.kv_head_count > 0 && layout.k_dim > 0 && layout.v_dim > 0 && layout.block_tokens > 0);
  SWITCHYARD_CHECK(!layout.v_is_k_prefix || layout.v_dim <= layout.k_dim);
}

void check_attention(const KvLayout& layout, const AttentionSpec& spec) {
  check_kv(layout);
  SWITCHYARD_CHECK(spec.head_count > 0 && spec.head_count % layout.kv_head_count == 0);
}

void check_router(const RouterSpec& spec) {
  SWITCHYARD_CHECK(spec.top_k > 0 && spec.top_k <= spec.expert_count);
  if (spec.group_count <= 1) return;
  SWITCHYARD_CHECK(spec.expert_count % spec.group_count == 0);
  SWITCHYARD_CHECK(spec.group_top_k > 0 && spec.group_top_k <= spec.group_count);
  SWITCHYARD_CHECK(spec.group_top_k * (spec.expert_count / spec.group_count) >= spec.top_k);
}

}  // namespace switchyard::kernels
