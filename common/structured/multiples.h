// Whole numbers that are multiples of a factor, digit by digit: a rule for each number of digits left and remainder so
// far.
//
// Thread: one at a time. Bounds: as many rules a factor as the largest bound has digits, times kFactorMax.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "common/structured/grammar.h"
#include "common/structured/number_range.h"

namespace switchyard::structured {

class Multiples {
 public:
  static constexpr uint32_t kFactorMax = 500;  // zeros at its end apart

  // factor * 10^zeros.
  struct Factor {
    uint32_t factor = 1;
    uint32_t zeros = 0;
    // None for one that is not whole, or above the bound.
    static std::optional<Factor> of(const Decimal& decimal);
  };

  // The grammar must outlive it.
  explicit Multiples(Grammar& grammar) : grammar_(grammar) {}

  // Multiples from low to high, digits without leading zeros; "" = 0.
  Expr between(const Factor& factor, std::string low, std::string high);

 private:
  // What has been read leaves the remainder; low and high, of one length, bound the digits to come.
  Expr within(const Factor& factor, std::string_view low, std::string_view high, uint32_t remainder);
  Expr any(const Factor& factor, size_t digits, uint32_t remainder);
  static std::optional<uint32_t> next(const Factor& factor, size_t digits, uint32_t remainder, char digit);

  Grammar& grammar_;
  std::map<std::tuple<uint32_t, uint32_t, size_t, uint32_t>, Rule> rules_;  // by factor, zeros, digits, remainder
};

}  // namespace switchyard::structured
