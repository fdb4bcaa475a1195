// A mapping that cannot be read any more ends the process with the file's name.
#include "common/base/mapped_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

namespace switchyard {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBytes = size_t{256} << 10;

class MappedFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "fast";  // the child keeps file and mapping
    std::ofstream(path_, std::ios::binary) << std::string(kBytes, 'x');
    const int file = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    data_ = static_cast<const volatile uint8_t*>(mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, file, 0));
    close(file);
    ASSERT_NE(const_cast<uint8_t*>(data_), MAP_FAILED);
  }
  void TearDown() override {
    munmap(const_cast<uint8_t*>(data_), kBytes);
    fs::remove(path_);
  }
  const void* begin() const { return const_cast<const uint8_t*>(data_); }
  // Reads the last page of a file that was cut to `left`.
  void cut_and_read(size_t left) const {
    end_with_file_name("rank 2");
    fs::resize_file(path_, left);
    std::printf("%d", data_[kBytes - 1]);
  }

  const std::string path_ = testing::TempDir() + "/mapped_files_" + std::to_string(getpid());
  const volatile uint8_t* data_ = nullptr;
};

TEST_F(MappedFilesTest, ATruncatedFileIsNamedWithWhatIsLeft) {
  const MappedName other("x", 1, "/another", 1);
  const MappedName name(begin(), kBytes, path_, kBytes);
  EXPECT_EXIT(cut_and_read(5000), testing::ExitedWithCode(1),
              "^fatal: rank 2: " + path_ + " was truncated while it was mapped: 5000 of 262144 bytes are left\n$");
}

TEST_F(MappedFilesTest, AMappingThatMovedIsFoundAndOneThatEndedIsNot) {
  MappedName moved;
  {
    MappedName name(begin(), kBytes, path_, kBytes);
    moved = std::move(name);
  }
  EXPECT_EXIT(cut_and_read(0), testing::ExitedWithCode(1), path_ + " was truncated");
  moved = MappedName();
  EXPECT_EXIT(cut_and_read(0), testing::ExitedWithCode(1), "^fatal: rank 2: memory failed .SIGBUS.");
}

TEST_F(MappedFilesTest, MoreMappingsThanAreKnownDoNoHarm) {
  std::vector<MappedName> many;
  for (size_t i = 0; i < kMappedFilesMax + 10; ++i) many.emplace_back(&many, 1, "/another", 1);
  const MappedName name(begin(), kBytes, path_, kBytes);
  EXPECT_EXIT(cut_and_read(0), testing::ExitedWithCode(1), "^fatal: rank 2: memory failed .SIGBUS.");
  many.clear();
  const MappedName again(begin(), kBytes, path_, kBytes);
  EXPECT_EXIT(cut_and_read(0), testing::ExitedWithCode(1), path_ + " was truncated");
}

}  // namespace
}  // namespace switchyard
