// Goal: a sequence ends where its grammar allows, and nowhere else. Method: a vocabulary of a few tokens, a grammar of
// a few texts.
#include "worker/sampling/constrained_text.h"

#include <gtest/gtest.h>

#include "common/structured/constraint.h"

namespace switchyard::worker {
namespace {

enum Token : int32_t { kA, kB, kAB, kSpecialEnd, kWrittenEnd };

std::shared_ptr<structured::Masks> masks() {
  const std::vector<std::string_view> tokens = {"a", "b", "ab", "\xFF<end>", "b"};
  auto automaton = structured::compile({.kind = structured::Constraint::Kind::kRegex, .text = "(ab)+"});
  EXPECT_TRUE(automaton.ok());
  return std::make_shared<structured::Masks>(std::move(*automaton),
                                             std::make_shared<const structured::Vocabulary>(tokens));
}

std::vector<int32_t> allowed(ConstrainedText& text) {
  text.prepare();
  EXPECT_TRUE(text.status().ok());
  std::vector<int32_t> ids;
  for (int32_t id = 0; id <= kWrittenEnd; ++id)
    if (structured::test_bit(text.mask(), id)) ids.push_back(id);
  return ids;
}

TEST(ConstrainedText, StopsWhereTheTextMayEndAlone) {
  // One of the tokens that stop is a text as well, which the grammar would go on with.
  const std::vector<int32_t> stops = {kSpecialEnd, kWrittenEnd};
  ConstrainedText text(masks(), stops);
  EXPECT_EQ(allowed(text), (std::vector<int32_t>{kA, kAB}));
  text.accept(kA);
  EXPECT_EQ(allowed(text), (std::vector<int32_t>{kB}));
  text.accept(kB);
  EXPECT_EQ(allowed(text), (std::vector<int32_t>{kA, kAB, kSpecialEnd, kWrittenEnd}));
  EXPECT_FALSE(text.is_complete());
}

TEST(ConstrainedText, ATextThatNoTokenGoesOnWithIsAnError) {
  ConstrainedText text(masks(), std::vector<int32_t>{kB, kWrittenEnd});
  text.accept(kA);
  text.prepare();
  ASSERT_FALSE(text.status().ok());
  EXPECT_EQ(text.status().error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace switchyard::worker
