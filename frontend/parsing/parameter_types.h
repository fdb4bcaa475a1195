// The types of tools' parameters, for formats that write values without saying what they are, and such values as JSON.
//
// Thread: constant once built.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace switchyard::parsing {

class ParameterTypes {
 public:
  // Bits: the types that a value may have, as JSON Schema names them.
  using Types = uint32_t;
  static constexpr Types kAny = 0;  // the schema does not say
  static constexpr Types kString = 1, kNumber = 2, kBoolean = 4, kNull = 8, kObject = 16, kArray = 32;

  ParameterTypes() = default;
  // tools: the request's. What has not their shape is left out.
  explicit ParameterTypes(const boost::json::value& tools);

  Types of(const std::string& function, const std::string& parameter) const;

 private:
  std::map<std::string, std::map<std::string, Types>> functions_;
};

std::string json_string(std::string_view text);

// The value that text stands for. A string is taken as it is. What is JSON of a type that the schema knows (or of any,
// when it does not say and untyped_is_text is false) stays as it was written, Python's True, False and None become what
// they mean, and the rest is a string, so that the result is JSON whatever the model wrote.
// As vLLM's parsers qwen3_coder and glm45 do it, but numbers keep their digits.
std::string json_of_parameter(std::string_view text, ParameterTypes::Types types, bool untyped_is_text);

}  // namespace switchyard::parsing
