// A whole cluster in one thread from one seed: docs/decisions/0017-simulation.md.
//
//   const Outcome outcome = simulate(make_plan(seed), {seed});
//   EXPECT_EQ(outcome.story, "");
//
// What runs is the real coordinator, the real ranks with a toy model, and the real routing of frontends; time, network,
// machines and clients are simulated. The checks (checks.h, clients.h) look at everything that happens.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tests/simulation/plan.h"

namespace switchyard::simulation {

// A bug that is put in, so that a test of the checks can find it.
enum class Canary {
  kNone,
  kFrameTwice,           // the network delivers some frames of outputs twice
  kFrameLost,            // ... or not at all, on a stream that lives on
  kForgetfulReplay,      // a frontend does not tell the next rank which tokens a sequence has already
  kEpochAgain,           // a coordinator numbers a new epoch as the one before
  kIncompletePlacement,  // a coordinator gives an expert to a rank that is not there
  kLostEnd,              // a rank does not say that a sequence has ended
  kDeafToCancel,         // a rank does not heed that a client has gone
};

struct Options {
  uint64_t seed = 0;
  Canary canary = Canary::kNone;
  bool loud = false;  // every event and every line of the log, to stderr
};

struct Outcome {
  std::string story;  // "": all invariants held; else what did not, and the events before it
  uint64_t hash = 0;  // of all that happened
  uint64_t events = 0;
  double simulated_seconds = 0;
  uint64_t tokens = 0;
  uint64_t streams = 0;  // that ran to their end
  uint64_t epochs = 0;
  uint64_t replays = 0;
  std::array<uint64_t, kFaultKinds> faults{};
};

Outcome simulate(const Plan& plan, const Options& options);

}  // namespace switchyard::simulation
