// Follows one JSON value (RFC 8259) byte by byte: where it ends, and the first byte that makes it invalid.
//
// Bounded: containers may nest kDepthMax deep, more is invalid. Strings are checked for control characters and escapes,
// not for UTF-8, which the caller's text is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace switchyard::parsing {

class JsonScan {
 public:
  static constexpr size_t kDepthMax = 100;

  enum class State {
    kMore,        // the value goes on
    kDone,        // the byte was its last
    kDoneBefore,  // a number has ended before this byte, which is not part of it
    kBroken,
  };

  // White space before the value is skipped. Not to be called after another answer than kMore.
  State push(char c);
  // Whether the value is a number that is complete if the text ends here.
  bool number_complete() const;
  bool begun() const { return expect_ != Expect::kValue || !open_.empty(); }
  void reset() { *this = JsonScan(); }

 private:
  enum class Expect {
    kValue,       // a value
    kValueOrEnd,  // behind '['
    kKeyOrEnd,    // behind '{'
    kKey,         // behind ',' in an object
    kColon,
    kCommaOrEnd,
    kString,  // inside a string
    kEscape,  // behind a backslash
    kHex,     // inside \uXXXX
    kWord,    // inside true, false or null
    kNumber,
  };
  enum class Number { kMinus, kZero, kInteger, kPoint, kFraction, kExponent, kSign, kDigits };

  State begin_value(char c);
  State close(char c);
  State value_done();
  State push_number(char c);
  bool number_may_end() const;

  Expect expect_ = Expect::kValue;
  Number number_ = Number::kMinus;
  std::string open_;       // the containers around, outermost first: '{' or '['
  std::string_view word_;  // what is left of it
  unsigned hex_left_ = 0;
  bool is_key_ = false;
};

// Whether text is one JSON value, with white space around it at most.
bool is_json(std::string_view text);

// ASCII white space, which is what JSON's is and what formats put around their markers.
inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
std::string_view trim_front(std::string_view text);
std::string_view trim(std::string_view text);

}  // namespace switchyard::parsing
