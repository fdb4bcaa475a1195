// Nothing here allocates once memory has run out.
#include "common/base/out_of_memory.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

namespace switchyard {
namespace {

char process_name[64] = "process";
thread_local const char* task_what = nullptr;
thread_local const char* task_of = nullptr;

// What the standard library throws and nobody could have handled, as a thread that the system does not give.
[[noreturn]] void on_terminate() {
  if (const std::exception_ptr thrown = std::current_exception()) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
      out_of_memory(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "fatal: %s: %s\n", process_name, error.what());
    } catch (...) {
      std::fprintf(stderr, "fatal: %s: an exception of an unknown kind\n", process_name);
    }
  }
  std::abort();
}

}  // namespace

void end_when_out_of_memory(const std::string& who) {
  strncpy(process_name, who.c_str(), sizeof process_name - 1);
  std::set_new_handler([] { out_of_memory(0); });
  std::set_terminate(on_terminate);
}

void out_of_memory(size_t bytes) {
  char task[512] = "";
  char asked[64] = "";
  if (task_what != nullptr)
    std::snprintf(task, sizeof task, " while %s%s%s", task_what, task_of != nullptr ? " " : "",
                  task_of != nullptr ? task_of : "");
  if (bytes >> 20 != 0)
    std::snprintf(asked, sizeof asked, " (asked for %zu MiB)", bytes >> 20);
  else if (bytes != 0)
    std::snprintf(asked, sizeof asked, " (asked for %zu bytes)", bytes);
  char line[768];
  const int length = std::snprintf(line, sizeof line, "fatal: %s: out of memory%s%s\n", process_name, task, asked);
  (void)!write(STDERR_FILENO, line, static_cast<size_t>(length));
  _exit(1);
}

MemoryTask::MemoryTask(const char* what, const char* of) : outer_what_(task_what), outer_of_(task_of) {
  task_what = what;
  task_of = of;
}

MemoryTask::~MemoryTask() {
  task_what = outer_what_;
  task_of = outer_of_;
}

}  // namespace switchyard
