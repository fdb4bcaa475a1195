#include "frontend/parsing/harmony_stage.h"

#include <utility>

#include "frontend/parsing/names.h"

namespace switchyard::parsing {
namespace {

enum Marker : size_t { kStart, kChannel, kConstrain, kMessage, kEnd, kCall, kReturn };

constexpr std::string_view kFunctions = "functions.";

// The word behind key, up to white space or a marker; "" if the header has no such key.
std::string_view word_behind(std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  if (at == std::string_view::npos) return {};
  header.remove_prefix(at + key.size());
  return header.substr(0, header.find_first_of(" \t\r\n<"));
}

}  // namespace

const std::array<std::string_view, 7>& HarmonyStage::markers() {
  static constexpr std::array<std::string_view, 7> kMarkers = {
      "<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>"};
  return kMarkers;
}

HarmonyStage::HarmonyStage(bool split_reasoning, bool parse_calls, Output& output, Stage& next)
    : split_reasoning_(split_reasoning),
      parse_calls_(parse_calls),
      output_(output),
      next_(next),
      scan_({markers().begin(), markers().end()}) {}

void HarmonyStage::push(char c) {
  std::string released;
  const auto hit = scan_.push(c, released);
  body_ == Body::kNone ? header_text(released) : body_text(released);
  if (!hit) return;
  const std::string_view marker = markers()[*hit];
  switch (static_cast<Marker>(*hit)) {
    case kStart:
      end_body();
      header_ = marker;
      return;
    case kChannel:
      if (body_ != Body::kNone) end_body();
      header_ += marker;
      return;
    case kConstrain:
    case kMessage:
      if (body_ != Body::kNone) return body_text(marker);
      header_ += marker;
      if (*hit == kMessage) begin_body();
      return;
    default: return end_body();
  }
}

void HarmonyStage::header_text(const std::string& text) {
  if (text.empty()) return;
  header_ += text;
  const std::string_view written = trim_front(header_);
  constexpr std::string_view kTo = "to=";
  const bool may_be_header = written.starts_with("<|") || written.starts_with(kTo) || kTo.starts_with(written);
  if (may_be_header && header_.size() <= kHeaderBytesMax) return;
  begin(Body::kContent);
  body_text(std::exchange(header_, {}));
}

void HarmonyStage::begin_body() {
  const std::string_view recipient = word_behind(header_, "to=");
  const bool to_function = recipient.starts_with(kFunctions);
  name_ = to_function ? recipient.substr(kFunctions.size()) : "";
  raw_ = std::exchange(header_, {});
  if (to_function && parse_calls_ && is_function_name(name_)) {
    json_.reset();
    held_.clear();
    call_begun_ = false;
    body_ = Body::kCall;
  } else if (to_function) {
    begin(Body::kContent);
    body_text(raw_);
  } else {
    const bool analysis = word_behind(raw_, markers()[kChannel]) == "analysis";
    begin(analysis && split_reasoning_ ? Body::kReasoning : Body::kContent);
  }
}

void HarmonyStage::begin(Body body) {
  body_ = body;
  newline_due_ = body == Body::kReasoning ? reasoned_ : answered_;
}

void HarmonyStage::body_text(std::string_view text) {
  if (text.empty()) return;
  if (body_ == Body::kCall || body_ == Body::kBehindCall) {
    // A byte can end the call, and what follows is text.
    for (size_t i = 0; i < text.size(); ++i) {
      call_byte(text[i]);
      if (body_ == Body::kContent) return body_text(text.substr(i + 1));
    }
    return;
  }
  const bool newline = std::exchange(newline_due_, false);
  if (body_ == Body::kReasoning) {
    reasoned_ = true;
    if (newline) output_.reasoning("\n");
    output_.reasoning(text);
  } else {
    answered_ = true;
    if (newline) next_.push('\n');
    next_.push(text);
  }
}

void HarmonyStage::call_byte(char c) {
  if (body_ == Body::kBehindCall) {
    if (is_space(c)) return;
    begin(Body::kContent);
    return body_text({&c, 1});
  }
  const bool first = !json_.begun();
  if (first && is_space(c)) {
    raw_ += c;
    return;
  }
  const JsonScan::State state = first && c != '{' ? JsonScan::State::kBroken : json_.push(c);
  if (state == JsonScan::State::kBroken) {
    call_failed();
    return body_text({&c, 1});
  }
  raw_ += c;
  held_ += c;
  if (!call_begun_ && (first || is_space(c))) return;  // begins as in CallStage: with a key, or the other brace
  if (!call_begun_) output_.call_begin(name_);
  call_begun_ = true;
  output_.arguments(std::exchange(held_, {}));
  if (state != JsonScan::State::kDone) return;
  output_.call_end();
  body_ = Body::kBehindCall;
}

// What was written of the call is text, and what follows as well.
void HarmonyStage::call_failed() {
  begin(Body::kContent);
  if (call_begun_) {
    answered_ = true;
    newline_due_ = false;
    output_.call_broken(raw_, 0);
  } else {
    body_text(raw_);
  }
}

void HarmonyStage::end_body() {
  if (body_ == Body::kCall) call_failed();
  body_ = Body::kNone;
  header_.clear();
}

void HarmonyStage::finish() {
  std::string rest;
  scan_.flush(rest);
  if (body_ == Body::kNone) {
    header_text(rest);
    // A header alone says nothing; what has no marker yet was none.
    if (body_ == Body::kNone && header_.find("<|") == std::string::npos) next_.push(std::exchange(header_, {}));
  } else {
    body_text(rest);
  }
  end_body();
  next_.finish();
}

}  // namespace switchyard::parsing
