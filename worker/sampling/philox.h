// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011, section 3.3.
//
// Thread: any. A pure function: no state to replay or to share.
#pragma once

#include <array>
#include <cstdint>

namespace switchyard::worker {

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

}  // namespace switchyard::worker
