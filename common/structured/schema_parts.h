// What compiling a JSON Schema needs to know of schemas as such: where references lead, what two schemas are together,
// whether both can hold.
//
// Thread: any, on data of its own. Bounds: kMergesMax merges a schema.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace switchyard::structured {

// Errors of a schema: they begin with the JSON pointer of the place, `at` being that of the schema.
namespace schema_error {
std::string child(const std::string& pointer, std::string_view key);
Error fail(const std::string& at, std::string_view keyword, std::string_view what, Errc code = Errc::kInvalid);
// when: "beside ... ", or nothing.
Error unsupported(const std::string& at, std::string_view keyword, std::string_view when = "");
Error at_place(const std::string& at, const Error& error);
}  // namespace schema_error

// Keywords that assert nothing: "title", "description", "default", ... Unknown keywords count, as JSON Schema says.
bool is_annotation(std::string_view keyword);
// The seven types as bits; an integer is a number too.
enum TypeBits : uint32_t {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kFractionType = 8,  // numbers that are not integers
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
  kNumberTypes = kIntegerType | kFractionType,
  kAllTypes = 127,
};
uint32_t type_of(const boost::json::value& value);

class SchemaParts {
 public:
  static constexpr uint32_t kMergesMax = 2000;
  static constexpr uint32_t kMergeDepthMax = 64;  // of merges within a merge: references may go round
  // The root must outlive it.
  explicit SchemaParts(const boost::json::value& root) : root_(root) {}

  // "#", "#/$defs/name": the JSON pointer within this schema. kInvalid for others.
  Result<const boost::json::value*> resolve(std::string_view reference) const;
  // The types that "type", "enum" and "const" allow.
  static Result<uint32_t> types(const boost::json::object& schema);
  // A schema that holds where both do. kInvalid names the keyword for which that is not supported.
  Result<boost::json::value> merge(const boost::json::value& a, const boost::json::value& b);
  // Whether it is plain that not both can hold; false where that is not seen.
  bool disjoint(const boost::json::value& a, const boost::json::value& b, uint32_t depth = 0) const;

 private:
  Result<boost::json::value> without_reference(const boost::json::value& schema);
  Status merge_items(boost::json::object& x, boost::json::object& y);
  Result<boost::json::value> merge_both(const boost::json::value& a, const boost::json::value& b);

  const boost::json::value& root_;
  uint32_t merges_ = 0;
  uint32_t depth_ = 0;
};

}  // namespace switchyard::structured
