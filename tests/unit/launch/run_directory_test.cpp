// Goal: the run directory is private, removed at the end, and one that a killed launcher left is removed by the next.
#include "launch/run_directory.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

namespace switchyard::launch {
namespace {

namespace fs = std::filesystem;

class RunDirectoryTest : public testing::Test {
 protected:
  RunDirectoryTest() {
    std::string name = (fs::temp_directory_path() / "run-base-XXXXXX").string();
    base_ = mkdtemp(name.data());
  }
  ~RunDirectoryTest() override { fs::remove_all(base_); }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(base_), fs::directory_iterator()));
  }
  fs::path base_;
};

TEST_F(RunDirectoryTest, ItIsTheOwnersAloneAndGoneAfterwards) {
  {
    const auto run = RunDirectory::make(base_.string());
    ASSERT_TRUE(run.ok()) << run.error().message;
    struct stat info {};
    ASSERT_EQ(stat(run->path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    const auto file = run->write("secret", "abc");
    ASSERT_TRUE(file.ok());
    ASSERT_EQ(stat(file->c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    EXPECT_EQ(info.st_size, 3);
    EXPECT_FALSE(run->write("secret", "again").ok());
    EXPECT_EQ(entries(), 1U);
  }
  EXPECT_EQ(entries(), 0U);
}

TEST_F(RunDirectoryTest, AKilledLaunchersIsRemovedByTheNextAndALivingOnesIsNot) {
  const auto alive = RunDirectory::make(base_.string());
  ASSERT_TRUE(alive.ok());
  const pid_t child = fork();
  if (child == 0) {
    const auto run = RunDirectory::make(base_.string());
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(entries(), 2U);
  const auto next = RunDirectory::make(base_.string());
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(entries(), 2U);
  EXPECT_TRUE(fs::exists(alive->path()));
}

TEST_F(RunDirectoryTest, ABaseThatIsNotThereIsAnError) {
  const auto run = RunDirectory::make((base_ / "none").string());
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().message, (base_ / "none").string() + ": No such file or directory");
}

}  // namespace
}  // namespace switchyard::launch
