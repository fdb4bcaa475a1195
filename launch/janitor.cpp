#include "launch/janitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace switchyard::launch {
namespace {

// Ranks that are being killed may still write into the directory: removed again until it stays away.
constexpr int kAttempts = 50;
constexpr useconds_t kPause = 100000;

// The helper, on fd 0. Never returns.
[[noreturn]] void wait_and_remove() {
  std::string directory;
  char bytes[4096];
  for (;;) {
    const ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    directory.append(bytes, static_cast<size_t>(n));
  }
  std::error_code error;
  for (int i = 0; i < kAttempts && !directory.empty() && std::filesystem::exists(directory, error); ++i) {
    std::filesystem::remove_all(directory, error);
    usleep(kPause);
  }
  _exit(0);
}

}  // namespace

Janitor::Janitor() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
  const pid_t child = fork();
  if (child == 0) {
    // A second fork: init reaps the helper, and its session is out of reach of the terminal's signals.
    setsid();
    if (fork() != 0) _exit(0);
    prctl(PR_SET_NAME, "sy-janitor");
    for (const int s : {SIGINT, SIGTERM, SIGHUP}) signal(s, SIG_IGN);
    dup2(ends[0], STDIN_FILENO);
    // Whoever reads our output must see its end when the launcher ends.
    const int nothing = open("/dev/null", O_WRONLY);
    dup2(nothing, STDOUT_FILENO);
    dup2(nothing, STDERR_FILENO);
    closefrom(STDERR_FILENO + 1);
    wait_and_remove();
  }
  close(ends[0]);
  if (child < 0) {
    close(ends[1]);
    return;
  }
  waitpid(child, nullptr, 0);
  socket_ = ends[1];
}

Janitor::~Janitor() {
  if (socket_ < 0) return;
  shutdown(socket_, SHUT_WR);
  char ended;
  while (read(socket_, &ended, 1) < 0 && errno == EINTR) continue;
  close(socket_);
}

void Janitor::watch(const std::string& directory) {
  // A path fits in the socket's buffer: one call takes it all. If the helper is gone, the next start cleans up.
  if (socket_ >= 0) send(socket_, directory.data(), directory.size(), MSG_NOSIGNAL);
}

}  // namespace switchyard::launch
