#include "frontend/parsing/output.h"

#include <utility>

namespace switchyard::parsing {
namespace {

MarkerScan scan_for(const std::vector<std::string>& hidden) { return MarkerScan({hidden.begin(), hidden.end()}); }

}  // namespace

Output::Output(const std::vector<std::string>& hidden, bool one_call_only)
    : hidden_(scan_for(hidden)), one_call_only_(one_call_only) {}

void Output::append(Event::Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (events_.empty() || events_.back().kind != kind || kind == Event::Kind::kCallBegin)
    events_.push_back({.kind = kind, .call = calls_ == 0 ? 0 : calls_ - 1, .text = {}});
  events_.back().text += text;
}

void Output::add_text(Event::Kind kind, std::string_view text) {
  if (kind != kind_) settle();
  kind_ = kind;
  if (hidden_.empty()) return append(kind, text);
  std::string shown;
  for (const char c : text) hidden_.push(c, shown);
  append(kind, shown);
}

void Output::settle() {
  std::string rest;
  hidden_.flush(rest);
  append(kind_, rest);
}

std::string Output::without_hidden(std::string_view text) const {
  if (hidden_.empty()) return std::string(text);
  MarkerScan scan = hidden_;
  scan.reset();
  std::string shown;
  for (const char c : text) scan.push(c, shown);
  scan.flush(shown);
  return shown;
}

void Output::call_begin(std::string_view name) {
  settle();
  dropping_ = one_call_only_ && complete_calls_ > 0;
  if (dropping_) return;
  events_.push_back({.kind = Event::Kind::kCallBegin, .call = calls_++, .text = std::string(name)});
}

void Output::arguments(std::string_view piece) {
  if (!dropping_) append(Event::Kind::kArguments, piece);
}

void Output::call_end() {
  if (dropping_) return;
  ++complete_calls_;
  events_.push_back({.kind = Event::Kind::kCallEnd, .call = calls_ - 1, .text = {}});
}

void Output::call_broken(std::string_view text, size_t unsent) {
  if (dropping_) return;
  const std::string tail = without_hidden(text.substr(text.size() - unsent));
  std::string all = without_hidden(text.substr(0, text.size() - unsent)) + tail;
  events_.push_back(
      {.kind = Event::Kind::kCallBroken, .call = calls_ - 1, .text = std::move(all), .unsent = tail.size()});
}

std::vector<Event> Output::take() { return std::exchange(events_, {}); }

std::vector<Event> Output::finish() {
  settle();
  return take();
}

}  // namespace switchyard::parsing
