// The stage that adds a model's special tokens around the ids of a text. Kinds: TemplateProcessing, ByteLevel (which
// moves offsets and no ids), Sequence. Each is an entry of the list in post_processor.cpp; another kind is refused.
//
// Thread: any; const use. Blocks: no.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::text {

// Ids before and behind those of the text. Several templates nest, the later around the earlier.
struct PostProcessor {
  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;
};

// Null adds nothing. Fails with kInvalid, naming the kind or the key, and for a template without exactly one text A.
Result<PostProcessor> load_post_processor(const boost::json::value& spec, std::string_view where);

}  // namespace switchyard::text
