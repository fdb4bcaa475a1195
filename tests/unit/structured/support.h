// What the tests of this folder share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/structured/constraint.h"

namespace switchyard::structured {

// All single bytes as tokens 0 to 255, then these.
inline std::shared_ptr<const Vocabulary> bytes_and(const std::vector<std::string>& more) {
  std::vector<std::string> all;
  for (int b = 0; b < 256; ++b) all.emplace_back(1, static_cast<char>(b));
  all.insert(all.end(), more.begin(), more.end());
  const std::vector<std::string_view> views(all.begin(), all.end());
  return std::make_shared<const Vocabulary>(views);
}

inline std::shared_ptr<Masks> masks_of(const Constraint& constraint, std::shared_ptr<const Vocabulary> vocabulary) {
  auto automaton = compile(constraint);
  if (!automaton.ok()) {
    ADD_FAILURE() << automaton.error().message << " in " << constraint.text;
    return nullptr;
  }
  return std::make_shared<Masks>(std::move(*automaton), std::move(vocabulary));
}

// Whether a text is one of the constraint, read byte by byte.
inline bool accepts(const std::shared_ptr<Masks>& masks, std::string_view text) {
  Matcher matcher(masks);
  for (const char c : text)
    if (!matcher.accept(static_cast<uint8_t>(c)).ok()) return false;
  return matcher.may_end();
}
inline bool accepts(const Constraint& constraint, std::string_view text) {
  const auto masks = masks_of(constraint, bytes_and({}));
  return masks != nullptr && accepts(masks, text);
}

// A text drawn through masks, each allowed token alike; it ends where it may with probability 1/4, and must within
// `tokens_max`, or is "" (cut off).
inline std::string drawn(const std::shared_ptr<Masks>& masks, std::mt19937& random, size_t tokens_max) {
  Matcher matcher(masks);
  std::string text;
  std::vector<uint32_t> mask(masks->vocabulary().mask_words());
  for (size_t n = 0; n < tokens_max; ++n) {
    if (matcher.must_end() || (matcher.may_end() && random() % 4 == 0)) return text;
    EXPECT_TRUE(matcher.fill_mask(mask).ok());
    std::vector<int32_t> allowed;
    for (uint32_t id = 0; id < masks->vocabulary().size(); ++id)
      if (test_bit(mask, static_cast<int32_t>(id))) allowed.push_back(static_cast<int32_t>(id));
    if (allowed.empty()) {
      ADD_FAILURE() << "nothing may follow \"" << text << '"';
      return text;
    }
    const int32_t token = allowed[random() % allowed.size()];
    EXPECT_TRUE(matcher.accept(token).ok());
    text += masks->vocabulary().bytes(token);
  }
  return matcher.may_end() ? text : "";
}

}  // namespace switchyard::structured
