#include "common/structured/object_members.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::structured {

Expr MemberRules::member(Expr key, Expr value) {
  return grammar_.sequence({key, grammar_.literal(":"), text_.space(), value});
}

void MemberRules::add(const std::string& name, Expr value, bool required) {
  if (!required && grammar_.at(value).kind == Grammar::Kind::kNever) return;
  members_.push_back({member(grammar_.literal(json_literal(boost::json::value(name))), value), required});
}

void MemberRules::set_others(Expr key, Expr value) {
  if (grammar_.at(value).kind != Grammar::Kind::kNever) other_ = member(key, value);
}

// What may come from member `index` on, after `count` members.
Expr MemberRules::from(size_t index, uint32_t count) {
  if (index == members_.size()) return others(count);
  if (most_ && count > *most_) return grammar_.never();
  auto& slot = memo_[index * (counts_ + 1) + std::min(count, counts_)];
  if (slot) return *slot;
  const Member& next = members_[index];
  const Expr comma = count == 0 ? grammar_.empty() : grammar_.sequence({grammar_.literal(","), text_.space()});
  std::vector<Expr> choices{grammar_.sequence({comma, next.text, from(index + 1, std::min(count + 1, counts_))})};
  if (!next.required) choices.push_back(from(index + 1, count));
  Expr all = grammar_.choice(std::move(choices));
  if (!next.required) {  // reached on two ways: built once. A call in last place costs no stack.
    const Rule rule = grammar_.add_rule("members of an object", Grammar::Calls::kShared);
    grammar_.define(rule, all);
    all = grammar_.call(rule);
  }
  memo_[index * (counts_ + 1) + std::min(count, counts_)] = all;
  return all;
}

Expr MemberRules::others(uint32_t count) {
  const uint32_t missing = least_ > count ? least_ - count : 0;
  if (most_ && count > *most_) return grammar_.never();
  if (!other_) return missing == 0 ? grammar_.empty() : grammar_.never();
  const std::optional<uint32_t> room = most_ ? std::optional(*most_ - count) : std::nullopt;
  const Expr more = grammar_.sequence({grammar_.literal(","), text_.space(), *other_});
  if (count > 0) return grammar_.repeat(more, missing, room);
  std::vector<Expr> choices;
  if (missing == 0) choices.push_back(grammar_.empty());
  if (room.value_or(1) > 0) {
    const auto after_one = room ? std::optional(*room - 1) : std::nullopt;
    choices.push_back(grammar_.sequence({*other_, grammar_.repeat(more, missing > 0 ? missing - 1 : 0, after_one)}));
  }
  return grammar_.choice(std::move(choices));
}

Result<Expr> MemberRules::build(uint32_t least, std::optional<uint32_t> most) {
  const auto required = static_cast<uint32_t>(
      std::count_if(members_.begin(), members_.end(), [](const Member& m) { return m.required; }));
  if (members_.size() > kMembersMax) return Error{Errc::kTooLarge, fmt::format("more than {} properties", kMembersMax)};
  // Bounds that hold anyway need no counting.
  if (least > required || (most && (other_ || *most < members_.size()))) {
    least_ = least;
    most_ = most;
    counts_ = std::max({1U, least, most ? *most + 1 : 0U});
  }
  if (other_ && least_ > 1)
    return Error{Errc::kInvalid, "\"minProperties\" above 1 with properties that are not named is not supported"};
  if (members_.size() * (counts_ + 1) > kCountsMax)
    return Error{Errc::kTooLarge, "\"minProperties\" or \"maxProperties\" is too large for so many properties"};
  memo_.assign(members_.size() * (counts_ + 1), std::nullopt);
  const Expr all = from(0, 0);
  return grammar_.sequence({grammar_.literal("{"), text_.space(), all, text_.space(), grammar_.literal("}")});
}

}  // namespace switchyard::structured
