// net::Service on the simulated network: what common/net/net.h promises, and no more, without sockets and handshakes.
#pragma once

#include <memory>

#include "common/net/net.h"
#include "tests/simulation/network.h"

namespace switchyard::simulation {

// Of a process; its handlers run there. Ports that it chooses itself go up with each life of a machine.
std::unique_ptr<net::Service> make_service(Network& network, ProcessPtr process, net::Identity identity);

}  // namespace switchyard::simulation
