#include "common/structured/number_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace switchyard::structured {
namespace {

namespace json = boost::json;

// Of the sizes: -1, 0, 1.
int compare_sizes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  if (const int order = a.whole.compare(b.whole); order != 0) return order < 0 ? -1 : 1;
  const int order = a.fraction.compare(b.fraction);  // no trailing zeros: a prefix is smaller
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

bool all_zeros(std::string_view digits) { return digits.find_first_not_of('0') == std::string_view::npos; }

// Sizes within [least, most], where either may be open.
class SizeRange {
 public:
  SizeRange(Grammar& grammar, Decimal least, bool above, std::optional<Decimal> most, bool below,
            const NumberForm& form)
      : g_(grammar),
        least_(std::move(least)),
        most_(std::move(most)),
        above_(above),
        below_(below),
        form_(form),
        integer_(form.integer) {
    if (integer_) make_whole();
    digits_max_ = std::max(size_t{kIntegerDigits}, least_.whole.size());
    if (most_ && most_->whole.size() > digits_max_) most_.reset();
  }

  Expr build() {
    if (empty_) return g_.never();
    if (most_) {
      const int order = compare_sizes(least_, *most_);
      if (order > 0 || (order == 0 && (above_ || below_))) return g_.never();
    }
    if (form_.sizes) return form_.sizes(least_.whole, most_ ? most_->whole : std::string(digits_max_, '9'));
    if (most_ && least_.whole == most_->whole) return with_fraction(written(least_.whole), between());
    std::vector<Expr> choices;
    choices.push_back(with_fraction(written(least_.whole), at_least()));
    if (most_) choices.push_back(with_fraction(written(most_->whole), at_most()));
    choices.push_back(with_fraction(inner_wholes(), Fraction{true, any_digits(1, 0)}));
    return g_.choice(std::move(choices));
  }

 private:
  struct Fraction {
    bool may_lack;
    Expr digits;  // behind the point, at least one
  };

  // The bounds become whole ones, and belong to the range.
  void make_whole() {
    if (!least_.fraction.empty() || above_) increment(least_.whole);
    least_.fraction.clear();
    above_ = false;
    if (!most_) return;
    if (most_->fraction.empty() && below_) {
      if (most_->whole.empty()) {
        empty_ = true;
      } else {
        decrement(most_->whole);
      }
    }
    most_->fraction.clear();
    below_ = false;
  }

  static void increment(std::string& digits) {
    for (size_t i = digits.size(); i-- > 0;) {
      if (digits[i] != '9') {
        ++digits[i];
        return;
      }
      digits[i] = '0';
    }
    digits.insert(digits.begin(), '1');
  }
  static void decrement(std::string& digits) {
    for (size_t i = digits.size(); i-- > 0;) {
      if (digits[i] != '0') {
        --digits[i];
        break;
      }
      digits[i] = '9';
    }
    if (digits.front() == '0') digits.erase(digits.begin());
  }

  Expr written(const std::string& whole) { return g_.literal(whole.empty() ? "0" : whole); }
  Expr digit(int first, int last) {
    if (first > last) return g_.never();
    return g_.bytes(static_cast<uint8_t>('0' + first), static_cast<uint8_t>('0' + last));
  }
  Expr digits(size_t count) {
    const auto n = static_cast<uint32_t>(count);
    return g_.repeat(digit(0, 9), n, n);
  }

  Expr with_fraction(Expr whole, const Fraction& fraction) {
    if (integer_) return fraction.may_lack ? whole : g_.never();
    std::vector<Expr> choices;
    if (fraction.may_lack) choices.push_back(g_.empty());
    choices.push_back(g_.sequence({g_.literal("."), fraction.digits}));
    return g_.sequence({whole, g_.choice(std::move(choices))});
  }

