// The last stage: tokens back to text. Kinds: ByteLevel, and a Sequence of it alone. Each is an entry of the list in
// decoder.cpp; another kind is refused by its name.
//
// Thread: any; const use. Blocks: no.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace switchyard::text {

// A decoder here is bytes per token: the text is the bytes of all tokens joined, then repaired (utf8.h). That holds for
// byte-level vocabularies; a kind that looks at its neighbours needs more than this interface.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::string token_bytes(std::string_view token) const = 0;
};

Result<std::unique_ptr<Decoder>> load_decoder(const boost::json::value& spec, std::string_view where);

}  // namespace switchyard::text
