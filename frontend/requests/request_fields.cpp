#include "frontend/requests/request_fields.h"

#include <fmt/format.h>

#include <boost/json/kind.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <limits>

namespace switchyard::frontend {
namespace {

namespace json = boost::json;

constexpr size_t kJsonDepthMax = 100;

const char* kind_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64: return "an integer";
    case json::kind::double_: return "a decimal";
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
  }
  return "something else";
}

// The integer that a value is, 5.0 included, as far as it fits; what is beyond int64 becomes the nearest one.
std::optional<int64_t> to_integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64()) return std::numeric_limits<int64_t>::max();  // boost::json's uint64 are those above int64
  if (value.is_double()) {
    const double number = value.get_double();
    if (std::trunc(number) == number && std::abs(number) < 9.2e18) return static_cast<int64_t>(number);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ApiError> parse_object(std::string_view body, json::object& object) {
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  boost::system::error_code error;
  json::value value = json::parse({body.data(), body.size()}, error, {}, options);
  if (error) {
    return invalid_request("We could not parse the JSON body of your request: " + error.message() + ".", {},
                           "invalid_json");
  }
  if (!value.is_object()) {
    return invalid_request(fmt::format("The request body must be a JSON object, but is {}.", kind_name(value)), {},
                           "invalid_json");
  }
  object = std::move(value.get_object());
  return std::nullopt;
}

void RequestFields::fail(std::string message, std::string_view param, std::string code) {
  if (!error_) error_ = invalid_request(std::move(message), std::string(param), std::move(code));
}

void RequestFields::wrong_type(std::string_view name, const char* expected, const json::value& got) {
  fail(fmt::format("Invalid type for '{}': expected {}, but got {} instead.", name, expected, kind_name(got)), name,
       "invalid_type");
}

const json::value* RequestFields::find(std::string_view name) const {
  if (error_) return nullptr;
  const json::value* value = object_.if_contains({name.data(), name.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<double> RequestFields::number(std::string_view name, double least, double most) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    wrong_type(name, "a decimal", *value);
    return std::nullopt;
  }
  const double number = value->to_number<double>();
  if (!(number >= least)) {
    fail(fmt::format("Invalid '{}': decimal below minimum value. Expected a value >= {}, but got {} instead.", name,
                     least, number),
         name, "decimal_below_min_value");
    return std::nullopt;
  }
  if (number > most) {
    fail(fmt::format("Invalid '{}': decimal above maximum value. Expected a value <= {}, but got {} instead.", name,
                     most, number),
         name, "decimal_above_max_value");
    return std::nullopt;
  }
  return number;
}

std::optional<int64_t> RequestFields::integer(std::string_view name, int64_t least, int64_t most) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = to_integer(*value);
  if (!number) {
    wrong_type(name, "an integer", *value);
    return std::nullopt;
  }
  if (*number < least) {
    fail(fmt::format("Invalid '{}': integer below minimum value. Expected a value >= {}, but got {} instead.", name,
                     least, *number),
         name, "integer_below_min_value");
    return std::nullopt;
  }
  if (*number > most) {
    fail(fmt::format("Invalid '{}': integer above maximum value. Expected a value <= {}, but got {} instead.", name,
                     most, *number),
         name, "integer_above_max_value");
    return std::nullopt;
  }
  return number;
}

std::optional<bool> RequestFields::boolean(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  wrong_type(name, "a boolean", *value);
  return std::nullopt;
}

std::optional<std::string> RequestFields::string(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::string(value->get_string());
  wrong_type(name, "a string", *value);
  return std::nullopt;
}

std::vector<int32_t> RequestFields::token_ids(std::string_view name, int32_t id_count) {
  const json::value* value = find(name);
  return value == nullptr ? std::vector<int32_t>() : token_ids(name, *value, id_count);
}

std::vector<int32_t> RequestFields::token_ids(std::string_view name, const json::value& value, int32_t id_count) {
  std::vector<int32_t> ids;
  if (!value.is_array()) {
    wrong_type(name, "an array of token ids", value);
    return ids;
  }
  ids.reserve(value.get_array().size());
  for (const json::value& item : value.get_array()) {
    const std::optional<int64_t> id = to_integer(item);
    if (!id) {
      wrong_type(name, "integers", item);
      return {};
    }
    if (*id < 0 || *id >= id_count) {
      fail(fmt::format("Invalid '{}': token id {} is out of range; the vocabulary has {} tokens.", name, *id, id_count),
           name, "token_id_out_of_range");
      return {};
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

}  // namespace switchyard::frontend
