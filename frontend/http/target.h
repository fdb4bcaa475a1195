// Targets of requests (RFC 9112, section 3.2): what stands between the method and the version.
//
// Thread: any; free functions.
#pragma once

#include <string>
#include <string_view>

namespace switchyard::frontend {

// Path and query: without the scheme and authority of the absolute form, as proxies send it.
std::string origin_form(std::string target);
// The path alone.
std::string path_of(const std::string& target);
// The target in the first line of a head that no parser has taken; "" when it is not there as a whole.
std::string_view target_in(std::string_view head);

}  // namespace switchyard::frontend
