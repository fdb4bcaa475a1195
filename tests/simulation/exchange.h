// Exchanges between the ranks of an epoch on the simulated network: a stream a pair, as worker/exchange/tcp_transport.h
// has them, and messages over those. A step takes its time here: what ranks compute costs none.
#pragma once

#include <memory>
#include <string>

#include "tests/simulation/network.h"
#include "worker/exchange/exchange_maker.h"

namespace switchyard::simulation {

// Of a process that listens as `host`. Its steps take about step_time, and its calls at most the deadline.
std::unique_ptr<worker::ExchangeMaker> make_exchanges(Network& network, ProcessPtr process, std::string host,
                                                      Duration step_time, Duration deadline);

}  // namespace switchyard::simulation
