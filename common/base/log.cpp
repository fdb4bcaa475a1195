#include "common/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace switchyard {
namespace {

struct LogState {
  std::shared_ptr<spdlog::logger> logger =
      std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  std::string process;
  bool json = false;
};

LogState& state() {
  static LogState instance;
  return instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

// A string as a JSON string; control characters escaped, so that one event stays one line.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=') return true;
  }
  return false;
}

}  // namespace

void init_log(std::string_view process, LogLevel level, bool json) {
  auto& s = state();
  s.process = process;
  s.json = json;
  s.logger->set_level(to_spdlog(level));
  s.logger->set_pattern(json ? "%v" : "%Y-%m-%d %H:%M:%S.%e %L %v");
  s.logger->flush_on(spdlog::level::debug);
}

LogLevel parse_log_level(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  auto& s = state();
  const auto spd = to_spdlog(level);
  if (!s.logger->should_log(spd)) return;
  std::string line;
  if (s.json) {
    const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    line = fmt::format("{{\"time\":{:.3f},\"level\":{},\"process\":{},\"message\":{}", now,
                       quoted(spdlog::level::to_string_view(spd).data()), quoted(s.process), quoted(message));
    for (const auto& f : fields) line += fmt::format(",{}:{}", quoted(f.key), quoted(f.value));
    line += "}";
  } else {
    line = fmt::format("[{}] {}", s.process, message);
    for (const auto& f : fields)
      line += fmt::format(" {}={}", f.key, needs_quotes(f.value) ? quoted(f.value) : f.value);
  }
  s.logger->log(spd, "{}", line);
}

}  // namespace switchyard
