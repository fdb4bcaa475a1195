#include "launch/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

namespace switchyard::launch {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxLineBytes = 64 * 1024;  // a longer line is passed on in pieces
constexpr milliseconds kOneRequest{200};

std::string signal_text(int number) {
  const char* words = strsignal(number);
  return fmt::format("signal {} ({})", number, words == nullptr ? "?" : words);
}

// The number that follows `after` in `text`.
std::optional<int> number_after(const std::string& text, std::string_view after) {
  const auto at = text.find(after);
  if (at == std::string::npos) return std::nullopt;
  const char* begin = text.data() + at + after.size();
  const char* end = text.data() + text.size();
  while (begin != end && *begin == ' ') ++begin;
  int value = 0;
  if (std::from_chars(begin, end, value).ec != std::errc()) return std::nullopt;
  return value;
}

bool is_rule(const std::string& line) { return line.size() >= 60 && line.find_first_not_of('-') == std::string::npos; }

// Of any of its threads.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::error_code ec;
  const std::filesystem::path tasks = fmt::format("/proc/{}/task", parent);
  for (std::filesystem::directory_iterator it(tasks, ec), end; !ec && it != end; it.increment(ec)) {
    std::ifstream list(it->path() / "children");
    for (pid_t pid; list >> pid;) found.push_back(pid);
  }
  return found;
}

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, s);
  return set;
}

// Some that can be waited for, running or not. (/proc's list of them may miss some while others end.)
bool has_children() {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// In the child, between fork and exec. Never returns.
[[noreturn]] void become(std::vector<char*>& argv, pid_t parent, int death_signal, int output, int error_pipe) {
  const sigset_t handled = handled_signals();
  sigprocmask(SIG_UNBLOCK, &handled, nullptr);
  signal(SIGPIPE, SIG_DFL);
  char own_pid[16];
  snprintf(own_pid, sizeof own_pid, "%d", static_cast<int>(getpid()));
  for (char*& argument : argv) {
    if (argument != nullptr && std::string_view(argument) == kOwnPid) argument = own_pid;
  }
  // A group of its own: Ctrl-C in a terminal reaches the launcher alone, which then stops all in order.
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, death_signal);
  if (getppid() != parent) _exit(1);  // it died before the line above
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  // Asio opens sockets without O_CLOEXEC: a rank that is started again has no business with this process's connection
  // to the coordinator, on which it would speak as the launcher. Kernels before 5.11 do not know the flag.
  close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  execvp(argv.front(), argv.data());
  const int cause = errno;
  [[maybe_unused]] const auto written = write(error_pipe, &cause, sizeof cause);
  _exit(127);
}

}  // namespace

std::vector<std::string> MpirunBanners::feed(const std::string& line) {
  if (!inside_) {
    if (!is_rule(line)) return {line};
    inside_ = true;
    banner_ = {line};
    return {};
  }
  banner_.push_back(line);
  if (!is_rule(line) && banner_.size() < 100) return {};
  inside_ = false;
  std::string text;
  for (const auto& l : banner_) text += l + " ";
  const auto death = [&]() -> std::string {
    if (text.find("noticed that process rank") != std::string::npos) {
      const auto rank = number_after(text, "process rank");
      const auto number = number_after(text, "on signal");
      if (rank && number)
        return fmt::format("worker rank {} was killed by {}", first_rank_ + *rank, signal_text(*number));
    }
    if (const auto code = number_after(text, "Exit code:")) {
      // "Process name: [[52061,1],1]": the last number is the rank.
      const auto name = text.find("Process name:");
      const auto rank = name == std::string::npos ? std::nullopt : number_after(text.substr(name), "],");
      if (rank) return fmt::format("worker rank {} exited with code {}", first_rank_ + *rank, *code);
    }
    if (text.find("MPI_ABORT was invoked") != std::string::npos) {
      if (const auto rank = number_after(text, "on rank"))
        return fmt::format("worker rank {} called MPI_Abort", first_rank_ + *rank);
    }
    return "";
  }();
  // "Primary job terminated normally, but 1 process returned a non-zero exit code" says less than the banner that
  // follows it.
  const bool is_preamble = text.find("Primary job") != std::string::npos;
  std::vector<std::string> shown;
  if (death.empty() && !is_preamble) shown = banner_;
  if (!death.empty() && death_.empty()) death_ = death;
  banner_.clear();
  return shown;
}

