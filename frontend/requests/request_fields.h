// Reads the fields of a request's JSON object one by one, each with its type and range; the first problem is kept,
// worded as OpenAI's API words it, and everything after it is skipped. Absent and null mean the same.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/http/errors.h"

namespace switchyard::frontend {

// A body as a JSON object, within a depth of 100.
std::optional<ApiError> parse_object(std::string_view body, boost::json::object& object);

class RequestFields {
 public:
  explicit RequestFields(const boost::json::object& object) : object_(object) {}

  // The value, or null when absent (or after an error).
  const boost::json::value* find(std::string_view name) const;

  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<int64_t> integer(std::string_view name, int64_t least, int64_t most);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> string(std::string_view name);
  // An array of integers, each of which is in [0, id_count).
  std::vector<int32_t> token_ids(std::string_view name, int32_t id_count);
  // The same of a value that is at hand.
  std::vector<int32_t> token_ids(std::string_view name, const boost::json::value& value, int32_t id_count);

  // Records a problem, unless there is one.
  void fail(std::string message, std::string_view param, std::string code = {});
  void wrong_type(std::string_view name, const char* expected, const boost::json::value& got);
  bool ok() const { return !error_; }
  std::optional<ApiError> error() const { return error_; }

 private:
  const boost::json::object& object_;
  std::optional<ApiError> error_;
};

}  // namespace switchyard::frontend
