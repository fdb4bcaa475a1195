#include "common/base/printable.h"

#include <gtest/gtest.h>

namespace switchyard {
namespace {

TEST(Printable, CutsAndReplaces) {
  EXPECT_EQ(printable("a\nb\x1b[0m\xff"), "a?b?[0m?");
  EXPECT_EQ(printable(std::string(1000, 'x')).size(), 256U);
}

}  // namespace
}  // namespace switchyard
