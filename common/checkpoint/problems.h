// The list of everything that is wrong with a checkpoint, so that a person sees all of it at once.
//
// Thread: one. Bounded: keeps the first kListedMax lines and counts the rest.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace switchyard::checkpoint {

class Problems {
 public:
  static constexpr size_t kListedMax = 200;

  void add(std::string line) { add(Errc::kInvalid, std::move(line)); }
  // The error's code is that of the first problem.
  void add(Errc code, std::string line);
  // One that comes of another as a rule, as bytes without a tensor where a tensor is missing.
  void add_minor(std::string line);

  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }
  const std::vector<std::string>& lines() const { return lines_; }

  // One line as it is. Several under a line that counts them, names the subject and has the first that is not minor,
  // most often the cause of the others: all that is left where an error is given one line. It stands once more at the
  // end, which is what a person sees in a terminal.
  Error to_error(const std::string& subject) const;

 private:
  Errc code_ = Errc::kInvalid;
  size_t count_ = 0;
  std::vector<std::string> lines_;
  std::string first_;  // not minor; empty while all are
};

}  // namespace switchyard::checkpoint
