#include "frontend/parsing/call_stage.h"

#include <algorithm>
#include <utility>

#include "frontend/parsing/names.h"

namespace switchyard::parsing {
namespace {

using Kind = CallState::Kind;

}  // namespace

CallStage::CallStage(const CallGrammar& grammar, const ParameterTypes& types, std::string name, Output& output)
    : grammar_(grammar), types_(types), output_(output), name_(std::move(name)) {
  std::vector<std::string_view> literals;
  for (const auto& opening : grammar.openings) literals.push_back(opening.literal);
  openings_ = MarkerScan(literals);
  for (const CallState& state : grammar.states) {
    literals.clear();
    if (state.kind == Kind::kName || state.kind == Kind::kValue)
      for (const CallEdge& edge : state.edges) literals.push_back(edge.literal);
    scans_.emplace_back(literals);
  }
  if (grammar.openings.empty()) enter(0);
}

void CallStage::push(char c) {
  if (state_ == CallGrammar::kOutside) return push_outside(c);
  raw_ += c;
  switch (grammar_.states[state_].kind) {
    case Kind::kLiteral: return push_literal(c);
    case Kind::kName:
    case Kind::kValue: return push_captured(c);
    case Kind::kArguments: return push_arguments(c);
    case Kind::kObject: return push_object(c);
  }
}

void CallStage::text(std::string_view text) {
  for (const char c : text) {
    if (is_space(c)) {
      space_ += c;
      continue;
    }
    if (!after_call_) output_.content(space_);
    space_.clear();
    after_call_ = false;
    output_.content({&c, 1});
  }
}

void CallStage::push_outside(char c) {
  std::string released;
  const auto hit = openings_.push(c, released);
  text(released);
  if (!hit) return;
  const auto& opening = grammar_.openings[*hit];
  raw_ = std::exchange(space_, {});
  raw_ += opening.literal;
  enter(opening.next);
}

void CallStage::enter(uint8_t state) {
  state_ = state;
  read_.clear();
  if (state == CallGrammar::kOutside) {
    raw_.clear();
    openings_.reset();
    return;
  }
  scans_[state].reset();
  json_.reset();
  object_.reset();
  held_.clear();
}

void CallStage::push_literal(char c) {
  if (read_.empty() && is_space(c)) return;
  read_ += c;
  const CallEdge* other = nullptr;
  for (const CallEdge& edge : grammar_.states[state_].edges) {
    if (edge.literal == read_) return take(edge);
    if (edge.literal.starts_with(read_)) return;
    if (edge.literal.empty()) other = &edge;
  }
  const size_t bytes = read_.size();
  if (other == nullptr) return give_up(bytes);
  take(*other);
  read_again(bytes);
}

void CallStage::push_captured(char c) {
  const CallState& state = grammar_.states[state_];
  MarkerScan& scan = scans_[state_];
  const auto hit = scan.push(c, read_);
  if (!hit) {
    if (state.kind == Kind::kName && read_.size() > kNameBytesMax) give_up(read_.size() + scan.held());
    return;
  }
  take(state.edges[*hit]);
}

void CallStage::push_arguments(char c) {
  const bool first = !json_.begun();
  const JsonScan::State state = json_.push(c);
  if (first && state == JsonScan::State::kMore && !json_.begun()) return;  // white space
  if (state == JsonScan::State::kBroken || (first && c != '{')) return give_up(1);
  add_json({&c, 1});
  if (state != JsonScan::State::kDone) return;
  complete_ = true;
  take(grammar_.states[state_].edges[0]);
}

void CallStage::push_object(char c) {
  std::string piece;
  const CallObject::State state = object_.push(c, piece);
  if (state == CallObject::State::kBroken) return give_up(1);
  if (object_.has_name() && !begun_) {
    if (!is_function_name(object_.name())) return give_up(1);
    name_ = object_.name();
  }
  if (!piece.empty()) add_json(piece);
  if (state != CallObject::State::kDone) return;
  complete_ = true;
  take(grammar_.states[state_].edges[0]);
}

void CallStage::take(const CallEdge& edge) {
  if (!act(edge.action)) return give_up(read_.size() + edge.literal.size());
  if (edge.again) {
    raw_.resize(raw_.size() - edge.literal.size());
    sent_ = std::min(sent_, raw_.size());
  }
  enter(edge.next);
  if (edge.action == CallAction::kEnd) raw_.clear();
  if (edge.again) push(edge.literal);
}

bool CallStage::act(CallAction action) {
  switch (action) {
    case CallAction::kNone: return true;
    case CallAction::kName: {
      const std::string name(trim(read_));
      if (!is_function_name(name)) return false;
      name_ = name;
      sent_ = raw_.size();
      return true;
    }
    case CallAction::kKey:
    case CallAction::kTextKey:
    case CallAction::kJsonKey:
      if (!begun_) begin_call();
      key_ = trim(read_);
      key_kind_ = action;
      return true;
    case CallAction::kValue: add_parameter(); return true;
    case CallAction::kEnd: end_call(); return true;
  }
  return true;
}

void CallStage::begin_call() {
  begun_ = true;
  complete_ = false;
  parameter_count_ = 0;
  output_.call_begin(name_);
}

// What has been read of the arguments is valid JSON: behind the brace, a key or the other brace.
void CallStage::add_json(std::string_view piece) {
  if (!begun_) {
    held_ += piece;
    if (held_.size() == 1 || is_space(held_.back())) return;
    begin_call();
    piece = held_;
  }
  add_arguments(piece);
}

void CallStage::add_arguments(std::string_view piece) {
  output_.arguments(piece);
  sent_ = raw_.size();
}

void CallStage::add_parameter() {
  std::string_view value = read_;
  if (grammar_.value_has_own_lines) {
    if (value.starts_with('\n')) value.remove_prefix(1);
    if (value.ends_with('\n')) value.remove_suffix(1);
  }
  std::string piece = parameter_count_++ == 0 ? "{" : ", ";
  piece += json_string(key_) + ": ";
  switch (key_kind_) {
    case CallAction::kTextKey: piece += json_string(value); break;
    case CallAction::kJsonKey: piece += json_of_parameter(value, ParameterTypes::kAny, false); break;
    default: piece += json_of_parameter(value, types_.of(name_, key_), grammar_.untyped_is_text); break;
  }
  add_arguments(piece);
}

void CallStage::end_call() {
  if (!begun_) begin_call();
  if (!complete_) add_arguments(parameter_count_ == 0 ? "{}" : "}");
  output_.call_end();
  begun_ = complete_ = false;
  after_call_ = true;
}

// What was read since text ended is no call, or not part of one. Its last bytes may open the next.
void CallStage::give_up(size_t again_bytes) {
  const std::string again = raw_.substr(raw_.size() - again_bytes);
  raw_.resize(raw_.size() - again_bytes);
  const std::string raw = std::exchange(raw_, {});
  if (!begun_) {
    enter(CallGrammar::kOutside);
    text(raw);
  } else if (complete_) {
    end_call();
    enter(CallGrammar::kOutside);
  } else {
    output_.call_broken(raw, raw.size() - std::min(sent_, raw.size()));
    begun_ = after_call_ = false;
    enter(CallGrammar::kOutside);
  }
  // A grammar without openings has nothing to find any more; else each round is shorter by an opening marker.
  push(again);
}

void CallStage::read_again(size_t bytes) {
  const std::string again = raw_.substr(raw_.size() - bytes);
  raw_.resize(raw_.size() - bytes);
  push(again);
}

void CallStage::finish() {
  if (state_ != CallGrammar::kOutside) give_up(0);
  std::string rest;
  openings_.flush(rest);
  text(rest);
  if (!after_call_) output_.content(space_);
  space_.clear();
}

}  // namespace switchyard::parsing
