#include "launch/bench/answer_reader.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>

namespace switchyard::launch {
namespace {

namespace json = boost::json;
using boost::system::error_code;

constexpr size_t kHeadBytesMax = 64U << 10;
constexpr size_t kBodyBytesMax = 16U << 20;
constexpr size_t kDepthMax = 32;  // also boost::json's own

enum class Key { kOther, kChoices, kText, kDelta, kFinish, kRole, kUsage, kPrompt, kCompletion, kError, kMessage };

Key key_of(std::string_view name) {
  static constexpr std::pair<std::string_view, Key> kNames[] = {
      {"choices", Key::kChoices},        {"text", Key::kText},      {"content", Key::kText},
      {"reasoning_content", Key::kText}, {"reasoning", Key::kText}, {"delta", Key::kDelta},
      {"finish_reason", Key::kFinish},   {"role", Key::kRole},      {"usage", Key::kUsage},
      {"prompt_tokens", Key::kPrompt},   {"error", Key::kError},    {"completion_tokens", Key::kCompletion},
      {"message", Key::kMessage},
  };
  for (const auto& [known, key] : kNames)
    if (known == name) return key;
  return Key::kOther;
}

// Follows the path of keys to where the parser is; builds nothing.
class Handler {
 public:
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_key_size = SIZE_MAX;
  static constexpr size_t max_string_size = SIZE_MAX;

  AnswerFacts facts;
  bool with_text = false;

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    begin();
    if (is(Key::kChoices)) facts.has_choice = true;
    return true;
  }
  bool on_object_end(size_t, error_code&) { return end(); }
  bool on_array_begin(error_code&) { return begin(); }
  bool on_array_end(size_t, error_code&) { return end(); }
  bool on_key_part(json::string_view text, size_t, error_code&) {
    key_ += std::string_view(text);
    return true;
  }
  bool on_key(json::string_view text, size_t, error_code&) {
    if (key_.empty()) {
      keys_[depth_] = key_of({text.data(), text.size()});
    } else {
      key_ += std::string_view(text);
      keys_[depth_] = key_of(key_);
      key_.clear();
    }
    return true;
  }
  bool on_string_part(json::string_view text, size_t, error_code&) { return string(text); }
  bool on_string(json::string_view text, size_t, error_code&) {
    if (is(Key::kChoices, Key::kFinish)) facts.finished = true;
    if (is(Key::kChoices, Key::kDelta, Key::kRole)) facts.has_role = true;
    return string(text);
  }
  bool on_number_part(json::string_view, error_code&) { return true; }
  bool on_int64(int64_t value, json::string_view, error_code&) {
    return number(static_cast<uint64_t>(std::max<int64_t>(value, 0)));
  }
  bool on_uint64(uint64_t value, json::string_view, error_code&) { return number(value); }
  bool on_double(double, json::string_view, error_code&) { return true; }
  bool on_bool(bool, error_code&) { return true; }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

 private:
  // keys_[0] is none's; an array has the key kOther at its own depth. choices[i].delta.content: choices, -, delta,
  // text.
  bool begin() {
    if (depth_ + 1 < keys_.size()) keys_[++depth_] = Key::kOther;
    return true;
  }
  bool end() {
    if (depth_ > 0) --depth_;
    return true;
  }
  bool is(Key first) const { return depth_ == 3 && keys_[1] == first; }
  bool is(Key first, Key second) const { return is(first) && keys_[3] == second; }
  bool is(Key first, Key second, Key third) const {
    return depth_ == 4 && keys_[1] == first && keys_[3] == second && keys_[4] == third;
  }

  bool string(json::string_view text) {
    const bool is_text = is(Key::kChoices, Key::kText) || is(Key::kChoices, Key::kDelta, Key::kText) ||
                         is(Key::kChoices, Key::kMessage, Key::kText);
    if (is_text) {
      facts.has_text = facts.has_text || !text.empty();
      if (with_text) facts.text.append(text.data(), text.size());
    }
    const bool is_error = (depth_ == 2 && keys_[1] == Key::kError && keys_[2] == Key::kMessage) ||
                          (depth_ == 1 && keys_[1] == Key::kError);
    if (is_error) facts.error.append(text.data(), text.size());
    return true;
  }
  bool number(uint64_t value) {
    if (depth_ != 2 || keys_[1] != Key::kUsage) return true;
    if (keys_[2] == Key::kPrompt) facts.prompt_tokens = value;
    if (keys_[2] == Key::kCompletion) facts.completion_tokens = value;
    return true;
  }

