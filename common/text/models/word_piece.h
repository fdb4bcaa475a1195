// WordPiece (Schuster and Nakajima 2012): the longest token that a word begins with, then the longest that goes on,
// written with a prefix. A word that cannot be cut so, or is too long, is one unknown token.
//
// Time: linear in the word times the longest token.
#pragma once

#include "common/text/model.h"

namespace switchyard::text {

// A model of kind "WordPiece". Fails with kInvalid, naming the token or the key.
Result<std::unique_ptr<Model>> load_word_piece(const boost::json::object& spec, const ModelOptions& options,
                                               std::string_view where);

}  // namespace switchyard::text
