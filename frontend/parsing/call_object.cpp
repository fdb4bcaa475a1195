#include "frontend/parsing/call_object.h"

#include <boost/json/parse.hpp>
#include <optional>

namespace switchyard::parsing {
namespace {

std::optional<std::string> decode_string(const std::string& text) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  if (error || !value.is_string()) return std::nullopt;
  return std::string(value.get_string());
}

}  // namespace

CallObject::State CallObject::key_done() {
  const auto key = decode_string(text_);
  if (!key) return State::kBroken;
  field_ = *key == "name"                                ? Field::kName
           : *key == "arguments" || *key == "parameters" ? Field::kArguments
                                                         : Field::kOther;
  if ((field_ == Field::kName && has_name_) || (field_ == Field::kArguments && has_arguments_)) return State::kBroken;
  scan_.reset();
  text_.clear();
  verbatim_ = false;
  expect_ = Expect::kColon;
  return State::kMore;
}

CallObject::State CallObject::value_done(std::string& arguments) {
  expect_ = Expect::kCommaOrEnd;
  if (field_ == Field::kName) {
    const auto name = decode_string(text_);
    if (!name) return State::kBroken;
    name_ = *name;
    has_name_ = true;
    arguments += waiting_;
    waiting_.clear();
  } else if (field_ == Field::kArguments) {
    has_arguments_ = true;
    if (verbatim_) return State::kMore;
    std::string object = "{}";
    if (text_ != "null") {
      const auto inner = decode_string(text_);
      if (!inner) return State::kBroken;
      object = trim(*inner);
      if (!object.starts_with('{') || !is_json(object)) return State::kBroken;
    }
    (has_name_ ? arguments : waiting_) += object;
  }
  return State::kMore;
}

CallObject::State CallObject::push_value(char c, std::string& arguments) {
  const bool first = !scan_.begun();
  const JsonScan::State state = scan_.push(c);
  if (state == JsonScan::State::kBroken) return State::kBroken;
  if (first && !scan_.begun()) return State::kMore;  // white space
  if (first && field_ == Field::kArguments) verbatim_ = c == '{';
  if (state != JsonScan::State::kDoneBefore && field_ != Field::kOther) {
    if (!verbatim_)
      text_ += c;
    else
      (has_name_ ? arguments : waiting_) += c;
  }
  if (state == JsonScan::State::kMore) return State::kMore;
  if (value_done(arguments) == State::kBroken) return State::kBroken;
  return state == JsonScan::State::kDoneBefore ? push(c, arguments) : State::kMore;
}

CallObject::State CallObject::object_done(std::string& arguments) const {
  if (!has_name_) return State::kBroken;
  if (!has_arguments_) arguments += "{}";
  return State::kDone;
}

CallObject::State CallObject::push(char c, std::string& arguments) {
  if (expect_ == Expect::kValue) return push_value(c, arguments);
  if (expect_ == Expect::kKey) {
    text_ += c;
    const JsonScan::State state = scan_.push(c);
    if (state == JsonScan::State::kBroken) return State::kBroken;
    return state == JsonScan::State::kDone ? key_done() : State::kMore;
  }
  if (is_space(c)) return State::kMore;
  switch (expect_) {
    case Expect::kObject: expect_ = Expect::kKeyOrEnd; return c == '{' ? State::kMore : State::kBroken;
    case Expect::kColon: expect_ = Expect::kValue; return c == ':' ? State::kMore : State::kBroken;
    case Expect::kCommaOrEnd:
      if (c == '}') return object_done(arguments);
      if (c != ',') return State::kBroken;
      expect_ = Expect::kKeyOrEnd;
      return State::kMore;
    default:  // kKeyOrEnd; "}" behind a comma is forgiven
      if (c == '}') return object_done(arguments);
      if (c != '"') return State::kBroken;
      scan_.reset();
      text_ = c;
      expect_ = Expect::kKey;
      return scan_.push(c) == JsonScan::State::kMore ? State::kMore : State::kBroken;
  }
}

}  // namespace switchyard::parsing
