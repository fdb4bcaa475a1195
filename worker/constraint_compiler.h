// Compiles the constraints of requests, off the threads that serve: the tokenizer is read with the first one, so that
// plain serving pays neither time nor memory.
//
// Threads: compile() from any; `done` comes on a thread of its own, in the order of the calls. Bounds: kWaitingMax
// constraints wait. Its end drops those that wait, without calling `done`.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/result.h"
#include "common/structured/constraint.h"

namespace switchyard::worker {

class ConstraintCompiler {
 public:
  static constexpr size_t kWaitingMax = 4096;
  using Done = std::function<void(Result<std::shared_ptr<structured::Masks>>)>;

  ConstraintCompiler(std::string model_path, uint32_t vocab_size);
  ~ConstraintCompiler();

  // kOverloaded: too many wait.
  Status compile(structured::Constraint constraint, Done done);

 private:
  void run();
  // Reads the tokenizer, once.
  Status open_store();

  const std::string model_path_;
  const uint32_t vocab_size_;
  std::optional<structured::MaskStore> store_;  // the thread's own

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<structured::Constraint, Done>> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace switchyard::worker
