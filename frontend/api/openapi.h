// The API's description, OpenAPI 3.1: openapi.json with the version filled in, as the build embeds it.
#pragma once

#include <string_view>

namespace switchyard::frontend {

extern const std::string_view kOpenApi;

}  // namespace switchyard::frontend
