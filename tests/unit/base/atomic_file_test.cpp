// A file is there whole, or what was there before still is; and nothing else lies about.
#include "common/base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace switchyard {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(base_);
    fs::create_directories(base_);
  }
  void TearDown() override { fs::remove_all(base_); }

  std::string text(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(base_), fs::directory_iterator()));
  }

  const std::string base_ = testing::TempDir() + "/atomic_file_" + std::to_string(getpid());
  const std::string file_ = base_ + "/file";
};

TEST_F(AtomicFileTest, AFileIsWrittenWithItsMode) {
  ASSERT_TRUE(write_file(file_, "secret", 0600).ok());
  EXPECT_EQ(text(file_), "secret");
  struct stat info {};
  ASSERT_EQ(stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(files(), 1U);
}

TEST_F(AtomicFileTest, TheOldFileStandsUntilTheNewOneIsWhole) {
  ASSERT_TRUE(write_file(file_, "old").ok());
  auto file = AtomicFile::create(file_);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write("new", 3).ok());
  EXPECT_EQ(text(file_), "old");
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(text(file_), "new");
  EXPECT_EQ(files(), 1U);
}

TEST_F(AtomicFileTest, WithoutACommitNothingChanges) {
  ASSERT_TRUE(write_file(file_, "old").ok());
  {
    auto file = AtomicFile::create(file_);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("new", 3).ok());
  }
  EXPECT_EQ(text(file_), "old");
  EXPECT_EQ(files(), 1U);
}

TEST_F(AtomicFileTest, AWriteThatFailsLeavesTheOldFileAndNamesFileAndCause) {
  ASSERT_TRUE(write_file(file_, "old").ok());
  ignore_file_size_signal();
  struct rlimit limit {};
  getrlimit(RLIMIT_FSIZE, &limit);
  const struct rlimit small { 10, limit.rlim_max };
  setrlimit(RLIMIT_FSIZE, &small);
  const Status written = write_file(file_, std::string(11, 'x'));
  setrlimit(RLIMIT_FSIZE, &limit);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, Errc::kIo);
  EXPECT_EQ(written.error().message, "cannot write " + file_ + ": File too large");
  EXPECT_EQ(text(file_), "old");
  EXPECT_EQ(files(), 1U);
}

TEST_F(AtomicFileTest, ADirectoryThatIsNotThereIsNamed) {
  const Status written = write_file(base_ + "/none/file", "x");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message, "cannot write " + base_ + "/none/file: No such file or directory");
}

TEST_F(AtomicFileTest, ALoopOfLinksAndADirectoryAreNamed) {
  fs::create_symlink("loop", base_ + "/loop");
  const Status looped = write_file(base_ + "/loop/file", "x");
  ASSERT_FALSE(looped.ok());
  EXPECT_EQ(looped.error().message, "cannot write " + base_ + "/loop/file: Too many levels of symbolic links");
  fs::create_directory(file_);
  const Status written = write_file(file_, "x");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message, "cannot write " + file_ + ": Is a directory");
}

TEST_F(AtomicFileTest, ALinkStaysALink) {
  ASSERT_TRUE(write_file(base_ + "/target", "old").ok());
  fs::create_symlink("target", file_);
  ASSERT_TRUE(write_file(file_, "new").ok());
  EXPECT_TRUE(fs::is_symlink(file_));
  EXPECT_EQ(text(base_ + "/target"), "new");
}

// A rename would put a file in the place of the device.
TEST_F(AtomicFileTest, ADeviceIsWrittenToAsItIs) {
  EXPECT_TRUE(write_file("/dev/null", "x").ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const Status full = write_file("/dev/full", "x");
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().message, "cannot write /dev/full: No space left on device");
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

}  // namespace
}  // namespace switchyard
