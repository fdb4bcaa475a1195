// Whole numbers without a limit but memory, and Python's text of numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace switchyard::text::jinja {

// Whole number of any size up to kMaxBits; larger results throw TemplateError. A value; copies share.
class BigInt {
 public:
  static constexpr unsigned kMaxBits = 1 << 15;

  BigInt(int64_t value);
  static BigInt from_unsigned(uint64_t value);
  // base 2 to 36, digits only (no sign, no underscore).
  static BigInt parse(std::string_view digits, int base);
  // The whole part of a finite double.
  static BigInt truncate(double value);

  std::optional<int64_t> small() const;  // where it fits
  double to_double() const;              // infinity where it is too large
  std::string text(int base = 10) const;
  bool is_zero() const;
  bool negative() const;
  int compare(const BigInt& other) const;
  // Exact against a double that is not NaN.
  int compare(double other) const;

  BigInt operator-() const;
  BigInt operator+(const BigInt& other) const;
  BigInt operator-(const BigInt& other) const;
  BigInt operator*(const BigInt& other) const;
  // Rounded down; the remainder has the divisor's sign. The divisor is not zero.
  BigInt floor_divide(const BigInt& other) const;
  BigInt modulo(const BigInt& other) const;
  // exponent >= 0
  BigInt power(const BigInt& exponent) const;

 private:
  struct Impl;
  explicit BigInt(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// repr(float): the shortest digits that give the number back; 1.0, 1e+16, 1e-05, inf, nan.
std::string float_text(double value);

}  // namespace switchyard::text::jinja