  // Whole parts strictly between those of the bounds.
  Expr inner_wholes() {
    std::string low = least_.whole;
    increment(low);
    std::vector<Expr> choices;
    const std::string high = [&] {
      if (!most_) return std::string(digits_max_, '9');
      std::string whole = most_->whole;
      decrement(whole);
      return whole;
    }();
    if (low.size() > high.size() || (low.size() == high.size() && low > high)) return g_.never();
    if (low.size() == high.size()) return same_length(low, high);
    choices.push_back(same_length(low, std::string(low.size(), '9')));
    for (size_t length = low.size() + 1; length < high.size(); ++length)
      choices.push_back(g_.sequence({digit(1, 9), digits(length - 1)}));
    choices.push_back(same_length("1" + std::string(high.size() - 1, '0'), high));
    return g_.choice(std::move(choices));
  }
  Expr same_length(std::string_view low, std::string_view high) {
    if (low.empty()) return g_.empty();
    const int a = low[0] - '0';
    const int b = high[0] - '0';
    const std::string nines(low.size() - 1, '9');
    const std::string zeros(low.size() - 1, '0');
    if (a == b) return g_.sequence({digit(a, a), same_length(low.substr(1), high.substr(1))});
    if (all_zeros(low.substr(1)) && high.substr(1) == nines) return g_.sequence({digit(a, b), digits(nines.size())});
    return g_.choice({g_.sequence({digit(a, a), same_length(low.substr(1), nines)}),
                      g_.sequence({digit(a + 1, b - 1), digits(nines.size())}),
                      g_.sequence({digit(b, b), same_length(zeros, high.substr(1))})});
  }

  // Digits behind the point, `used` of which were read. `least`: how many there must be at least.
  uint32_t room(uint32_t used) const { return form_.fraction_digits > used ? form_.fraction_digits - used : 0; }
  Expr any_digits(uint32_t least, uint32_t used) { return g_.repeat(digit(0, 9), least, room(used)); }
  Expr zeros(uint32_t least, uint32_t used) { return g_.repeat(digit(0, 0), least, room(used)); }
  Expr not_all_zeros(uint32_t used) {
    if (room(used) == 0) return g_.never();
    return g_.choice(
        {g_.sequence({digit(1, 9), any_digits(0, used + 1)}), g_.sequence({digit(0, 0), not_all_zeros(used + 1)})});
  }

  Fraction at_least() {
    const std::string& f = least_.fraction;
    return {f.empty() && !above_, digits_at_least(f, 1, 0)};
  }
  Fraction at_most() {
    const std::string& f = most_->fraction;
    return {!f.empty() || !below_, digits_at_most(f, 1, 0)};
  }
  Fraction between() {
    std::string low = least_.fraction;
    std::string high = most_->fraction;
    const size_t length = std::max(low.size(), high.size());
    low.resize(length, '0');
    high.resize(length, '0');
    const bool zero_high = all_zeros(high);
    return {all_zeros(low) && !above_ && !(zero_high && below_), digits_between(low, high, 1, 0)};
  }

  Expr digits_at_least(std::string_view bound, uint32_t least, uint32_t used) {
    if (all_zeros(bound)) return above_ ? not_all_zeros(used) : any_digits(least, used);
    if (room(used) == 0) return g_.never();
    const int d = bound[0] - '0';
    return g_.choice({g_.sequence({digit(d, d), digits_at_least(bound.substr(1), 0, used + 1)}),
                      g_.sequence({digit(d + 1, 9), any_digits(0, used + 1)})});
  }
  Expr digits_at_most(std::string_view bound, uint32_t least, uint32_t used) {
    if (all_zeros(bound)) return below_ ? g_.never() : zeros(least, used);
    if (room(used) == 0) return least == 0 ? g_.empty() : g_.never();
    const int d = bound[0] - '0';
    std::vector<Expr> choices{g_.sequence({digit(d, d), digits_at_most(bound.substr(1), 0, used + 1)}),
                              g_.sequence({digit(0, d - 1), any_digits(0, used + 1)})};
    if (least == 0) choices.push_back(g_.empty());
    return g_.choice(std::move(choices));
  }
  // Of one length.
  Expr digits_between(std::string_view low, std::string_view high, uint32_t least, uint32_t used) {
    if (low.empty()) return above_ || below_ ? g_.never() : zeros(least, used);
    std::vector<Expr> choices;
    const bool ends_in = all_zeros(low) && !above_ && !(all_zeros(high) && below_);
    if (least == 0 && ends_in) choices.push_back(g_.empty());
    if (room(used) == 0) return g_.choice(std::move(choices));
    const int a = low[0] - '0';
    const int b = high[0] - '0';
    if (a == b) {
      choices.push_back(g_.sequence({digit(a, a), digits_between(low.substr(1), high.substr(1), 0, used + 1)}));
    } else {
      choices.push_back(g_.sequence({digit(a, a), digits_at_least(low.substr(1), 0, used + 1)}));
      choices.push_back(g_.sequence({digit(a + 1, b - 1), any_digits(0, used + 1)}));
      choices.push_back(g_.sequence({digit(b, b), digits_at_most(high.substr(1), 0, used + 1)}));
    }
    return g_.choice(std::move(choices));
  }

