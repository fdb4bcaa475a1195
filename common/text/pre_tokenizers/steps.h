// The pre-tokenizers, one load_ each: it appends its step, or fails with kInvalid and the key.
//
// Thread: any.
#pragma once

#include "common/text/pre_tokenizer.h"

namespace switchyard::text {

// Characters by their class (pre_tokenizers/characters.cpp).
Status load_bert_pre_tokenizer(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);
Status load_char_delimiter(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);
Status load_digits(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);
Status load_fixed_length(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);
Status load_punctuation(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);
Status load_whitespace(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);
Status load_whitespace_split(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);

Status load_byte_level_step(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);
Status load_metaspace(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);
Status load_split(const boost::json::object& spec, std::string_view where, PreTokenizerSteps& steps);

}  // namespace switchyard::text
