#include "common/checkpoint/problems.h"

#include <fmt/format.h>

namespace switchyard::checkpoint {

void Problems::add(Errc code, std::string line) {
  if (count_ == 0) code_ = code;
  if (first_.empty()) first_ = line;
  ++count_;
  if (lines_.size() < kListedMax) lines_.push_back(std::move(line));
}

void Problems::add_minor(std::string line) {
  ++count_;
  if (lines_.size() < kListedMax) lines_.push_back(std::move(line));
}

Error Problems::to_error(const std::string& subject) const {
  SWITCHYARD_CHECK(count_ > 0);
  if (count_ == 1) return {code_, lines_.front()};
  const std::string& first = first_.empty() ? lines_.front() : first_;
  std::string message = fmt::format("{}: {} problems, the first: {}", subject, count_, first);
  for (const std::string& line : lines_) message += "\n  " + line;
  if (count_ > lines_.size()) message += fmt::format("\n  ... and {} more", count_ - lines_.size());
  message += "\nthe first of them: " + first;
  return {code_, std::move(message)};
}

}  // namespace switchyard::checkpoint
