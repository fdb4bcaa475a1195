#include "kernels/cpu/units.h"

#include <atomic>

#include "kernels/api/thread_pool.h"

namespace switchyard::kernels::cpu {

void for_units(ThreadPool& pool, size_t units, size_t chunk, UnitWork work, void* context) {
  if (units == 0) return;
  if (units <= chunk || pool.size() == 1) {
    work(context, 0, 0, units);
    return;
  }
  struct Shared {
    std::atomic<size_t> next{0};
    size_t units;
    size_t chunk;
    UnitWork work;
    void* context;
  } shared{{0}, units, chunk, work, context};
  pool.run(
      [](void* p, uint32_t member) {
        auto& s = *static_cast<Shared*>(p);
        for (;;) {
          const size_t begin = s.next.fetch_add(s.chunk, std::memory_order_relaxed);
          if (begin >= s.units) return;
          s.work(s.context, member, begin, begin + s.chunk < s.units ? begin + s.chunk : s.units);
        }
      },
      &shared);
}

}  // namespace switchyard::kernels::cpu