struct Supervisor::Child {
  explicit Child(const Program& p) : program(p), banners(p.first_rank) {}
  ~Child() {
    if (output >= 0) close(output);
  }
  Program program;
  pid_t pid = -1;
  int output = -1;      // read end
  std::string partial;  // a line that has not ended yet
  std::string last_line;
  std::string fatal_cause;
  bool exited = false;
  bool signalled = false;  // told to stop: its end is no surprise
  MpirunBanners banners;
};

Supervisor::Supervisor(LineSink sink) : sink_(std::move(sink)) {
  const sigset_t handled = handled_signals();
  SWITCHYARD_CHECK(sigprocmask(SIG_BLOCK, &handled, nullptr) == 0);
  signal(SIGPIPE, SIG_IGN);
  signal_fd_ = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
  SWITCHYARD_CHECK(signal_fd_ >= 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Supervisor::~Supervisor() {
  for (auto& child : children_) child->program.stop_deadline = milliseconds(0);
  stop_all();
  close(signal_fd_);
}

Status Supervisor::start(const Program& program) {
  int output[2];
  int error[2];
  if (pipe2(output, O_CLOEXEC) != 0) return Error{Errc::kIo, fmt::format("pipe: {}", std::strerror(errno))};
  if (pipe2(error, O_CLOEXEC) != 0) {
    close(output[0]);
    close(output[1]);
    return Error{Errc::kIo, fmt::format("pipe: {}", std::strerror(errno))};
  }
  std::vector<char*> argv;
  for (const auto& argument : program.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(argv, parent, program.death_signal, output[1], error[1]);
  const int fork_error = errno;
  close(output[1]);
  close(error[1]);
  int cause = 0;
  if (pid < 0) {
    cause = fork_error;
  } else {
    ssize_t n;
    do n = read(error[0], &cause, sizeof cause);
    while (n < 0 && errno == EINTR);
    if (n != static_cast<ssize_t>(sizeof cause)) cause = 0;  // closed by exec: it runs
    if (cause != 0) waitpid(pid, nullptr, 0);
  }
  close(error[0]);
  if (cause != 0) {
    close(output[0]);
    return Error{Errc::kIo, fmt::format("{}: cannot be started: {}", program.argv.front(), std::strerror(cause))};
  }
  fcntl(output[0], F_SETFL, O_NONBLOCK);
  std::erase_if(children_, [](const auto& c) { return c->exited; });
  auto child = std::make_unique<Child>(program);
  child->pid = pid;
  child->output = output[0];
  children_.push_back(std::move(child));
  return {};
}

void Supervisor::line(Child& child, const std::string& text) {
  const auto shown = child.program.is_mpirun ? child.banners.feed(text) : std::vector<std::string>{text};
  for (const auto& l : shown) {
    constexpr std::string_view kFatal = "fatal: ";
    if (!l.empty()) child.last_line = l;
    if (l.starts_with(kFatal)) {
      if (child.fatal_cause.empty()) child.fatal_cause = l.substr(kFatal.size());
    }
    sink_(l);
  }
}

void Supervisor::read_output(Child& child) {
  char buffer[16384];
  while (child.output >= 0) {
    const ssize_t n = read(child.output, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      close(child.output);
      child.output = -1;
      break;
    }
    child.partial.append(buffer, static_cast<size_t>(n));
    size_t begin = 0;
    for (size_t end; (end = child.partial.find('\n', begin)) != std::string::npos; begin = end + 1) {
      line(child, child.partial.substr(begin, end - begin));
    }
    child.partial.erase(0, begin);
    if (child.partial.size() > kMaxLineBytes) line(child, std::exchange(child.partial, {}));
  }
  if (!child.partial.empty()) line(child, std::exchange(child.partial, {}));
}

void Supervisor::finish(Child& child, int status) {
  read_output(child);  // its last words
  child.exited = true;
  Exit exit;
  exit.name = child.program.name;
  exit.last_line = child.last_line;
  exit.fatal_cause = child.fatal_cause;
  exit.code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  exit.sentence = exit.signal != 0 ? fmt::format("{} was killed by {}", exit.name, signal_text(exit.signal))
                                   : fmt::format("{} exited with code {}", exit.name, exit.code);
  if (!child.banners.death().empty()) exit.sentence = child.banners.death();
  if (!child.signalled && !stopping_) exits_.push_back(std::move(exit));
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    for (auto& child : children_) {
      if (child->pid == pid && !child->exited) finish(*child, status);
    }
  }
}

void Supervisor::wait(milliseconds longest) {
  std::vector<pollfd> fds{{signal_fd_, POLLIN, 0}};
  std::vector<Child*> readers;
  for (auto& child : children_) {
    if (child->output < 0) continue;
    fds.push_back({child->output, POLLIN, 0});
    readers.push_back(child.get());
  }
  const int timeout = static_cast<int>(std::clamp<int64_t>(longest.count(), 0, 3600 * 1000));
  if (poll(fds.data(), fds.size(), timeout) <= 0) return;
  for (size_t i = 0; i < readers.size(); ++i) {
    if (fds[i + 1].revents != 0) read_output(*readers[i]);
  }
  signalfd_siginfo info;
  bool child_ended = false;
  while (read(signal_fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) {
      child_ended = true;
    } else {
      const auto now = Clock::now();
      if (stop_requests_ == 0 || now - last_stop_signal_ > kOneRequest) ++stop_requests_;
      last_stop_signal_ = now;
    }
  }
  if (child_ended) reap();
}

bool Supervisor::running(int stop_order) const {
  return std::any_of(children_.begin(), children_.end(),
                     [&](const auto& c) { return !c->exited && c->program.stop_order == stop_order; });
}

// Children that we did not start: ranks whose mpirun was killed under them, now ours.
void Supervisor::kill_orphans() {
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (Clock::now() < deadline) {
    reap();
    if (!has_children()) return;
    for (const pid_t pid : children_of(getpid())) kill(pid, SIGKILL);
    wait(milliseconds(20));
  }
}

void Supervisor::begin_stop(Child& child) {
  child.signalled = true;
  if (child.program.stop_deadline.count() <= 0) {
    kill(child.pid, SIGKILL);
    return;
  }
  bool any = false;
  if (child.program.stop_children) {
    for (const pid_t pid : children_of(child.pid)) any = kill(pid, SIGTERM) == 0 || any;
  }
  if (!any) kill(child.pid, SIGTERM);
}

void Supervisor::stop_all() {
  stopping_ = true;
  std::vector<int> orders;
  for (const auto& child : children_) orders.push_back(child->program.stop_order);
  std::sort(orders.begin(), orders.end());
  orders.erase(std::unique(orders.begin(), orders.end()), orders.end());
  const int requests_before = stop_requests_;
  for (const int order : orders) {
    milliseconds longest{0};
    for (auto& child : children_) {
      if (child->exited || child->program.stop_order != order) continue;
      begin_stop(*child);
      longest = std::max(longest, child->program.stop_deadline);
    }
    const auto deadline = Clock::now() + longest;
    const auto halfway = Clock::now() + longest / 2;
    while (running(order) && stop_requests_ == requests_before && Clock::now() < halfway) {
      wait(std::chrono::duration_cast<milliseconds>(halfway - Clock::now()) + milliseconds(1));
    }
    for (auto& child : children_) {  // its children did not listen, or there are new ones
      if (!child->exited && child->program.stop_order == order && child->program.stop_children)
        kill(child->pid, SIGTERM);
    }
    while (running(order) && stop_requests_ == requests_before && Clock::now() < deadline) {
      wait(std::chrono::duration_cast<milliseconds>(deadline - Clock::now()) + milliseconds(1));
    }
    for (auto& child : children_) {
      if (!child->exited && child->program.stop_order == order) kill(child->pid, SIGKILL);
    }
    while (running(order)) wait(milliseconds(1000));
  }
  kill_orphans();
}

}  // namespace switchyard::launch
