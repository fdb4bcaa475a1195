// Ids by which a request is found again in logs: the client's own X-Request-Id, or one of ours.
#pragma once

#include <string>

namespace switchyard::frontend {

// 32 hexadecimal digits, from the system's random bytes.
std::string random_id();

// The client's id if it is fit for a header and a log line (1 to 128 visible ASCII characters), else a random one.
std::string request_id_of(std::string sent);

}  // namespace switchyard::frontend
