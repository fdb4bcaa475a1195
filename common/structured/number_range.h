// JSON numbers within bounds, digit by digit.
//
// Thread: any.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/structured/grammar.h"
#include "common/structured/json_text.h"

namespace switchyard::structured {

// A finite decimal number, sign apart; no zeros before `whole` (empty = 0) or behind `fraction`.
struct Decimal {
  bool negative = false;
  std::string whole;
  std::string fraction;

  // kInvalid: not a number.
  static Result<Decimal> of(const boost::json::value& value);
  bool is_zero() const { return whole.empty() && fraction.empty(); }
};

// Whether a < b.
bool less(const Decimal& a, const Decimal& b);

struct NumberBounds {
  std::optional<Decimal> least;
  std::optional<Decimal> most;
  bool above = false;  // least itself is out
  bool below = false;  // most itself is out

  bool none() const { return !least && !most; }
  void raise_least(const Decimal& bound, bool exclusive);
  void lower_most(const Decimal& bound, bool exclusive);
};

// From one size (digits, "" = 0) to another.
using WholeSizes = std::function<Expr(const std::string& least, const std::string& most)>;

struct NumberForm {
  bool integer = false;
  uint32_t fraction_digits = kFractionDigits;  // at most; of those that are not integers
  WholeSizes sizes = {};                       // integer: which sizes there are; none = all
};

// Of up to kIntegerDigits digits before the point, or as many as the bound nearer to 0 has; no exponent. never() when
// nothing is within.
Expr number_within(Grammar& grammar, const NumberBounds& bounds, const NumberForm& form);

}  // namespace switchyard::structured
