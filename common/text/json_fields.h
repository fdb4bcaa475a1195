// Reading one object of a tokenizer.json or tokenizer_config.json: every error names the place and the key.
//
// Thread: any; free functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <boost/json/memory_resource.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace switchyard::text {

Error field_error(std::string_view where, std::string_view key, std::string_view problem);

// value as an object; where names it in the error.
Result<const boost::json::object*> as_object(const boost::json::value& value, std::string_view where);

// A key that must be there with its type.
Result<std::string> string_field(const boost::json::object& object, std::string_view key, std::string_view where);
Result<const boost::json::array*> array_field(const boost::json::object& object, std::string_view key,
                                              std::string_view where);
Result<int32_t> id_field(const boost::json::object& object, std::string_view key, std::string_view where);

// A whole number from 0 on.
Result<size_t> count_field(const boost::json::object& object, std::string_view key, std::string_view where);
// A string of exactly one character.
Result<char32_t> character_field(const boost::json::object& object, std::string_view key, std::string_view where);

// A key that may be absent or null.
Result<bool> bool_field(const boost::json::object& object, std::string_view key, bool fallback, std::string_view where);
Result<std::string> optional_string_field(const boost::json::object& object, std::string_view key,
                                          std::string_view where);

// A value as a token id: 0 to kMaxTokenId.
inline constexpr int64_t kMaxTokenId = (1 << 24) - 1;
Result<int32_t> as_id(const boost::json::value& value, std::string_view where);

// A whole file. Fails with kNotFound or kIo.
Result<std::string> read_text_file(const std::string& path);
// The JSON of a file's text. Fails with kInvalid and the offset.
// memory, if any, must outlive the value.
Result<boost::json::value> parse_json(std::string_view text, std::string_view where,
                                      boost::json::memory_resource* memory = nullptr);

}  // namespace switchyard::text
