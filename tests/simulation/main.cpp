// simulate: many seeds of the simulated cluster, or one, told in full.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "tests/simulation/simulation.h"

int main(int argc, char** argv) {
  using namespace switchyard::simulation;
  CLI::App app{"A whole cluster in one thread from one seed, with faults: which seeds break an invariant."};
  uint64_t seeds = 1000;
  uint64_t first = 1;
  uint64_t seed = 0;
  bool loud = false;
  app.add_option("--seeds", seeds, "how many");
  app.add_option("--first", first, "the first of them");
  auto* one = app.add_option("--seed", seed, "only this one");
  app.add_flag("--loud", loud, "every event and log line, to stderr");
  CLI11_PARSE(app, argc, argv);
  if (one->count() > 0) {
    first = seed;
    seeds = 1;
  }
  const auto start = std::chrono::steady_clock::now();
  Outcome sum;
  uint64_t failures = 0;
  for (uint64_t s = first; s < first + seeds; ++s) {
    const Outcome outcome = simulate(make_plan(s), {s, Canary::kNone, loud});
    sum.events += outcome.events;
    sum.simulated_seconds += outcome.simulated_seconds;
    sum.tokens += outcome.tokens;
    sum.streams += outcome.streams;
    sum.epochs += outcome.epochs;
    sum.replays += outcome.replays;
    for (size_t k = 0; k < kFaultKinds; ++k) sum.faults[k] += outcome.faults[k];
    if (!outcome.story.empty()) {
      ++failures;
      fmt::print("{}repeat it with: {} --seed={} --loud\n\n", outcome.story, argv[0], s);
    }
    if (seeds == 1) fmt::print("trace {:016x}\n", outcome.hash);
    std::fflush(stdout);
  }
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{} seeds in {:.1f} s ({:.0f} a second), {} failed; {:.0f} simulated seconds, {} events, {} epochs, ",
             seeds, took, static_cast<double>(seeds) / took, failures, sum.simulated_seconds, sum.events, sum.epochs);
  fmt::print("{} whole streams, {} tokens, {} replays\nfaults:", sum.streams, sum.tokens, sum.replays);
  for (size_t k = 0; k < kFaultKinds; ++k) fmt::print(" {} {},", fault_name(static_cast<Fault>(k)), sum.faults[k]);
  fmt::print("\n");
  return failures == 0 ? 0 : 1;
}
