#include "launch/top.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "launch/http_client.h"

namespace switchyard::launch {
namespace {

namespace json = boost::json;

// Fields that an older or newer coordinator does not send read as 0 or "".
double number(const json::value& object, const char* key) {
  if (!object.is_object()) return 0;
  const auto* value = object.as_object().if_contains(key);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::string text(const json::value& object, const char* key) {
  if (!object.is_object()) return "";
  const auto* value = object.as_object().if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

const json::array& list(const json::value& object, const char* key) {
  static const json::array kNone;
  const auto* value = object.is_object() ? object.as_object().if_contains(key) : nullptr;
  return value != nullptr && value->is_array() ? value->as_array() : kNone;
}

double mib(double bytes) { return bytes / (1 << 20); }

}  // namespace

Result<std::string> render_cluster(const std::string& body, double seconds, TopTotals& totals) {
  boost::system::error_code ec;
  const json::value cluster = json::parse(body, ec);
  if (ec || !cluster.is_object()) return Error{Errc::kInvalid, "the answer of /cluster is not a JSON object"};
  const auto& ranks = list(cluster, "ranks");
  const auto& frontends = list(cluster, "frontends");
  TopTotals now;
  for (const auto& rank : ranks) {
    now.prompt_tokens += number(rank, "prompt_tokens");
    now.generation_tokens += number(rank, "generation_tokens");
  }
  const auto rate = [&](double a, double b) { return seconds > 0 && a >= b ? (a - b) / seconds : 0.0; };
  std::string out = fmt::format("{}  {}  epoch {:.0f}  {} ranks  {} frontends\n", text(cluster, "name"),
                                text(cluster, "model"), number(cluster, "epoch"), ranks.size(), frontends.size());
  out += fmt::format("prompt {:.1f} tok/s  generation {:.1f} tok/s  (in all {:.0f} and {:.0f})\n\n",
                     rate(now.prompt_tokens, totals.prompt_tokens),
                     rate(now.generation_tokens, totals.generation_tokens), now.prompt_tokens, now.generation_tokens);
  totals = now;
  out +=
      fmt::format("{:>4} {:>5} {:>8} {:<16} {:<8} {:<18} {:>7} {:>7} {:>5} {:>9} {:>9} {:>8}\n", "RANK", "GROUP", "PID",
                  "HOST", "STATE", "DEVICE", "RUNNING", "WAITING", "KV %", "WEIGHTS M", "MEMORY M", "STEP ms");
  for (const auto& rank : ranks) {
    std::string device = text(rank, "device");
    if (const auto backend = text(rank, "backend"); !backend.empty()) device += (device.empty() ? "" : "/") + backend;
    out += fmt::format(
        "{:>4.0f} {:>5.0f} {:>8.0f} {:<16.16} {:<8.8} {:<18.18} {:>7.0f} {:>7.0f} {:>5.1f} {:>9.1f} {:>9.1f} "
        "{:>8.2f}\n",
        number(rank, "rank_id"), number(rank, "group"), number(rank, "pid"), text(rank, "host"), text(rank, "state"),
        device, number(rank, "sequences"), number(rank, "waiting"), 100 * number(rank, "kv_usage"),
        mib(number(rank, "weight_bytes")), mib(number(rank, "resident_bytes")), 1000 * number(rank, "step_seconds"));
  }
  out += fmt::format("\n{:>9} {:>8} {:<22} {:>9} {:>11}\n", "FRONTEND", "PID", "ADDRESS", "REQUESTS", "CONNECTIONS");
  int index = 0;
  for (const auto& frontend : frontends) {
    out += fmt::format("{:>9} {:>8.0f} {:<22} {:>9.0f} {:>11.0f}\n", index++, number(frontend, "pid"),
                       fmt::format("{}:{:.0f}", text(frontend, "host"), number(frontend, "port")),
                       number(frontend, "requests"), number(frontend, "connections"));
  }
  return out;
}

Status run_top(const TopOptions& options) {
  SWITCHYARD_ASSIGN(const Url url, parse_url(options.admin_url, options.trust));
  HttpRequest request;
  request.target = "/cluster";
  request.bearer = options.api_key;
  request.deadline = std::chrono::milliseconds(5000);
  TopTotals totals;
  using Clock = std::chrono::steady_clock;
  Clock::time_point before{};
  const bool redraw = !options.once && isatty(STDOUT_FILENO) == 1;
  for (;;) {
    const auto answer = http_request(url, request);
    const auto now = Clock::now();
    std::string picture;
    if (!answer.ok() || answer->status != 200) {
      const std::string why =
          answer.ok() ? fmt::format("{}: {}", answer->status, answer->body) : answer.error().message;
      // A coordinator that is being started again is worth waiting for, once there was one.
      if (options.once || before == Clock::time_point{}) return Error{Errc::kUnavailable, why};
      picture = why + "\n";
    } else {
      const double seconds = before == Clock::time_point{} ? 0 : std::chrono::duration<double>(now - before).count();
      SWITCHYARD_ASSIGN(picture, render_cluster(answer->body, seconds, totals));
      before = now;
    }
    fmt::print("{}{}", redraw ? "\033[H\033[2J" : "", picture);
    std::fflush(stdout);
    if (options.once) return {};
    std::this_thread::sleep_for(std::chrono::duration<double>(options.interval_seconds));
  }
}

}  // namespace switchyard::launch