  Grammar& g_;
  Decimal least_;
  std::optional<Decimal> most_;
  bool above_;
  bool below_;
  const NumberForm& form_;
  const bool integer_;
  bool empty_ = false;
  size_t digits_max_ = kIntegerDigits;  // before the point
};

}  // namespace

Result<Decimal> Decimal::of(const json::value& value) {
  std::string text;
  if (value.is_int64()) {
    text = fmt::format("{}", value.get_int64());
  } else if (value.is_uint64()) {
    text = fmt::format("{}", value.get_uint64());
  } else if (value.is_double() && std::isfinite(value.get_double())) {
    text = fmt::format("{}", value.get_double());  // the shortest that means this double
  } else {
    return Error{Errc::kInvalid, "is not a number"};
  }
  Decimal decimal;
  std::string digits;
  int64_t exponent = 0;
  size_t point = std::string::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '-') {
      decimal.negative = true;
    } else if (text[i] == '.') {
      point = digits.size();
    } else if (text[i] == 'e') {
      exponent = std::stoll(text.substr(i + 1));
      break;
    } else {
      digits += text[i];
    }
  }
  int64_t whole_digits = static_cast<int64_t>(point == std::string::npos ? digits.size() : point) + exponent;
  if (whole_digits < 0) {
    digits.insert(0, static_cast<size_t>(-whole_digits), '0');
    whole_digits = 0;
  }
  if (static_cast<size_t>(whole_digits) > digits.size()) digits.resize(static_cast<size_t>(whole_digits), '0');
  decimal.whole = digits.substr(0, static_cast<size_t>(whole_digits));
  decimal.fraction = digits.substr(static_cast<size_t>(whole_digits));
  decimal.whole.erase(0, decimal.whole.find_first_not_of('0'));
  decimal.fraction.erase(decimal.fraction.find_last_not_of('0') + 1);
  if (decimal.is_zero()) decimal.negative = false;
  return decimal;
}

bool less(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative;
  const int order = compare_sizes(a, b);
  return a.negative ? order > 0 : order < 0;
}

void NumberBounds::raise_least(const Decimal& bound, bool exclusive) {
  if (least && less(bound, *least)) return;
  above = exclusive || (least && !less(*least, bound) && above);
  least = bound;
}

void NumberBounds::lower_most(const Decimal& bound, bool exclusive) {
  if (most && less(*most, bound)) return;
  below = exclusive || (most && !less(bound, *most) && below);
  most = bound;
}

Expr number_within(Grammar& grammar, const NumberBounds& bounds, const NumberForm& form) {
  const Decimal zero;
  std::vector<Expr> choices;
  // From 0 up.
  if (!bounds.most || !bounds.most->negative) {
    const bool from_zero = !bounds.least || bounds.least->negative;
    SizeRange range(grammar, from_zero ? zero : *bounds.least, !from_zero && bounds.above, bounds.most, bounds.below,
                    form);
    choices.push_back(range.build());
  }
  // Below 0: sizes are the other way round. "-0" is 0, and left out.
  if (!bounds.least || bounds.least->negative) {
    const bool to_zero = !bounds.most || !bounds.most->negative;
    SizeRange range(grammar, to_zero ? zero : *bounds.most, to_zero || bounds.below, bounds.least, bounds.above, form);
    choices.push_back(grammar.sequence({grammar.literal("-"), range.build()}));
  }
  return grammar.choice(std::move(choices));
}

}  // namespace switchyard::structured
