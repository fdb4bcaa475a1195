// Who may call the API, and how much: bearer keys with limits on requests and tokens a minute and on requests at once.
//
// A limit of N a minute is a bucket that holds N and fills at N / 60 a second. A request takes one from the bucket of
// requests; its tokens (the prompt's when it is known, each generated one when it comes) are taken from the bucket of
// tokens, which may go below zero: what is under way is never cut, and nothing new begins until the debt is filled. So
// Retry-After is the time after which the same request would be let in, were it the only one.
//
// Frontends of a cluster share limits approximately: each reports what its clients took since the last report
// (take_report), the coordinator passes that on, and everybody takes it from their own buckets (others_took). Without a
// coordinator each frontend keeps the limits by itself.
//
// Thread: any; short critical sections. Nothing blocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/wire/switchyard.pb.h"
#include "frontend/http/errors.h"

namespace switchyard::frontend {

// 0 = no limit.
struct KeyLimits {
  uint64_t requests_per_minute = 0;
  uint64_t tokens_per_minute = 0;
  uint32_t requests_at_once = 0;
  std::optional<int32_t> priority = {};  // of requests that name none; they may name a worse (larger) one, not a better
};

struct ApiKey {
  std::string key;
  KeyLimits limits;
};

// A file of one key a line, each with what differs from `defaults`; '#' begins a comment:
//   sk-team-a requests_per_minute=600 tokens_per_minute=200000 requests_at_once=64 priority=-1
// Refused when others than its owner can read or write it (mode & 077). Errors name the file and line, never the key.
Result<std::vector<ApiKey>> read_api_keys(const std::string& file, const KeyLimits& defaults);

class ApiKeys;

// A request's place, from its admission to its end; given back when the last owner goes, before the ApiKeys do.
class Admission {
 public:
  Admission(ApiKeys& keys, size_t key) : keys_(keys), key_(key) {}
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  void take_tokens(uint64_t count);
  // The priority for a request that asked for this one, or for none.
  int32_t priority(std::optional<int32_t> asked) const;
  // x-ratelimit-* headers of OpenAI's API, for the limits that there are.
  std::vector<std::pair<std::string, std::string>> headers() const;

 private:
  ApiKeys& keys_;
  const size_t key_;
};

using AdmissionPtr = std::shared_ptr<Admission>;

class ApiKeys {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Clock = std::function<Time()>;

  // keys: none = everybody may call, as one client with the limits `open`. requests_max: of all keys at once.
  ApiKeys(
      std::vector<ApiKey> keys, const KeyLimits& open, uint32_t requests_max,
      Clock clock = [] { return std::chrono::steady_clock::now(); });

  // The index of the key in an Authorization header. Takes as long for a wrong key as for a right one.
  std::optional<size_t> find(std::string_view authorization) const;
  std::variant<AdmissionPtr, ApiError> admit(size_t key);
  uint32_t running() const;

  // What was taken since the last call, and what runs now; keys without limits are left out.
  std::vector<wire::KeyUse> take_report();
  // source: any number that tells frontends apart.
  void others_took(uint64_t source, const std::vector<wire::KeyUse>& uses);

 private:
  friend class Admission;
  struct Bucket {
    double limit = 0;  // a minute
    double level = 0;
    Time filled_at;
    void fill(Time now);
    // No deeper than a minute's debt: what others took while the coordinator was away comes in one piece.
    void take_at_most_a_minute(double amount);
    // Seconds until `amount` is in it.
    double wait(double amount) const;
  };
  struct Elsewhere {
    uint32_t running = 0;
    Time heard_at;
  };
  struct Account {
    ApiKey key;
    std::string digest;  // the key's SHA-256
    uint64_t id = 0;     // on the wire: of the digest
    Bucket requests, tokens;
    uint32_t running = 0;
    std::map<uint64_t, Elsewhere> elsewhere;  // by source
    uint64_t requests_unreported = 0, tokens_unreported = 0;
    bool limited() const;
    uint32_t running_everywhere(Time now) const;
  };

  const bool open_;
  const uint32_t requests_max_;
  const Clock clock_;
  mutable std::mutex mutex_;  // guards what follows, but for the accounts' keys
  std::vector<Account> accounts_;
  uint32_t running_ = 0;
};

}  // namespace switchyard::frontend
