// Goal: whatever happens to the launcher or its children, the cause is known and nothing is left behind.
// Method: small shell programs as children; what is left is read from /proc.
#include "launch/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace switchyard::launch {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

Program shell(const std::string& name, const std::string& script, int stop_order = 0) {
  Program program;
  program.name = name;
  program.argv = {"/bin/sh", "-c", script};
  program.stop_order = stop_order;
  program.stop_deadline = milliseconds(5000);
  return program;
}

// Processes with this word in their command line, zombies excepted.
int count_processes_with(const std::string& word) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream in(entry.path() / "cmdline", std::ios::binary);
    const std::string line((std::istreambuf_iterator<char>(in)), {});
    count += line.find(word) != std::string::npos ? 1 : 0;
  }
  return count;
}

template <typename Condition>
bool wait_until(Supervisor& supervisor, Condition condition) {
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  while (!condition()) {  // which may be true for a moment only: /proc shows no line of a program that is being loaded
    if (Clock::now() > deadline) return false;
    supervisor.wait(milliseconds(50));
  }
  return true;
}

std::string unique_word(const char* name) { return fmt::format("switchyard-test-{}-{}", name, getpid()); }

struct Lines {
  std::vector<std::string> all;
  bool has(const std::string& line) const { return std::find(all.begin(), all.end(), line) != all.end(); }
  Supervisor::LineSink sink() {
    return [this](const std::string& line) { all.push_back(line); };
  }
};

TEST(Supervisor, AnEndedChildIsNamedWithItsCodeAndItsLastLine) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  ASSERT_TRUE(supervisor.start(shell("frontend 0", "echo one; echo two >&2; exit 3")).ok());
  ASSERT_TRUE(wait_until(supervisor, [&] { return supervisor.first_exit() != nullptr; }));
  EXPECT_EQ(supervisor.first_exit()->sentence, "frontend 0 exited with code 3");
  EXPECT_EQ(supervisor.first_exit()->last_line, "two");
  EXPECT_EQ(lines.all, (std::vector<std::string>{"one", "two"}));
}

TEST(Supervisor, TheFirstFatalLineIsTheCause) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  ASSERT_TRUE(
      supervisor.start(shell("a", "echo 'fatal: model.safetensors: truncated' >&2; echo 'fatal: other' >&2; exit 1"))
          .ok());
  ASSERT_TRUE(wait_until(supervisor, [&] { return supervisor.first_exit() != nullptr; }));
  EXPECT_EQ(supervisor.first_exit()->fatal_cause, "model.safetensors: truncated");
}

TEST(Supervisor, EndsAreToldOneByOneAndAProgramMayBeStartedAgain) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  ASSERT_TRUE(supervisor.start(shell("a", "echo 'fatal: first' >&2; exit 1")).ok());
  ASSERT_TRUE(wait_until(supervisor, [&] { return supervisor.first_exit() != nullptr; }));
  ASSERT_TRUE(supervisor.start(shell("b", "exit 2")).ok());
  ASSERT_TRUE(wait_until(supervisor, [&] {
    if (supervisor.first_exit() != nullptr && supervisor.first_exit()->name == "a") supervisor.forget_first_exit();
    return supervisor.first_exit() != nullptr;
  }));
  EXPECT_EQ(supervisor.first_exit()->name, "b");
  EXPECT_EQ(supervisor.first_exit()->fatal_cause, "");  // what a said is a's own
  supervisor.forget_first_exit();
  ASSERT_TRUE(supervisor.start(shell("a", "echo again; exit 3")).ok());
  ASSERT_TRUE(wait_until(supervisor, [&] { return supervisor.first_exit() != nullptr; }));
  EXPECT_EQ(supervisor.first_exit()->sentence, "a exited with code 3");
  EXPECT_EQ(supervisor.first_exit()->last_line, "again");
}

