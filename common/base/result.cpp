#include "common/base/result.h"

namespace switchyard {

const char* to_string(Errc code) {
  switch (code) {
    case Errc::kInvalid: return "invalid";
    case Errc::kNotFound: return "not found";
    case Errc::kUnauthorized: return "unauthorized";
    case Errc::kTooLarge: return "too large";
    case Errc::kOverloaded: return "overloaded";
    case Errc::kUnavailable: return "unavailable";
    case Errc::kTimeout: return "timeout";
    case Errc::kPeerLost: return "peer lost";
    case Errc::kIo: return "io";
  }
  return "unknown";
}

}  // namespace switchyard
