// The tables under test in the GPU's binaries: CUDA's alone, each op waiting until it is done, as the tests read what
// it wrote.
#include <cstdio>
#include <cstdlib>

#include "kernels/api/device.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/table.h"
#include "tests/unit/kernels/support.h"

namespace switchyard::kernels {
namespace {

template <auto kOp>
struct Finished;
template <typename... Arguments, void (*kOp)(Arguments...)>
struct Finished<kOp> {
  static void call(Arguments... arguments) {
    kOp(arguments...);
    cuda::finish();
  }
};

OpTable finished() {
  OpTable table = cuda::kTable;
  table.encode_rows = Finished<cuda::encode_rows>::call;
  table.gemm = Finished<cuda::gemm>::call;
  table.gemm_heads = Finished<cuda::gemm_heads>::call;
  table.grouped_mlp = Finished<cuda::grouped_mlp>::call;
  table.rms_norm = Finished<cuda::rms_norm>::call;
  table.add = Finished<cuda::add>::call;
  table.add_gated = Finished<cuda::add_gated>::call;
  table.rope = Finished<cuda::rope>::call;
  table.copy = Finished<cuda::copy>::call;
  table.embed = Finished<cuda::embed>::call;
  table.combine = Finished<cuda::combine>::call;
  table.kv_write = Finished<cuda::kv_write>::call;
  table.attention = Finished<cuda::attention>::call;
  return table;
}

}  // namespace

// Without a GPU there is nothing to test, and that is a failure.
std::vector<const OpTable*> all_tables() {
  static const OpTable table = [] {
    const auto device = cuda_backend(0);
    if (!device.ok()) {
      std::fprintf(stderr, "%s\n", device.error().message.c_str());
      std::exit(1);
    }
    return finished();
  }();
  return {&table};
}

}  // namespace switchyard::kernels