TEST(Supervisor, ASignalThatKilledAChildIsNamed) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  ASSERT_TRUE(supervisor.start(shell("coordinator", "kill -9 $$")).ok());
  ASSERT_TRUE(wait_until(supervisor, [&] { return supervisor.first_exit() != nullptr; }));
  EXPECT_EQ(supervisor.first_exit()->sentence, "coordinator was killed by signal 9 (Killed)");
}

TEST(Supervisor, AProgramThatIsNotThereIsAnError) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  Program program;
  program.name = "x";
  program.argv = {"/nowhere/program"};
  const auto status = supervisor.start(program);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "/nowhere/program: cannot be started: No such file or directory");
}

TEST(Supervisor, ProgramsAreStoppedInTheirOrder) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  const auto script = [](const char* name) {
    return fmt::format("trap 'echo {} stops; exit 0' TERM; echo up; while :; do sleep 0.02; done", name);
  };
  ASSERT_TRUE(supervisor.start(shell("last", script("last"), 2)).ok());
  ASSERT_TRUE(supervisor.start(shell("first", script("first"), 0)).ok());
  ASSERT_TRUE(supervisor.start(shell("middle", script("middle"), 1)).ok());
  ASSERT_TRUE(wait_until(supervisor, [&] { return std::count(lines.all.begin(), lines.all.end(), "up") == 3; }));
  supervisor.stop_all();
  lines.all.erase(std::remove(lines.all.begin(), lines.all.end(), "up"), lines.all.end());
  EXPECT_EQ(lines.all, (std::vector<std::string>{"first stops", "middle stops", "last stops"}));
  EXPECT_EQ(supervisor.first_exit(), nullptr);
}

TEST(Supervisor, AChildThatDoesNotListenIsKilledAtItsDeadlineAndItsOwnChildrenToo) {
  const std::string word = unique_word("deaf");
  {
    Lines lines;
    Supervisor supervisor(lines.sink());
    Program deaf = shell(
        "deaf",
        fmt::format("trap '' TERM; (: {0}; setsid sh -c ': {0}; sleep 1000') & echo up; while :; do sleep 1; done",
                    word));
    deaf.stop_deadline = milliseconds(100);
    ASSERT_TRUE(supervisor.start(deaf).ok());
    ASSERT_TRUE(wait_until(supervisor, [&] { return lines.has("up") && count_processes_with(word) >= 2; }));
    supervisor.stop_all();
  }
  EXPECT_EQ(count_processes_with(word), 0);
}

TEST(Supervisor, StopSignalsAreCounted) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  kill(getpid(), SIGTERM);
  ASSERT_TRUE(wait_until(supervisor, [&] { return supervisor.stop_requests() == 1; }));
  // What comes close behind is the same request; what comes later is another.
  kill(getpid(), SIGINT);
  const auto begin = Clock::now();
  while (Clock::now() - begin < milliseconds(250)) supervisor.wait(milliseconds(10));
  EXPECT_EQ(supervisor.stop_requests(), 1);
  kill(getpid(), SIGINT);
  EXPECT_TRUE(wait_until(supervisor, [&] { return supervisor.stop_requests() == 2; }));
}

TEST(Supervisor, ChildrenDieWhenTheLauncherIsKilled) {
  const std::string word = unique_word("orphan");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t launcher = fork();
  ASSERT_GE(launcher, 0);
  if (launcher == 0) {
    Supervisor supervisor([&](const std::string& line) {
      if (line == "up") [[maybe_unused]]
        const auto n = write(ready[1], "u", 1);
    });
    if (!supervisor.start(shell("child", ": " + word + "; trap '' TERM; echo up; while :; do sleep 0.05; done")).ok())
      _exit(1);
    for (;;) supervisor.wait(milliseconds(1000));
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_GE(count_processes_with(word), 1);  // more while the shell forks its sleep
  kill(launcher, SIGKILL);
  waitpid(launcher, nullptr, 0);
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (count_processes_with(word) > 0 && Clock::now() < deadline) usleep(10000);
  EXPECT_EQ(count_processes_with(word), 0);
  close(ready[0]);
  close(ready[1]);
}

TEST(Supervisor, AChildLearnsItsOwnPidWhereItsArgumentsAskForIt) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  Program program = shell("a", "test $$ = \"$0\" && echo same");
  program.argv.emplace_back(kOwnPid);
  ASSERT_TRUE(supervisor.start(program).ok());
  ASSERT_TRUE(wait_until(supervisor, [&] { return supervisor.first_exit() != nullptr; }));
  EXPECT_TRUE(lines.has("same"));
}

