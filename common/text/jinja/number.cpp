#include "common/text/jinja/number.h"

#include <fmt/format.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <charconv>
#include <cmath>

#include "common/text/jinja/memory.h"
#include "common/text/jinja/value.h"

namespace switchyard::text::jinja {

using boost::multiprecision::cpp_int;

struct BigInt::Impl {
  explicit Impl(cpp_int number)
      : share(number.backend().size() * sizeof(boost::multiprecision::limb_type)), value(std::move(number)) {}
  MemoryShare share;
  cpp_int value;
};

namespace {

unsigned bits(const cpp_int& value) { return value == 0 ? 0 : static_cast<unsigned>(msb(abs(value))) + 1; }

cpp_int checked(cpp_int value) {
  if (bits(value) > BigInt::kMaxBits) fail("OverflowError: a number has too many digits");
  return value;
}

}  // namespace

#define SWITCHYARD_BIG(expression) BigInt(std::make_shared<const Impl>(checked(expression)))

BigInt::BigInt(int64_t value) : impl_(std::make_shared<const Impl>(cpp_int(value))) {}
BigInt BigInt::from_unsigned(uint64_t value) { return SWITCHYARD_BIG(cpp_int(value)); }

BigInt BigInt::parse(std::string_view digits, int base) {
  if (digits.size() > kMaxBits / 4) fail("ValueError: a number has too many digits");
  cpp_int value = 0;
  for (const char c : digits) {
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    value = value * base + digit;
  }
  return SWITCHYARD_BIG(std::move(value));
}

BigInt BigInt::truncate(double value) { return SWITCHYARD_BIG(cpp_int(std::trunc(value))); }

std::optional<int64_t> BigInt::small() const {
  if (impl_->value < INT64_MIN || impl_->value > INT64_MAX) return std::nullopt;
  return static_cast<int64_t>(impl_->value);
}
double BigInt::to_double() const {
  // Through decimal digits: strtod rounds to nearest even, cpp_int's own conversion truncates.
  return std::strtod(impl_->value.str().c_str(), nullptr);
}
std::string BigInt::text(int base) const {
  if (base == 10) return impl_->value.str();
  cpp_int rest = abs(impl_->value);
  std::string out;
  do {
    out.insert(out.begin(), "0123456789abcdef"[static_cast<int>(rest % base)]);
    rest /= base;
  } while (rest != 0);
  return (impl_->value < 0 ? "-" : "") + out;
}
bool BigInt::is_zero() const { return impl_->value == 0; }
bool BigInt::negative() const { return impl_->value < 0; }
int BigInt::compare(const BigInt& other) const { return impl_->value.compare(other.impl_->value); }
int BigInt::compare(double other) const {
  if (std::isinf(other)) return other > 0 ? -1 : 1;
  const int whole = impl_->value.compare(cpp_int(std::trunc(other)));
  if (whole != 0) return whole;
  const double fraction = other - std::trunc(other);
  return fraction > 0 ? -1 : fraction < 0 ? 1 : 0;
}
BigInt BigInt::operator-() const { return SWITCHYARD_BIG(cpp_int(-impl_->value)); }
BigInt BigInt::operator+(const BigInt& other) const {
  return SWITCHYARD_BIG(cpp_int(impl_->value + other.impl_->value));
}
BigInt BigInt::operator-(const BigInt& other) const {
  return SWITCHYARD_BIG(cpp_int(impl_->value - other.impl_->value));
}
BigInt BigInt::operator*(const BigInt& other) const {
  return SWITCHYARD_BIG(cpp_int(impl_->value * other.impl_->value));
}
BigInt BigInt::floor_divide(const BigInt& other) const {
  cpp_int quotient, remainder;
  divide_qr(impl_->value, other.impl_->value, quotient, remainder);
  if (remainder != 0 && (remainder < 0) != (other.impl_->value < 0)) quotient -= 1;
  return SWITCHYARD_BIG(std::move(quotient));
}
BigInt BigInt::modulo(const BigInt& other) const {
  cpp_int remainder = impl_->value % other.impl_->value;
  if (remainder != 0 && (remainder < 0) != (other.impl_->value < 0)) remainder += other.impl_->value;
  return SWITCHYARD_BIG(std::move(remainder));
}
BigInt BigInt::power(const BigInt& exponent) const {
  const auto n = exponent.small();
  const unsigned width = bits(impl_->value);
  if (width > 1 && (!n || *n * static_cast<int64_t>(width - 1) > kMaxBits || *n > kMaxBits)) {
    fail("OverflowError: a number has too many digits");
  }
  if (width <= 1) {  // 0, 1, -1
    if (exponent.is_zero()) return BigInt(1);
    const bool odd = (exponent.impl_->value & 1) != 0;
    return impl_->value < 0 && !odd ? BigInt(1) : *this;
  }
  return SWITCHYARD_BIG(cpp_int(pow(impl_->value, static_cast<unsigned>(*n))));
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, std::abs(value), std::chars_format::scientific).ptr;
  const std::string_view all(buffer, static_cast<size_t>(end - buffer));
  const size_t e = all.find('e');
  std::string digits;
  for (const char c : all.substr(0, e)) {
    if (c != '.') digits += c;
  }
  const int exponent = std::atoi(std::string(all.substr(e + 1)).c_str());
  const int point = exponent + 1;  // digits before the decimal point
  const int count = static_cast<int>(digits.size());
  std::string out = std::signbit(value) ? "-" : "";
  if (point > 16 || point < -3) {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    out += fmt::format("e{}{:02d}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (point <= 0) {
    out += "0." + std::string(static_cast<size_t>(-point), '0') + digits;
  } else if (point >= count) {
    out += digits + std::string(static_cast<size_t>(point - count), '0') + ".0";
  } else {
    out += digits.substr(0, static_cast<size_t>(point)) + "." + digits.substr(static_cast<size_t>(point));
  }
  return out;
}

}  // namespace switchyard::text::jinja
