// Between the wire's messages and the engine's own types.
#pragma once

#include <cstdint>
#include <memory>

#include "common/base/result.h"
#include "common/structured/constraint.h"
#include "common/wire/switchyard.pb.h"
#include "worker/engine/engine.h"

namespace switchyard::worker {

// All but its id; its constraint is compiled apart.
std::unique_ptr<Sequence> to_sequence(const wire::Generate& from);
structured::Constraint to_constraint(const wire::Constraint& from);

// request_id: the frontend's.
void to_wire(const EngineOutput& from, uint64_t request_id, wire::Output* to);
void to_wire(const EngineStats& from, wire::RankReport* to);
// An end that does not come from the engine. error: of FINISH_ERROR.
void end_to_wire(wire::FinishReason finish, const Error& error, uint64_t request_id, wire::Output* to);

}  // namespace switchyard::worker
