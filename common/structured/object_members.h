// The members of a JSON object: those that are named, in their order, then others.
//
// Thread: one at a time. Bounds: kMembersMax named members, kCountsMax pairs of a member and a count.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/structured/grammar.h"
#include "common/structured/json_text.h"

namespace switchyard::structured {

inline constexpr size_t kMembersMax = 2000;
inline constexpr size_t kCountsMax = 50000;

class MemberRules {
 public:
  // Both must outlive it.
  MemberRules(Grammar& grammar, JsonText& text) : grammar_(grammar), text_(text) {}

  void add(const std::string& name, Expr value, bool required);
  // Members with other keys (JSON strings with their quotes), any number of them, after the named ones.
  void set_others(Expr key, Expr value);

  // The object with its braces, of `least` to `most` members. kInvalid: keys of others may repeat, so that more than
  // one of them cannot be asked for.
  Result<Expr> build(uint32_t least, std::optional<uint32_t> most);

 private:
  struct Member {
    Expr text;
    bool required;
  };
  Expr member(Expr key, Expr value);
  Expr from(size_t index, uint32_t count);
  Expr others(uint32_t count);

  Grammar& grammar_;
  JsonText& text_;
  std::vector<Member> members_;
  std::optional<Expr> other_;
  uint32_t least_ = 0;
  std::optional<uint32_t> most_;
  uint32_t counts_ = 1;                    // counts that make a difference: 0 .. counts_
  std::vector<std::optional<Expr>> memo_;  // calls of rules, by index x count
};

}  // namespace switchyard::structured
