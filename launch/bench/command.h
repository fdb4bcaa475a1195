// The flags of `switchyard bench serve`.
#pragma once

#include <memory>

#include "launch/bench/serve_bench.h"

namespace CLI {
class App;
}

namespace switchyard::launch {

// Declares them; the options are filled when the command line is parsed.
std::shared_ptr<BenchOptions> add_bench_flags(CLI::App& app);

}  // namespace switchyard::launch
