// The members of a JSON object: those that are named, in their order, then others.
//
// Thread: one at a time. Bounds: kMembersMax named members, kCountsMax combinations of a member, a count and what
// depends on members before it; kDependenciesMax dependencies.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/structured/grammar.h"
#include "common/structured/json_text.h"

namespace switchyard::structured {

inline constexpr size_t kMembersMax = 2000;
inline constexpr size_t kCountsMax = 50000;
inline constexpr size_t kDependenciesMax = 64;

class MemberRules {
 public:
  // Both must outlive it.
  MemberRules(Grammar& grammar, JsonText& text) : grammar_(grammar), text_(text) {}

  void add(const std::string& name, Expr value, bool required);
  // Where the member `name` is, `required` must be. A name that is none of the members' cannot be there.
  void depend(const std::string& name, const std::string& required);
  // Members with other keys (JSON strings with their quotes), any number of them, after the named ones.
  void set_others(Expr key, Expr value);

  // The object with its braces, of `least` to `most` members. kInvalid: keys of others may repeat, so that more than
  // one of them cannot be asked for.
  Result<Expr> build(uint32_t least, std::optional<uint32_t> most);

 private:
  struct Member {
    std::string name;
    Expr text;
    bool required;
    bool forbidden = false;
  };
  // One of two members decides on the other, which comes later: there it must be, or must not.
  struct Dependency {
    size_t decides;
    bool by_presence;  // else by absence
    size_t decided;
  };
  struct Place {  // before a member
    size_t index;
    uint32_t count;    // of members so far
    uint64_t decided;  // bits of dependencies whose first member has decided, and whose second is yet to come
    auto operator<=>(const Place&) const = default;
  };
  Expr member(Expr key, Expr value);
  Status resolve_dependencies();
  Expr from(const Place& place);
  Place after(const Place& place, bool present) const;
  Expr others(uint32_t count);

  Grammar& grammar_;
  JsonText& text_;
  std::vector<Member> members_;
  std::vector<std::pair<std::string, std::string>> named_dependencies_;
  std::vector<Dependency> dependencies_;
  std::optional<Expr> other_;
  uint32_t least_ = 0;
  std::optional<uint32_t> most_;
  uint32_t counts_ = 1;  // counts that make a difference: 0 .. counts_
  std::map<Place, Expr> memo_;
};

}  // namespace switchyard::structured
