// TCP ports of this machine: is one free, and which are.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.h"

namespace switchyard::launch {

// Binds it for a moment. Errors: "127.0.0.1:8000: Address already in use", a host that this machine is not.
Status check_port_free(const std::string& host, uint16_t port);

// The first of `count` neighbouring ports that are free now. They are taken from below the range that the kernel hands
// out to connections, so that only another server could take them before ours does.
Result<uint16_t> find_free_ports(const std::string& host, uint32_t count);

}  // namespace switchyard::launch
