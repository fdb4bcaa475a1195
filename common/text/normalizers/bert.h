// BERT's normalizer: controls out and white space as spaces (clean_text), spaces around ideographs
// (handle_chinese_chars), accents off (strip_accents; null: as lowercase), lower case.
//
// Thread: any. Fails with kInvalid and the key.
#pragma once

#include "common/text/normalizer.h"

namespace switchyard::text {

Status load_bert_normalizer(const boost::json::object& spec, std::string_view where, NormalizerSteps& steps);

}  // namespace switchyard::text
