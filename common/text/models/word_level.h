// A token for each word, the unknown token for every other.
//
// Thread: any.
#pragma once

#include "common/text/model.h"

namespace switchyard::text {

// A model of kind "WordLevel". Fails with kInvalid, naming the token or the key.
Result<std::unique_ptr<Model>> load_word_level(const boost::json::object& spec, const ModelOptions& options,
                                               std::string_view where);

}  // namespace switchyard::text
