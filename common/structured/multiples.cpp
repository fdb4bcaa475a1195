#include "common/structured/multiples.h"

#include <algorithm>
#include <vector>

namespace switchyard::structured {

std::optional<Multiples::Factor> Multiples::Factor::of(const Decimal& decimal) {
  if (decimal.negative || decimal.whole.empty() || !decimal.fraction.empty()) return std::nullopt;
  const size_t digits = decimal.whole.find_last_not_of('0') + 1;
  if (digits > 3) return std::nullopt;
  const auto factor = static_cast<uint32_t>(std::stoul(decimal.whole.substr(0, digits)));
  if (factor > kFactorMax) return std::nullopt;
  return Factor{factor, static_cast<uint32_t>(decimal.whole.size() - digits)};
}

// digits: how many there are from this one on.
std::optional<uint32_t> Multiples::next(const Factor& factor, size_t digits, uint32_t remainder, char digit) {
  if (digits > factor.zeros) return (remainder * 10 + static_cast<uint32_t>(digit - '0')) % factor.factor;
  if (digit != '0' || remainder != 0) return std::nullopt;
  return 0;
}

Expr Multiples::any(const Factor& factor, size_t digits, uint32_t remainder) {
  if (digits <= factor.zeros) return remainder == 0 ? grammar_.literal(std::string(digits, '0')) : grammar_.never();
  const auto [found, added] = rules_.emplace(std::tuple(factor.factor, factor.zeros, digits, remainder), 0);
  if (!added) return grammar_.call(found->second);
  const Rule rule = grammar_.add_rule("a multiple", Grammar::Calls::kShared);
  found->second = rule;
  std::map<uint32_t, ByteSet> targets;
  for (char digit = '0'; digit <= '9'; ++digit)
    targets[*next(factor, digits, remainder, digit)].set(static_cast<uint8_t>(digit));
  std::vector<Expr> choices;
  for (const auto& [left, bytes] : targets)
    choices.push_back(grammar_.sequence({grammar_.bytes(bytes), any(factor, digits - 1, left)}));
  grammar_.define(rule, grammar_.choice(std::move(choices)));
  return grammar_.call(rule);
}

Expr Multiples::within(const Factor& factor, std::string_view low, std::string_view high, uint32_t remainder) {
  if (low.empty()) return remainder == 0 ? grammar_.empty() : grammar_.never();
  const size_t digits = low.size();
  if (low.find_first_not_of('0') == std::string_view::npos && high.find_first_not_of('9') == std::string_view::npos)
    return any(factor, digits, remainder);
  const std::string nines(digits - 1, '9');
  const std::string zeros(digits - 1, '0');
  std::vector<Expr> choices;
  for (char digit = low[0]; digit <= high[0]; ++digit) {
    const auto left = next(factor, digits, remainder, digit);
    if (!left) continue;
    const std::string_view from = digit == low[0] ? low.substr(1) : zeros;
    const std::string_view to = digit == high[0] ? high.substr(1) : nines;
    const auto byte = static_cast<uint8_t>(digit);
    choices.push_back(grammar_.sequence({grammar_.bytes(byte, byte), within(factor, from, to, *left)}));
  }
  return grammar_.choice(std::move(choices));
}

Expr Multiples::between(const Factor& factor, std::string low, std::string high) {
  std::vector<Expr> choices;
  if (low.empty()) {
    choices.push_back(grammar_.literal("0"));
    low = "1";
  }
  for (size_t length = low.size(); length <= high.size(); ++length) {
    const std::string least = length == low.size() ? low : "1" + std::string(length - 1, '0');
    const std::string most = length == high.size() ? high : std::string(length, '9');
    if (least <= most) choices.push_back(within(factor, least, most, 0));
  }
  return grammar_.choice(std::move(choices));
}

}  // namespace switchyard::structured
