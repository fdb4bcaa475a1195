// Spaces as a visible mark (SentencePiece's U+2581): what the pre-tokenizer and the decoder of that name share.
//
// Thread: any.
#pragma once

#include <boost/json/fwd.hpp>
#include <string_view>

#include "common/base/result.h"

namespace switchyard::text {

// Which pieces get a mark before them, where they have none.
enum class Prepend { kAlways, kFirst, kNever };

struct MetaspaceOptions {
  char32_t replacement = 0x2581;
  Prepend prepend = Prepend::kAlways;
  bool split = true;
};

// Fails with kInvalid and the key.
Result<MetaspaceOptions> load_metaspace_options(const boost::json::object& spec, std::string_view where);

}  // namespace switchyard::text
