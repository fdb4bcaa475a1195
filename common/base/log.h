// Structured logs: one line an event, key=value after the message, to stderr.
//
//   log_info("rank joined", {{"rank", rank}, {"epoch", epoch}});
//
// Thread: any. Blocks for the write of one line. Format text (default) or json; see init_log().
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace switchyard {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

// One key=value of a log line.
struct LogField {
  template <typename T>
  LogField(std::string_view k, const T& v) : key(k), value(fmt::format("{}", v)) {}
  std::string_view key;
  std::string value;
};

// process: "coordinator", "worker 0", "frontend 0", ...; json: one JSON object a line instead of text.
void init_log(std::string_view process, LogLevel level, bool json);
// "debug", "info", "warn", "error"; anything else is kInfo.
LogLevel parse_log_level(std::string_view name);

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);
inline void log_debug(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::kDebug, m, f); }
inline void log_info(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::kInfo, m, f); }
inline void log_warn(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::kWarn, m, f); }
inline void log_error(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::kError, m, f); }

}  // namespace switchyard
