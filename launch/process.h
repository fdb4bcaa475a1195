// Child processes of the launcher: started, listened to and ended, with nothing left behind.
//
// Thread: one, and the same for the whole life of a Supervisor: the kernel ties a child's death signal to the thread
// that forked it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace switchyard::launch {

// In a program's arguments: the pid that it gets. For mpirun, whose ranks are told whom to outlive not.
constexpr std::string_view kOwnPid = "{own-pid}";

struct Program {
  std::string name;               // "frontend 0", for messages
  std::vector<std::string> argv;  // argv[0] is the file
  int stop_order = 0;             // programs of a lower number are stopped first
  // What the kernel sends the child when the launcher is gone, however that happened.
  int death_signal = 9;
  std::chrono::milliseconds stop_deadline{5000};  // from SIGTERM to SIGKILL
  // Stop by SIGTERM to its own children rather than to itself: mpirun told to stop kills its ranks, which could have
  // said goodbye.
  bool stop_children = false;
  // mpirun: its banners about dead ranks are turned into one sentence each.
  bool is_mpirun = false;
  uint32_t first_rank = 0;  // mpirun: the id in the cluster of the rank that it calls 0
};

// How a program ended.
struct Exit {
  std::string name;
  int code = 0;    // of a normal end
  int signal = 0;  // else
  // "frontend 0 exited with code 1", "worker rank 1 was killed by signal 9 (Killed)"
  std::string sentence;
  std::string last_line;    // that it wrote
  std::string fatal_cause;  // its first "fatal: ..." line, without the word; "" = none
};

// Turns the banners of mpirun ("mpirun noticed that process rank 1 with PID ...") into a sentence; other lines pass.
class MpirunBanners {
 public:
  explicit MpirunBanners(uint32_t first_rank = 0) : first_rank_(first_rank) {}
  // Lines to show for one line of mpirun's stderr: none inside a banner that is understood.
  std::vector<std::string> feed(const std::string& line);
  // "worker rank 1 exited with code 3"; "" while none died.
  const std::string& death() const { return death_; }

 private:
  const uint32_t first_rank_;
  bool inside_ = false;
  std::vector<std::string> banner_;
  std::string death_;
};

class Supervisor {
 public:
  // Called with each line a child wrote to stdout or stderr.
  using LineSink = std::function<void(const std::string& line)>;

  // Takes over SIGINT, SIGTERM, SIGHUP and SIGCHLD of this process; orphans of children become its children.
  explicit Supervisor(LineSink sink);
  // Kills what is left.
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // A program of the same name may have ended before. Errors: the file cannot be executed.
  Status start(const Program& program);

  // Waits for something to happen, but no longer than `longest`; passes lines on meanwhile.
  void wait(std::chrono::milliseconds longest);

  // The first program that ended by itself, of those that forget_first_exit() has not dropped; null: none. Valid until
  // then.
  const Exit* first_exit() const { return exits_.empty() ? nullptr : &exits_.front(); }
  void forget_first_exit() { exits_.pop_front(); }
  // Times that SIGINT, SIGTERM or SIGHUP came. What comes within 200 ms is one request: `timeout` and others signal a
  // process and its group.
  int stop_requests() const { return stop_requests_; }

  // Stops all programs, in stop order, each group with its deadline, and waits until no child and no orphan of one is
  // left. A further stop request while it waits turns the deadlines to zero.
  void stop_all();

 private:
  struct Child;
  void reap();
  void read_output(Child& child);
  void line(Child& child, const std::string& text);
  void finish(Child& child, int status);
  bool running(int stop_order) const;
  void begin_stop(Child& child);
  void kill_orphans();

  LineSink sink_;
  std::vector<std::unique_ptr<Child>> children_;
  int signal_fd_ = -1;
  int stop_requests_ = 0;
  std::chrono::steady_clock::time_point last_stop_signal_;
  bool stopping_ = false;
  std::deque<Exit> exits_;
};

}  // namespace switchyard::launch
