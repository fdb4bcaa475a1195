// Results of what the outside world can make fail: a bad file, request, config or peer.
//
// A bug of ours is not a Result: it aborts through SWITCHYARD_CHECK. The list of codes is closed: a code is here only
// because some caller acts differently on it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace switchyard {

enum class Errc {
  kInvalid,       // the input is wrong and will stay wrong: 400, or a refused start
  kNotFound,      // 404
  kUnauthorized,  // 401, or a refused peer
  kTooLarge,      // 413, a frame or body over its limit
  kOverloaded,    // 429: come again later
  kUnavailable,   // 503: the service cannot now
  kTimeout,       // a deadline passed
  kPeerLost,      // the other end is gone
  kIo,            // the operating system refused: its words are in the message
};

const char* to_string(Errc code);

struct Error {
  Errc code = Errc::kInvalid;
  std::string message;  // names the cause: file, key, field, rank
};

// A value or an Error.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

// A broken invariant of our own: says where, and aborts. On in every build.
[[noreturn]] inline void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, expression);
  std::abort();
}

}  // namespace switchyard

#define SWITCHYARD_CHECK(condition) \
  (static_cast<bool>(condition) ? void() : ::switchyard::check_failed(#condition, __FILE__, __LINE__))

// Hands an error to the caller: SWITCHYARD_TRY(status_expression).
#define SWITCHYARD_TRY(expression)                                                   \
  do {                                                                               \
    if (auto switchyard_status = (expression); !switchyard_status.ok()) [[unlikely]] \
      return switchyard_status.error();                                              \
  } while (false)

// Binds a value or hands the error to the caller: SWITCHYARD_ASSIGN(auto x, result_expression).
#define SWITCHYARD_CONCAT_INNER(a, b) a##b
#define SWITCHYARD_CONCAT(a, b) SWITCHYARD_CONCAT_INNER(a, b)
#define SWITCHYARD_ASSIGN(declaration, expression) \
  SWITCHYARD_ASSIGN_INNER(SWITCHYARD_CONCAT(switchyard_result_, __LINE__), declaration, expression)
#define SWITCHYARD_ASSIGN_INNER(name, declaration, expression) \
  auto name = (expression);                                    \
  if (!name.ok()) [[unlikely]]                                 \
    return name.error();                                       \
  declaration = std::move(name).value()
