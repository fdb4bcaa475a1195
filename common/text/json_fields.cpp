#include "common/text/json_fields.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "common/base/git_lfs.h"
#include "common/text/utf8.h"

namespace switchyard::text {

namespace json = boost::json;

Error field_error(std::string_view where, std::string_view key, std::string_view problem) {
  return Error{Errc::kInvalid, fmt::format("{}.{}: {}", where, key, problem)};
}

Result<const json::object*> as_object(const json::value& value, std::string_view where) {
  if (const auto* object = value.if_object()) return object;
  return Error{Errc::kInvalid, fmt::format("{}: an object is expected", where)};
}

Result<std::string> string_field(const json::object& object, std::string_view key, std::string_view where) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return field_error(where, key, "missing");
  if (const auto* text = value->if_string()) return std::string(*text);
  return field_error(where, key, "a string is expected");
}

Result<const json::array*> array_field(const json::object& object, std::string_view key, std::string_view where) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return field_error(where, key, "missing");
  if (const auto* array = value->if_array()) return array;
  return field_error(where, key, "a list is expected");
}

Result<int32_t> as_id(const json::value& value, std::string_view where) {
  const auto* number = value.if_int64();
  if (number == nullptr || *number < 0 || *number > kMaxTokenId) {
    return Error{Errc::kInvalid, fmt::format("{}: a token id from 0 to {} is expected", where, kMaxTokenId)};
  }
  return static_cast<int32_t>(*number);
}

Result<int32_t> id_field(const json::object& object, std::string_view key, std::string_view where) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return field_error(where, key, "missing");
  return as_id(*value, fmt::format("{}.{}", where, key));
}

Result<size_t> count_field(const json::object& object, std::string_view key, std::string_view where) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return field_error(where, key, "missing");
  if (const auto* number = value->if_int64(); number != nullptr && *number >= 0) return static_cast<size_t>(*number);
  if (const auto* number = value->if_uint64()) return static_cast<size_t>(*number);
  return field_error(where, key, "a whole number from 0 on is expected");
}

Result<char32_t> character_field(const json::object& object, std::string_view key, std::string_view where) {
  SWITCHYARD_ASSIGN(const std::string text, string_field(object, key, where));
  if (!is_valid_utf8(text) || code_point_count(text) != 1) return field_error(where, key, "one character is expected");
  size_t at = 0;
  return next_code_point(text, at);
}

Result<bool> bool_field(const json::object& object, std::string_view key, bool fallback, std::string_view where) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return fallback;
  if (const auto* flag = value->if_bool()) return *flag;
  return field_error(where, key, "true or false is expected");
}

Result<std::string> optional_string_field(const json::object& object, std::string_view key, std::string_view where) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return std::string();
  if (const auto* text = value->if_string()) return std::string(*text);
  return field_error(where, key, "a string is expected");
}

Result<std::string> read_text_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) {
    return Error{errno == ENOENT ? Errc::kNotFound : Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  }
  const auto size = file.tellg();
  std::error_code unknown;
  if (size < 0 || !std::filesystem::is_regular_file(path, unknown))
    return Error{Errc::kIo, fmt::format("{}: not a regular file", path)};
  std::string text(static_cast<size_t>(size), '\0');
  file.seekg(0);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file) return Error{Errc::kIo, fmt::format("{}: {}", path, std::strerror(errno))};
  if (is_git_lfs_pointer(text)) return Error{Errc::kInvalid, fmt::format("{}: {}", path, kGitLfsProblem)};
  return text;
}

Result<json::value> parse_json(std::string_view text, std::string_view where, json::memory_resource* memory) {
  json::parse_options options;
  options.max_depth = 256;
  boost::system::error_code code;
  json::value value = json::parse(json::string_view(text.data(), text.size()), code,
                                  memory == nullptr ? json::storage_ptr() : json::storage_ptr(memory), options);
  if (code) return Error{Errc::kInvalid, fmt::format("{}: not JSON: {}", where, code.message())};
  return value;
}

}  // namespace switchyard::text
