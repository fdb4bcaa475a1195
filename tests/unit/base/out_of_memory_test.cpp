// A process without memory ends at once, with what it was about.
#include "common/base/out_of_memory.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>

namespace switchyard {
namespace {

class OutOfMemory : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(OutOfMemory, TheInnermostTaskAndTheSizeAreSaid) {
  const auto grow = [] {
    end_when_out_of_memory("rank 2");
    const MemoryTask outer("taking over");
    const MemoryTask inner("loading", "model.norm.weight");
    out_of_memory(size_t{96} << 20);
  };
  EXPECT_EXIT(grow(), testing::ExitedWithCode(1),
              "^fatal: rank 2: out of memory while loading model.norm.weight .asked for 96 MiB.\n$");
}

TEST_F(OutOfMemory, AThreadHasItsOwnTask) {
  const auto grow = [] {
    end_when_out_of_memory("rank 2");
    const MemoryTask mine("loading");
    std::thread([] { out_of_memory(1000); }).join();
  };
  EXPECT_EXIT(grow(), testing::ExitedWithCode(1), "^fatal: rank 2: out of memory .asked for 1000 bytes.\n$");
}

TEST_F(OutOfMemory, AnExceptionThatNobodyCatchesIsSaid) {
  const auto fail = [] {
    end_when_out_of_memory("frontend 1");
    std::thread([] { throw std::runtime_error("no more threads"); }).join();
  };
  EXPECT_EXIT(fail(), testing::KilledBySignal(SIGABRT), "fatal: frontend 1: no more threads");
}

}  // namespace
}  // namespace switchyard
