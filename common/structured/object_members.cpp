#include "common/structured/object_members.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::structured {

Expr MemberRules::member(Expr key, Expr value) {
  return grammar_.sequence({key, grammar_.literal(":"), text_.space(), value});
}

void MemberRules::add(const std::string& name, Expr value, bool required) {
  if (!required && grammar_.at(value).kind == Grammar::Kind::kNever) return;
  members_.push_back({name, member(grammar_.literal(json_literal(boost::json::value(name))), value), required});
}

void MemberRules::set_others(Expr key, Expr value) {
  if (grammar_.at(value).kind != Grammar::Kind::kNever) other_ = member(key, value);
}

void MemberRules::depend(const std::string& name, const std::string& required) {
  named_dependencies_.emplace_back(name, required);
}

Status MemberRules::resolve_dependencies() {
  const auto find = [&](const std::string& name) {
    return std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.name == name; });
  };
  for (const auto& [name, required] : named_dependencies_) {
    const auto one = find(name);
    const auto other = find(required);
    if (one == members_.end() || one == other) continue;
    const auto from = static_cast<size_t>(one - members_.begin());
    const auto to = static_cast<size_t>(other - members_.begin());
    if (other == members_.end()) {
      one->forbidden = true;
    } else if (!other->required) {
      dependencies_.push_back({std::min(from, to), from < to, std::max(from, to)});
    }
  }
  if (dependencies_.size() > kDependenciesMax)
    return Error{Errc::kTooLarge,
                 fmt::format("\"dependentRequired\" names more than {} dependencies", kDependenciesMax)};
  return {};
}

MemberRules::Place MemberRules::after(const Place& place, bool present) const {
  Place next{place.index + 1, present ? std::min(place.count + 1, counts_) : place.count, place.decided};
  for (size_t i = 0; i < dependencies_.size(); ++i) {
    const Dependency& d = dependencies_[i];
    if (d.decides == place.index && d.by_presence == present) next.decided |= uint64_t{1} << i;
    if (d.decided == place.index) next.decided &= ~(uint64_t{1} << i);
  }
  return next;
}

// What may come from a place on.
Expr MemberRules::from(const Place& place) {
  if (place.index == members_.size()) return others(place.count);
  if (most_ && place.count > *most_) return grammar_.never();
  if (const auto known = memo_.find(place); known != memo_.end()) return known->second;
  if (memo_.size() > kCountsMax) return grammar_.never();  // refused by build()
  const Member& next = members_[place.index];
  bool must = next.required;
  bool must_not = next.forbidden;
  for (size_t i = 0; i < dependencies_.size(); ++i) {
    if (dependencies_[i].decided != place.index || (place.decided >> i & 1U) == 0) continue;
    (dependencies_[i].by_presence ? must : must_not) = true;
  }
  const Expr comma = place.count == 0 ? grammar_.empty() : grammar_.sequence({grammar_.literal(","), text_.space()});
  std::vector<Expr> choices;
  if (!must_not) choices.push_back(grammar_.sequence({comma, next.text, from(after(place, true))}));
  if (!must) choices.push_back(from(after(place, false)));
  Expr all = grammar_.choice(std::move(choices));
  // Reached on two ways: built once. A call in last place costs no stack.
  if (!next.required || !dependencies_.empty()) {
    const Rule rule = grammar_.add_rule("members of an object", Grammar::Calls::kShared);
    grammar_.define(rule, all);
    all = grammar_.call(rule);
  }
  memo_.emplace(place, all);
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
  SWITCHYARD_TRY(resolve_dependencies());
  const Expr all = from({0, 0, 0});
  if (memo_.size() > kCountsMax) return Error{Errc::kTooLarge, "\"dependentRequired\" combines too many properties"};
  return grammar_.sequence({grammar_.literal("{"), text_.space(), all, text_.space(), grammar_.literal("}")});
}

}  // namespace switchyard::structured
