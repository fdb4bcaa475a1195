// SentencePiece's compiled character map: base64 of a 4-byte length, a double-array trie (darts-clone) and the
// replacements, each ended by a zero byte. It is applied to grapheme clusters shorter than 6 bytes, then to characters;
// the shortest key that the cluster begins with decides, as in the reference.
//
// Thread: any. Fails with kInvalid for a map that is not base64 or ends early; a damaged trie finds nothing.
#pragma once

#include "common/text/normalizer.h"

namespace switchyard::text {

Status load_precompiled(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);

}  // namespace switchyard::text
