#include "kernels/cuda/table.h"
#include "tests/unit/kernels/support.h"

namespace switchyard::kernels {

std::vector<const OpTable*> all_tables() {
  const BackendList list = cpu_backends();
  std::vector<const OpTable*> tables(list.tables, list.tables + list.count);
  tables.push_back(&cuda::kTable);
  return tables;
}

}  // namespace switchyard::kernels