TEST(Supervisor, AChildHasNoneOfTheLaunchersFiles) {
  Lines lines;
  Supervisor supervisor(lines.sink());
  const std::string word = unique_word("open-file");
  const std::string path = testing::TempDir() + word;
  const int file = open(path.c_str(), O_RDWR | O_CREAT, 0600);  // without O_CLOEXEC, as some libraries open theirs
  ASSERT_GE(file, 0);
  ASSERT_TRUE(supervisor.start(shell("a", "ls -l /proc/self/fd; echo listed")).ok());
  ASSERT_TRUE(wait_until(supervisor, [&] { return supervisor.first_exit() != nullptr; }));
  close(file);
  std::filesystem::remove(path);
  ASSERT_TRUE(lines.has("listed"));
  bool output_listed = false;
  for (const auto& line : lines.all) {
    output_listed = output_listed || line.find(" 1 -> pipe:") != std::string::npos;
    EXPECT_EQ(line.find(word), std::string::npos) << line;
  }
  EXPECT_TRUE(output_listed);
}

// As Open MPI 4.1.4 prints them.
const std::string kRule(74, '-');

TEST(MpirunBanners, ARankKilledByASignalIsOneSentence) {
  MpirunBanners banners;
  EXPECT_EQ(banners.feed("a line of a rank"), std::vector<std::string>{"a line of a rank"});
  EXPECT_TRUE(banners.feed(kRule).empty());
  EXPECT_TRUE(
      banners.feed("mpirun noticed that process rank 1 with PID 4711 on node vm exited on signal 9 (Killed).").empty());
  EXPECT_TRUE(banners.feed(kRule).empty());
  EXPECT_EQ(banners.death(), "worker rank 1 was killed by signal 9 (Killed)");
}

TEST(MpirunBanners, RanksOfALaterGroupAreNamedByTheirIdInTheCluster) {
  MpirunBanners banners(4);
  banners.feed(kRule);
  banners.feed("mpirun noticed that process rank 1 with PID 4711 on node vm exited on signal 9 (Killed).");
  banners.feed(kRule);
  EXPECT_EQ(banners.death(), "worker rank 5 was killed by signal 9 (Killed)");
}

TEST(MpirunBanners, ARankThatExitedIsOneSentence) {
  MpirunBanners banners;
  for (const std::string& line :
       {kRule, std::string("Primary job  terminated normally, but 1 process returned"),
        std::string("a non-zero exit code. Per user-direction, the job has been aborted."), kRule, kRule,
        std::string("mpirun detected that one or more processes exited with non-zero status, thus causing"),
        std::string("the job to be terminated. The first process to do so was:"), std::string(""),
        std::string("  Process name: [[52061,1],2]"), std::string("  Exit code:    3"), kRule}) {
    EXPECT_TRUE(banners.feed(line).empty()) << line;
  }
  EXPECT_EQ(banners.death(), "worker rank 2 exited with code 3");
}

TEST(MpirunBanners, ABannerOfAnotherKindIsShownWhole) {
  MpirunBanners banners;
  EXPECT_TRUE(banners.feed(kRule).empty());
  EXPECT_TRUE(banners.feed("There are not enough slots available in the system").empty());
  EXPECT_EQ(banners.feed(kRule),
            (std::vector<std::string>{kRule, "There are not enough slots available in the system", kRule}));
  EXPECT_EQ(banners.death(), "");
}

}  // namespace
}  // namespace switchyard::launch
