// A process that gets no memory ends with a line that says so, and what it was about:
//   fatal: rank 2: out of memory while loading model.layers.3.mlp.experts.7.up_proj.weight (asked for 96 MiB)
//
// It ends at the allocation that fails: whoever waits for it sees a dead process at once, and no half-changed state
// goes on. A request whose answer would have needed the memory ends with the process; others hold it to its limits.
//
// Thread: any.
#pragma once

#include <cstddef>
#include <string>

namespace switchyard {

// From now on a failed `new` ends this process; so does an exception that nobody catches, with its text. who: "rank 2".
void end_when_out_of_memory(const std::string& who);

// bytes: what was asked for; 0 = unknown. Exit code 1.
[[noreturn]] void out_of_memory(size_t bytes);

// What this thread is about while the object lives, as it follows "while": "loading NAME". The innermost one is said.
class MemoryTask {
 public:
  // Both live as long; `of` may be null.
  explicit MemoryTask(const char* what, const char* of = nullptr);
  ~MemoryTask();
  MemoryTask(const MemoryTask&) = delete;
  MemoryTask& operator=(const MemoryTask&) = delete;

 private:
  const char* outer_what_;
  const char* outer_of_;
};

}  // namespace switchyard
