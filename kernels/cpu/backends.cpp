#include <cstring>

#include "kernels/api/ops.h"
#include "kernels/cpu/plain.h"
#include "kernels/cpu/tables.h"

namespace switchyard::kernels {

namespace cpu {

const OpTable kPlainTable = {
    .name = "cpu-plain",
    .allocate = allocate,
    .release = release,
    .finish = finish,
    .is_host = true,
    .packed_bytes = plain::packed_bytes,
    .pack_rows = plain::pack_rows,
    .pack_row_unit = plain::pack_row_unit,
    .encoded_row_bytes = plain::encoded_row_bytes,
    .encode_rows = plain::encode_rows,
    .gemm = plain::gemm,
    .gemm_heads = plain::gemm_heads,
    .grouped_mlp = plain::grouped_mlp,
    .rms_norm = plain::rms_norm,
    .add = plain::add,
    .add_gated = plain::add_gated,
    .rope = plain::rope,
    .copy = copy,
    .embed = plain::embed,
    .route = route,
    .combine = plain::combine,
    .kv_block_bytes = plain::kv_block_bytes,
    .kv_write = plain::kv_write,
    .attention = plain::attention,
};

}  // namespace cpu

namespace {

struct Tables {
  const OpTable* list[5];
  size_t count = 0;

  Tables() {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
    if (vnni && __builtin_cpu_supports("avx512bf16")) list[count++] = &cpu::kAvx512Bf16Table;
    if (vnni) list[count++] = &cpu::kAvx512VnniTable;
    if (avx512) list[count++] = &cpu::kAvx512Table;
    if (avx2) list[count++] = &cpu::kAvx2Table;
    list[count++] = &cpu::kPlainTable;
  }
};

const Tables& tables() {
  static const Tables found;
  return found;
}

}  // namespace

BackendList cpu_backends() { return {tables().list, tables().count}; }

const OpTable* find_backend(const char* name) {
  const BackendList list = cpu_backends();
  if (name == nullptr || std::strcmp(name, "auto") == 0) return list.tables[0];
  for (size_t i = 0; i < list.count; ++i) {
    if (std::strcmp(list.tables[i]->name, name) == 0) return list.tables[i];
  }
  return nullptr;
}

}  // namespace switchyard::kernels
