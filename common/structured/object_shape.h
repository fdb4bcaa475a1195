// What a schema says of an object's members, all of its keywords taken together.
//
// Thread: any, on data of its own. Bounds: kMembersMax (object_members.h) names a keyword, 512 dependencies.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/structured/schema_parts.h"

namespace switchyard::structured {

struct ObjectShape {
  struct Member {
    std::string name;
    const boost::json::value* schema;  // null: that of other members
    bool required;
  };
  std::vector<Member> members;                                    // that are named, in their order
  std::vector<std::pair<std::string, std::string>> dependencies;  // where the first one is, the second one must be
  const boost::json::value* others = nullptr;                     // their schema; null = anything
  const boost::json::value* other_names = nullptr;                // the schema of their names; null = any
  bool open = false;                                              // there may be others
  const boost::json::value* patterns = nullptr;                   // "patternProperties"
  bool impossible = false;                                        // a member is required that may not be

  // closed: SchemaOptions::closed. The schema must outlive the shape. Errors as schema_parts.h has them, with `at` as
  // the schema's pointer.
  static Result<ObjectShape> of(const boost::json::object& schema, const SchemaParts& parts, bool closed,
                                const std::string& at);
  // Nothing is said.
  static bool is_any(const boost::json::object& schema);
  bool has(std::string_view name) const;
};

}  // namespace switchyard::structured
