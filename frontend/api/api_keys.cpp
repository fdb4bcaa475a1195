#include "frontend/api/api_keys.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>
#include <sstream>
#include <utility>

#include "common/net/net.h"

namespace switchyard::frontend {
namespace {

// Another frontend's running requests count for so long after its last report.
constexpr std::chrono::seconds kElsewhereHolds{5};
constexpr size_t kKeyFileBytesMax = 16U << 20;  // some 300000 keys

uint64_t id_of(const std::string& digest) {
  uint64_t id = 0;
  std::memcpy(&id, digest.data(), sizeof id);
  return id;
}

template <typename Number>
bool read_number(std::string_view text, Number& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc() && end == text.data() + text.size();
}

// "" or what is wrong.
std::string read_limit(std::string_view word, KeyLimits& limits) {
  const size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
  const auto read = [&](auto& to) {
    return read_number(value, to) ? "" : fmt::format("{}: '{}' is not a whole number of its range", name, value);
  };
  if (name == "requests_per_minute") return read(limits.requests_per_minute);
  if (name == "tokens_per_minute") return read(limits.tokens_per_minute);
  if (name == "requests_at_once") return read(limits.requests_at_once);
  if (name == "priority") return read(limits.priority.emplace());
  return "behind a key come requests_per_minute=N, tokens_per_minute=N, requests_at_once=N and priority=N";
}

ApiError too_many(std::string message, double seconds) {
  ApiError error = overloaded(std::move(message));
  error.code = "rate_limit_exceeded";
  error.retry_after_seconds = static_cast<uint32_t>(std::clamp(std::ceil(seconds), 1.0, 86400.0));
  return error;
}

// As OpenAI writes them: "1s", "6m0s".
std::string reset_text(double seconds) {
  const auto whole = static_cast<uint64_t>(std::ceil(std::max(0.0, seconds)));
  return whole < 60 ? fmt::format("{}s", whole) : fmt::format("{}m{}s", whole / 60, whole % 60);
}

}  // namespace

Result<std::vector<ApiKey>> read_api_keys(const std::string& file, const KeyLimits& defaults) {
  SWITCHYARD_ASSIGN(const std::string text, net::read_private_file("file of API keys", file, kKeyFileBytesMax));
  std::istringstream in(text);
  std::vector<ApiKey> keys;
  std::set<std::string> known;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    const auto wrong = [&](const std::string& what) {
      return Error{Errc::kInvalid, fmt::format("{}:{}: {}", file, number, what)};
    };
    std::istringstream words(line.substr(0, line.find('#')));
    ApiKey key{{}, defaults};
    if (!(words >> key.key)) continue;
    if (!known.insert(key.key).second) return wrong("the key stands in the file twice");
    for (std::string word; words >> word;) {
      if (const std::string problem = read_limit(word, key.limits); !problem.empty()) return wrong(problem);
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty()) return Error{Errc::kInvalid, fmt::format("{}: no keys", file)};
  return keys;
}

void ApiKeys::Bucket::fill(Time now) {
  if (limit == 0) return;
  const double seconds = std::chrono::duration<double>(now - filled_at).count();
  level = std::min(limit, level + seconds * limit / 60);
  filled_at = now;
}

double ApiKeys::Bucket::wait(double amount) const {
  return limit == 0 || level >= amount ? 0 : (amount - level) * 60 / limit;
}

void ApiKeys::Bucket::take_at_most_a_minute(double amount) { level -= std::clamp(level + limit, 0.0, amount); }

bool ApiKeys::Account::limited() const {
  return key.limits.requests_per_minute != 0 || key.limits.tokens_per_minute != 0 || key.limits.requests_at_once != 0;
}

uint32_t ApiKeys::Account::running_everywhere(Time now) const {
  uint32_t sum = running;
  for (const auto& [source, there] : elsewhere)
    if (now - there.heard_at < kElsewhereHolds) sum += there.running;
  return sum;
}

ApiKeys::ApiKeys(std::vector<ApiKey> keys, const KeyLimits& open, uint32_t requests_max, Clock clock)
    : open_(keys.empty()), requests_max_(requests_max), clock_(std::move(clock)) {
  if (open_) keys.push_back({"", open});
  const Time now = clock_();
  for (ApiKey& key : keys) {
    Account& account = accounts_.emplace_back();
    const auto requests = static_cast<double>(key.limits.requests_per_minute);
    const auto tokens = static_cast<double>(key.limits.tokens_per_minute);
    account.requests = {requests, requests, now};
    account.tokens = {tokens, tokens, now};
    account.digest = net::digest_of(key.key);
    account.id = id_of(account.digest);
    account.key = std::move(key);
  }
}

std::optional<size_t> ApiKeys::find(std::string_view authorization) const {
  if (open_) return 0;
  constexpr std::string_view kBearer = "bearer ";
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  if (authorization.size() < kBearer.size() ||
      !std::equal(kBearer.begin(), kBearer.end(), authorization.begin(), [&](char a, char b) { return a == lower(b); }))
    return std::nullopt;
  // Digests have one length, and say nothing of how much of a wrong key was right.
  const std::string given = net::digest_of(authorization.substr(kBearer.size()));
  std::optional<size_t> found;
  for (size_t i = 0; i < accounts_.size(); ++i)
    if (CRYPTO_memcmp(accounts_[i].digest.data(), given.data(), given.size()) == 0) found = i;
  return found;
}

std::variant<AdmissionPtr, ApiError> ApiKeys::admit(size_t key) {
  const Time now = clock_();
  const std::lock_guard lock(mutex_);
  if (running_ >= requests_max_) {
    return overloaded(
        fmt::format("{} requests are in the works (frontend.max_concurrent_requests); please retry.", requests_max_));
  }
  Account& account = accounts_[key];
  const KeyLimits& limits = account.key.limits;
  account.requests.fill(now);
  account.tokens.fill(now);
  if (limits.requests_at_once != 0 && account.running_everywhere(now) >= limits.requests_at_once) {
    return too_many(fmt::format("This key has its {} requests at once in the works.", limits.requests_at_once), 1);
  }
  if (const double wait = account.requests.wait(1); wait > 0) {
    return too_many(fmt::format("This key has had its {} requests a minute.", limits.requests_per_minute), wait);
  }
  if (const double wait = account.tokens.wait(1); wait > 0) {
    return too_many(fmt::format("This key has had its {} tokens a minute.", limits.tokens_per_minute), wait);
  }
  account.requests.level -= 1;
  ++account.requests_unreported;
  ++account.running;
  ++running_;
  return std::make_shared<Admission>(*this, key);
}

uint32_t ApiKeys::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::vector<wire::KeyUse> ApiKeys::take_report() {
  std::vector<wire::KeyUse> uses;
  const std::lock_guard lock(mutex_);
  for (Account& account : accounts_) {
    if (!account.limited()) continue;
    wire::KeyUse& use = uses.emplace_back();
    use.set_key(account.id);
    use.set_requests(std::exchange(account.requests_unreported, 0));
    use.set_tokens(std::exchange(account.tokens_unreported, 0));
    use.set_running(account.running);
  }
  return uses;
}

void ApiKeys::others_took(uint64_t source, const std::vector<wire::KeyUse>& uses) {
  const Time now = clock_();
  const std::lock_guard lock(mutex_);
  for (const wire::KeyUse& use : uses) {
    const auto account =
        std::find_if(accounts_.begin(), accounts_.end(), [&](const Account& a) { return a.id == use.key(); });
    if (account == accounts_.end()) continue;
    account->requests.fill(now);
    account->tokens.fill(now);
    account->requests.take_at_most_a_minute(static_cast<double>(use.requests()));
    account->tokens.take_at_most_a_minute(static_cast<double>(use.tokens()));
    std::erase_if(account->elsewhere, [&](const auto& e) { return now - e.second.heard_at >= kElsewhereHolds; });
    account->elsewhere[source] = {use.running(), now};
  }
}

Admission::~Admission() {
  const std::lock_guard lock(keys_.mutex_);
  --keys_.accounts_[key_].running;
  --keys_.running_;
}

void Admission::take_tokens(uint64_t count) {
  ApiKeys::Account& account = keys_.accounts_[key_];
  if (account.key.limits.tokens_per_minute == 0) return;
  const std::lock_guard lock(keys_.mutex_);
  account.tokens.fill(keys_.clock_());
  account.tokens.level -= static_cast<double>(count);
  account.tokens_unreported += count;
}

int32_t Admission::priority(std::optional<int32_t> asked) const {
  const std::optional<int32_t> best = keys_.accounts_[key_].key.limits.priority;
  return best ? std::max(asked.value_or(*best), *best) : asked.value_or(0);
}

std::vector<std::pair<std::string, std::string>> Admission::headers() const {
  std::vector<std::pair<std::string, std::string>> headers;
  const std::lock_guard lock(keys_.mutex_);
  ApiKeys::Account& account = keys_.accounts_[key_];
  const auto add = [&](const std::string& what, ApiKeys::Bucket& bucket) {
    if (bucket.limit == 0) return;
    bucket.fill(keys_.clock_());
    headers.emplace_back("x-ratelimit-limit-" + what, fmt::format("{:.0f}", bucket.limit));
    headers.emplace_back("x-ratelimit-remaining-" + what,
                         fmt::format("{:.0f}", std::floor(std::max(0.0, bucket.level))));
    headers.emplace_back("x-ratelimit-reset-" + what, reset_text(bucket.wait(bucket.limit)));
  };
  add("requests", account.requests);
  add("tokens", account.tokens);
  return headers;
}

}  // namespace switchyard::frontend
