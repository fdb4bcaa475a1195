// The vectors of tests/data/text: JSON Lines, each with the answer of another implementation.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/text/tokenizer.h"

namespace switchyard::text {

// Paths below tests/data. A missing or malformed file throws, which fails the test.
std::string read_data(const std::string& name);  // .zst is decompressed
std::vector<boost::json::object> read_lines(const std::string& name);
// "text/NAME/tokenizer.json.zst" with its tokenizer_config.json. Loaded once.
std::shared_ptr<const Tokenizer> published_tokenizer(const std::string& name);
// "golden/NAME".
std::shared_ptr<const Tokenizer> golden_tokenizer(const std::string& name);

std::vector<int32_t> ids_of(const boost::json::value& list);
std::string text_of(const boost::json::value& text);

}  // namespace switchyard::text