  std::array<Key, kDepthMax + 2> keys_{};
  size_t depth_ = 0;
  std::string key_;  // of one that came in parts
};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::optional<AnswerFacts> read_facts(std::string_view text, bool with_text) {
  json::basic_parser<Handler> parser{json::parse_options()};
  parser.handler().with_text = with_text;
  error_code error;
  const size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (error || !parser.done() || text.find_first_not_of(" \t\r\n", used) != std::string_view::npos) return std::nullopt;
  if (text.find('{') != text.find_first_not_of(" \t\r\n")) return std::nullopt;
  return std::move(parser.handler().facts);
}

void AnswerReader::reset() {
  part_ = Part::kHead;
  status_ = 0;
  keep_alive_ = true;
  is_events_ = has_digit_ = line_begun_ = false;
  left_ = 0;
  pending_.clear();
}

AnswerReader::State AnswerReader::feed(std::string_view bytes, const OnData& on_data) {
  while (!bytes.empty() && part_ != Part::kBroken) {
    if (part_ == Part::kDone) {
      part_ = Part::kBroken;
      break;
    }
    bytes.remove_prefix(take(bytes, on_data));
  }
  if (part_ == Part::kBroken) return State::kBroken;
  return part_ == Part::kDone ? State::kDone : State::kReading;
}

AnswerReader::State AnswerReader::feed_end(const OnData& on_data) {
  keep_alive_ = false;
  if (part_ == Part::kUntilClose) finish(on_data);
  if (part_ == Part::kDone) return State::kDone;
  part_ = Part::kBroken;
  return State::kBroken;
}

// Takes at least one byte.
size_t AnswerReader::take(std::string_view bytes, const OnData& on_data) {
  switch (part_) {
    case Part::kHead: {
      const size_t before = pending_.size();
      pending_ += bytes.substr(0, kHeadBytesMax);
      const size_t end = pending_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
      if (end == std::string::npos) {
        if (pending_.size() >= kHeadBytesMax) part_ = Part::kBroken;
        return bytes.size();
      }
      const size_t used = end + 4 - before;
      pending_.resize(end + 2);
      if (!read_head()) part_ = Part::kBroken;
      pending_.clear();
      if (part_ == Part::kLength && left_ == 0) finish(on_data);
      return used;
    }
    case Part::kLength:
    case Part::kChunkData: {
      const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      body(bytes.substr(0, count), on_data);
      left_ -= count;
      if (left_ > 0 || part_ == Part::kBroken) return count;
      if (part_ == Part::kLength)
        finish(on_data);
      else
        part_ = Part::kChunkEnd;
      return count;
    }
    case Part::kUntilClose: body(bytes, on_data); return bytes.size();
    case Part::kChunkSize: {
      // Extensions behind the size are skipped.
      if (bytes.front() == '\n') {
        part_ = !has_digit_ ? Part::kBroken : left_ == 0 ? Part::kTrailer : Part::kChunkData;
        has_digit_ = line_begun_ = false;
        return 1;
      }
      const int digit = line_begun_ ? -1 : hex_digit(bytes.front());
      if (digit < 0) {
        line_begun_ = true;
      } else {
        has_digit_ = true;
        left_ = left_ << 4 | static_cast<uint64_t>(digit);
        if (left_ > kBodyBytesMax) part_ = Part::kBroken;
      }
      return 1;
    }
    case Part::kChunkEnd:
      if (bytes.front() == '\n') part_ = Part::kChunkSize;
      return 1;
    case Part::kTrailer:
      if (bytes.front() == '\n' && !line_begun_)
        finish(on_data);
      else
        line_begun_ = bytes.front() != '\n' && (line_begun_ || bytes.front() != '\r');
      return 1;
    case Part::kDone:
    case Part::kBroken: break;
  }
  return bytes.size();
}

bool AnswerReader::read_head() {
  std::string_view head = pending_;
  const auto next_line = [&] {
    const size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(head.size(), end + 2));
    return line;
  };
  const std::string_view first = next_line();  // HTTP/1.1 200 OK
  if (!first.starts_with("HTTP/1.") || first.size() < 12) return false;
  if (std::from_chars(first.data() + 9, first.data() + 12, status_).ec != std::errc()) return false;
  keep_alive_ = first[7] == '1';
  if (status_ / 100 == 1) {  // an interim answer: the real one follows
    status_ = 0;
    return true;
  }
  part_ = Part::kUntilClose;
  while (!head.empty()) {
    const std::string_view line = next_line();
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    const std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
    if (equal_ignoring_case(name, "transfer-encoding")) {
      part_ = Part::kChunkSize;
    } else if (equal_ignoring_case(name, "content-length") && part_ != Part::kChunkSize) {
      if (std::from_chars(value.data(), value.data() + value.size(), left_).ec != std::errc()) return false;
      if (left_ > kBodyBytesMax) return false;
      part_ = Part::kLength;
    } else if (equal_ignoring_case(name, "content-type")) {
      is_events_ = value.starts_with("text/event-stream");
    } else if (equal_ignoring_case(name, "connection")) {
      keep_alive_ = !equal_ignoring_case(value, "close");
    }
  }
  if (part_ == Part::kChunkSize) left_ = 0;
  return true;
}

void AnswerReader::body(std::string_view bytes, const OnData& on_data) {
  if (is_events_ && pending_.empty()) {
    bytes.remove_prefix(events(bytes, on_data));
    pending_ = bytes;
  } else {
    pending_ += bytes;
    if (is_events_) pending_.erase(0, events(pending_, on_data));
  }
  if (pending_.size() > kBodyBytesMax) part_ = Part::kBroken;
}

// How much of it was complete events. Lines other than data (comments, names) are skipped.
size_t AnswerReader::events(std::string_view bytes, const OnData& on_data) {
  size_t used = 0;
  for (;;) {
    const size_t end = bytes.find('\n', used);
    if (end == std::string_view::npos) return used;
    const std::string_view line = trimmed(bytes.substr(used, end - used));
    if (line.starts_with("data:")) on_data(trimmed(line.substr(5)));
    used = end + 1;
  }
}

void AnswerReader::finish(const OnData& on_data) {
  part_ = Part::kDone;
  if (is_events_) return;
  const std::string whole = std::move(pending_);
  pending_.clear();
  on_data(whole);
}

}  // namespace switchyard::launch
