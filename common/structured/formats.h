// The values of JSON Schema's "format" that are kept, as regular expressions of the whole string.
//
// Thread: any.
#pragma once

#include <string>
#include <string_view>

namespace switchyard::structured {

// Those of OpenAPI and pydantic that say what a string is for, and nothing of its letters.
bool is_free_format(std::string_view format);

// "" for a format that is not known. Where a format's rules are not regular, or long, the expression takes a part of
// it: dates of the years 1000 to 2999, times without
// leap seconds and in capitals, e-mail addresses without quotes, labels of host names of up to 32 letters, URIs with an
// authority that is a host name, IPv6 addresses in hexadecimal.
std::string format_regex(std::string_view format);

}  // namespace switchyard::structured
