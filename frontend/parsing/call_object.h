// A call written as one JSON object, {"name": "f", "arguments": {...}}, byte by byte: the arguments are passed on as
// they come once the name is known. Keys may stand in any order; "parameters" means "arguments" (vLLM's `required`,
// Llama); other keys are skipped. Absent or null arguments are {}; arguments that are a string hold the object as text.
#pragma once

#include <string>

#include "frontend/parsing/json_scan.h"

namespace switchyard::parsing {

class CallObject {
 public:
  enum class State { kMore, kDone, kBroken };

  // Adds to arguments what the byte makes known of them, nothing before name() is known. Not to be called after another
  // answer than kMore.
  State push(char c, std::string& arguments);
  bool has_name() const { return has_name_; }
  const std::string& name() const { return name_; }
  void reset() { *this = CallObject(); }

 private:
  enum class Expect { kObject, kKeyOrEnd, kKey, kColon, kValue, kCommaOrEnd };
  enum class Field { kName, kArguments, kOther };

  State key_done();
  State push_value(char c, std::string& arguments);
  State value_done(std::string& arguments);
  State object_done(std::string& arguments) const;

  Expect expect_ = Expect::kObject;
  Field field_ = Field::kOther;
  JsonScan scan_;
  std::string text_;     // of the key or value that is being read, where it is needed
  std::string waiting_;  // arguments that came before the name
  std::string name_;
  bool has_name_ = false;
  bool has_arguments_ = false;
  bool verbatim_ = false;  // the value is an object of arguments, which is passed on byte by byte
};

}  // namespace switchyard::parsing
