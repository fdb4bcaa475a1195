// How the members of an epoch find each other: worker/exchange/tcp_transport.h has the messages.
#pragma once

#include <vector>

#include "worker/exchange/tcp_sockets.h"
#include "worker/exchange/tcp_transport.h"

namespace switchyard::worker {

// A socket to each member, none to this one. Errors as of make_tcp_transport().
Result<std::vector<Socket>> connect_members(TcpListener& listener, const std::vector<TcpMember>& members, uint32_t rank,
                                            const TcpTrust& trust, uint32_t deadline_ms, const Epoch& epoch);

}  // namespace switchyard::worker
