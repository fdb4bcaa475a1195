#include "frontend/parsing/json_scan.h"

namespace switchyard::parsing {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

JsonScan::State JsonScan::value_done() {
  if (open_.empty()) return State::kDone;
  expect_ = Expect::kCommaOrEnd;
  return State::kMore;
}

JsonScan::State JsonScan::begin_value(char c) {
  if (c == '{' || c == '[') {
    if (open_.size() == kDepthMax) return State::kBroken;
    open_ += c;
    expect_ = c == '{' ? Expect::kKeyOrEnd : Expect::kValueOrEnd;
    return State::kMore;
  }
  if (c == '"') {
    is_key_ = false;
    expect_ = Expect::kString;
    return State::kMore;
  }
  if (c == '-' || is_digit(c)) {
    expect_ = Expect::kNumber;
    number_ = c == '-' ? Number::kMinus : c == '0' ? Number::kZero : Number::kInteger;
    return State::kMore;
  }
  for (const std::string_view word : {"true", "false", "null"}) {
    if (c != word[0]) continue;
    word_ = word.substr(1);
    expect_ = Expect::kWord;
    return State::kMore;
  }
  return State::kBroken;
}

JsonScan::State JsonScan::close(char c) {
  if (open_.back() != (c == '}' ? '{' : '[')) return State::kBroken;
  open_.pop_back();
  return value_done();
}

bool JsonScan::number_may_end() const {
  return number_ == Number::kZero || number_ == Number::kInteger || number_ == Number::kFraction ||
         number_ == Number::kDigits;
}

bool JsonScan::number_complete() const { return expect_ == Expect::kNumber && open_.empty() && number_may_end(); }

JsonScan::State JsonScan::push_number(char c) {
  const auto go = [&](Number next) {
    number_ = next;
    return State::kMore;
  };
  const bool digit = is_digit(c);
  const bool exponent = c == 'e' || c == 'E';
  switch (number_) {
    case Number::kMinus:
      if (digit) return go(c == '0' ? Number::kZero : Number::kInteger);
      break;
    case Number::kZero:
    case Number::kInteger:
      if (digit && number_ == Number::kInteger) return State::kMore;
      if (c == '.') return go(Number::kPoint);
      if (exponent) return go(Number::kExponent);
      break;
    case Number::kPoint:
      if (digit) return go(Number::kFraction);
      break;
    case Number::kFraction:
      if (digit) return State::kMore;
      if (exponent) return go(Number::kExponent);
      break;
    case Number::kExponent:
      if (c == '+' || c == '-') return go(Number::kSign);
      [[fallthrough]];
    case Number::kSign:
      if (digit) return go(Number::kDigits);
      break;
    case Number::kDigits:
      if (digit) return State::kMore;
      break;
  }
  if (!number_may_end()) return State::kBroken;
  if (open_.empty()) return State::kDoneBefore;
  expect_ = Expect::kCommaOrEnd;
  return push(c);
}

JsonScan::State JsonScan::push(char c) {
  switch (expect_) {
    case Expect::kString:
      if (static_cast<unsigned char>(c) < 0x20) return State::kBroken;
      if (c == '\\') expect_ = Expect::kEscape;
      if (c != '"') return State::kMore;
      if (!is_key_) return value_done();
      expect_ = Expect::kColon;
      return State::kMore;
    case Expect::kEscape:
      if (std::string_view("\"\\/bfnrtu").find(c) == std::string_view::npos) return State::kBroken;
      expect_ = c == 'u' ? Expect::kHex : Expect::kString;
      hex_left_ = 4;
      return State::kMore;
    case Expect::kHex:
      if (!is_hex(c)) return State::kBroken;
      if (--hex_left_ == 0) expect_ = Expect::kString;
      return State::kMore;
    case Expect::kWord:
      if (c != word_[0]) return State::kBroken;
      word_.remove_prefix(1);
      return word_.empty() ? value_done() : State::kMore;
    case Expect::kNumber: return push_number(c);
    default: break;
  }
  if (is_space(c)) return State::kMore;
  switch (expect_) {
    case Expect::kValueOrEnd:
      if (c == ']') return close(c);
      [[fallthrough]];
    case Expect::kValue: return begin_value(c);
    case Expect::kKeyOrEnd:
      if (c == '}') return close(c);
      [[fallthrough]];
    case Expect::kKey:
      if (c != '"') return State::kBroken;
      is_key_ = true;
      expect_ = Expect::kString;
      return State::kMore;
    case Expect::kColon:
      if (c != ':') return State::kBroken;
      expect_ = Expect::kValue;
      return State::kMore;
    default:  // kCommaOrEnd
      if (c == '}' || c == ']') return close(c);
      if (c != ',') return State::kBroken;
      expect_ = open_.back() == '{' ? Expect::kKey : Expect::kValue;
      return State::kMore;
  }
}

bool is_json(std::string_view text) {
  JsonScan scan;
  for (size_t i = 0; i < text.size(); ++i) {
    const JsonScan::State state = scan.push(text[i]);
    if (state == JsonScan::State::kMore) continue;
    if (state == JsonScan::State::kBroken) return false;
    return trim(text.substr(state == JsonScan::State::kDone ? i + 1 : i)).empty();
  }
  return scan.number_complete();
}

std::string_view trim_front(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

std::string_view trim(std::string_view text) {
  text = trim_front(text);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace switchyard::parsing
