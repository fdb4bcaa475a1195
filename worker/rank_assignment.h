// What the coordinator decided for a rank's group.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/wire/switchyard.pb.h"

namespace switchyard::worker {

struct RankAssignment {
  struct Member {
    uint32_t index = 0;  // in the group
    std::string host;
    uint16_t port = 0;
    uint16_t exchange_port = 0;
  };
  uint64_t epoch = 0;
  std::vector<std::vector<uint32_t>> rank_of_expert;  // (expert layers, experts): indices in the group
  std::vector<Member> members;                        // of the epoch, ascending
};

// first_rank_id, group_size: of the group. kInvalid: a placement that cannot be, and why.
Result<RankAssignment> read_assignment(const wire::Assignment& from, uint32_t first_rank_id, uint32_t group_size);

// Of members and placement (Epoch::contents in worker/exchange/epoch.h).
uint64_t digest(const RankAssignment& assignment);

}  // namespace switchyard::worker
