// Work shared out in units while it runs: threads take the next few as they finish, so that a thread that is slow,
// because its units are heavy or because the machine is shared, does not hold up the rest. Which member does a unit
// never changes its result.
#pragma once

#include <cstddef>
#include <cstdint>

namespace switchyard::kernels {
class ThreadPool;
}

namespace switchyard::kernels::cpu {

// work(context, member, begin, end) for parts [begin, end) of [0, units), `chunk` units at most a part.
using UnitWork = void (*)(void* context, uint32_t member, size_t begin, size_t end);
void for_units(ThreadPool& pool, size_t units, size_t chunk, UnitWork work, void* context);

// The same for a callable body(member, begin, end).
template <typename Body>
void for_each_unit(ThreadPool& pool, size_t units, size_t chunk, const Body& body) {
  for_units(
      pool, units, chunk,
      [](void* context, uint32_t member, size_t begin, size_t end) {
        (*static_cast<const Body*>(context))(member, begin, end);
      },
      const_cast<Body*>(&body));
}

}  // namespace switchyard::kernels::cpu
