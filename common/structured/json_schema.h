// JSON Schema (draft 2020-12) as a grammar of the JSON texts that are valid under it.
//
// Kept: type and lists of types; properties (in the order in which the schema has them), required,
// additionalProperties, one patternProperties, minProperties, maxProperties, dependentRequired, propertyNames (that
// list the names, or without properties that are named); items, prefixItems, minItems, maxItems;
// enum, const; anyOf; oneOf where it is plain that no two alternatives hold together; allOf and keywords beside $ref,
// anyOf and oneOf, where they can be merged; $ref within the schema, recursive ones too; minLength, maxLength, pattern,
// format (formats.h); minimum, maximum, exclusiveMinimum, exclusiveMaximum; multipleOf of powers of
// ten and of whole numbers up to Multiples::kFactorMax, zeros at their end apart. Everything else that asserts
// is refused by name, with the JSON pointer of its place; annotations and unknown keywords are ignored.
//
// Every schema is read by the standard's own vocabularies, whatever "$schema" says, and "format" asserts.
//
// The grammar may be narrower than the schema, never wider: numbers and white space as in json_text.h; enum and const
// in one compact form; property names as they are; strings under "pattern" or "format" without needless escapes.
//
// Thread: any. Bounds: kSchemaDepthMax nested schemas, kSchemasMax in all.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>

#include "common/base/result.h"
#include "common/structured/grammar.h"

namespace switchyard::structured {

inline constexpr uint32_t kSchemaDepthMax = 48;
inline constexpr uint32_t kSchemasMax = 20000;

struct SchemaOptions {
  // Objects that name their properties, and tuples that name their items, have no others, unless additionalProperties
  // or items says so: what users of guided decoding mean, and XGrammar's default. False: as the standard says.
  bool closed = true;
};

// The message begins with the JSON pointer of the place: `/properties/x/not: "not" is not supported`.
Result<Grammar> parse_json_schema(const boost::json::value& schema, SchemaOptions options);

// Any JSON object.
Grammar any_json_object();

}  // namespace switchyard::structured
