// The normalizers of a few lines: the forms of Unicode, Lowercase, Strip, StripAccents, Prepend, Nmt, ByteLevel.
//
// Thread: any. Each load_ appends its step, or fails with kInvalid and the key.
#pragma once

#include "common/text/normalizer.h"

namespace switchyard::text {

Status load_nfc(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
Status load_nfd(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
Status load_nfkc(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
Status load_nfkd(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
Status load_lowercase(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
// White space at the ends.
Status load_strip(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
// Every combining mark (general category M).
Status load_strip_accents(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
// A text before one that is not empty.
Status load_prepend(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
// SentencePiece's rules for neural machine translation: controls go, odd spaces become spaces.
Status load_nmt(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);
// Bytes as characters of the byte alphabet.
Status load_byte_level_normalizer(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);

}  // namespace switchyard::text
