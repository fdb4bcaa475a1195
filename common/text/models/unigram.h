// Unigram (Kudo 2018, arXiv:1804.10959), as Hugging Face's tokenizers do it: of all ways to cut a piece into tokens the
// one of the greatest sum of scores (Viterbi), the first found among equals. A character that is no token costs the
// lowest score - 10; runs of such become bytes where byte_fallback can spell them, else one unknown token.
//
// Time: linear in the piece times the longest token. Memory: 16 bytes a byte of the longest piece, kept by a thread
// up to 1 MiB.
#pragma once

#include "common/text/model.h"

namespace switchyard::text {

// A model of kind "Unigram". Fails with kInvalid, naming the entry or the key.
Result<std::unique_ptr<Model>> load_unigram(const boost::json::object& spec, const ModelOptions& options,
                                            std::string_view where);

}  // namespace switchyard::text
