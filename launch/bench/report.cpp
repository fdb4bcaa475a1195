#include "launch/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <cmath>
#include <numeric>

namespace switchyard::launch {
namespace {

struct Metric {
  std::string_view key;    // in flags and JSON
  std::string_view name;   // in a line
  std::string_view title;  // above its lines
};
constexpr Metric kMetrics[] = {
    {"ttft", "TTFT", "Time to First Token"},
    {"tpot", "TPOT", "Time per Output Token (excl. 1st token)"},
    {"itl", "ITL", "Inter-token Latency"},
    {"e2el", "E2EL", "End-to-end Latency"},
};
constexpr size_t kWidth = 50;  // of the block

bool is_metric(const std::string& name) {
  return std::any_of(std::begin(kMetrics), std::end(kMetrics),
                     [&](const Metric& metric) { return metric.key == name; });
}

Spread spread_of(std::vector<double> values, const std::vector<double>& percentiles) {
  Spread spread;
  spread.percentiles.assign(percentiles.size(), 0);
  if (values.empty()) return spread;
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  const auto at = [&](double percentile) {
    const double rank = percentile / 100 * (count - 1);
    const auto below = static_cast<size_t>(rank);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (rank - static_cast<double>(below)) * (values[above] - values[below]);
  };
  spread.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  spread.std = std::sqrt(squares / count);
  spread.median = at(50);
  for (size_t i = 0; i < percentiles.size(); ++i) spread.percentiles[i] = at(percentiles[i]);
  return spread;
}

uint64_t output_len(const RequestRecord& record) {
  return record.completion_tokens >= 0 ? static_cast<uint64_t>(record.completion_tokens) : record.output_count;
}

uint64_t input_len(const RequestRecord& record, uint32_t asked) {
  return record.prompt_tokens >= 0 ? static_cast<uint64_t>(record.prompt_tokens) : asked;
}

double tpot_ms(const RequestRecord& record) {
  const uint64_t tokens = output_len(record);
  return tokens > 1 ? 1000 * (record.latency - record.ttft) / static_cast<double>(tokens - 1) : 0;
}

bool is_good(const RequestRecord& record, const std::map<std::string, double>& limits) {
  return std::all_of(limits.begin(), limits.end(), [&](const auto& limit) {
    const auto& [name, ms] = limit;
    const double value = name == "ttft" ? 1000 * record.ttft : name == "tpot" ? tpot_ms(record) : 1000 * record.latency;
    return value <= ms;
  });
}

std::string percentile_name(double percentile) { return fmt::format("{}", percentile); }  // 99, 99.9

std::string quoted(const std::string& text) { return boost::json::serialize(boost::json::string(text)); }

// "name": [one, two, ...]
template <typename Value>
void append_list(std::string& out, std::string_view name, const std::vector<RequestRecord>& records, Value value) {
  out += fmt::format(", \"{}\": [", name);
  for (size_t i = 0; i < records.size(); ++i) {
    if (i > 0) out += ", ";
    out += value(i);
  }
  out += ']';
}

}  // namespace

Status check(const ReportOptions& options) {
  for (const std::string& name : options.metrics)
    if (!is_metric(name))
      return Error{Errc::kInvalid, "--percentile-metrics: '" + name + "' is not ttft, tpot, itl or e2el"};
  for (const double percentile : options.percentiles)
    if (!(percentile >= 0 && percentile <= 100))
      return Error{Errc::kInvalid, fmt::format("--metric-percentiles: {} is not within 0 and 100", percentile)};
  for (const auto& [name, ms] : options.goodput) {
    if (name != "ttft" && name != "tpot" && name != "e2el")
      return Error{Errc::kInvalid, "--goodput: '" + name + "' is not ttft, tpot or e2el"};
    if (!(ms >= 0)) return Error{Errc::kInvalid, "--goodput: " + name + ": a limit in ms is not negative"};
  }
  return {};
}

BenchReport make_report(const ReportOptions& options, const LoadResult& load, const std::vector<uint32_t>& input_lens) {
  BenchReport report;
  report.duration_s = load.duration;
  report.client_cpu_s = load.cpu_seconds;
  report.concurrency_max = load.concurrency_max;
  std::map<std::string, std::vector<double>> values;
  for (size_t i = 0; i < load.records.size(); ++i) {
    const RequestRecord& record = load.records[i];
    if (!record.ok) {
      ++report.failed;
      continue;
    }
    ++report.completed;
    report.input_tokens += input_len(record, input_lens[i]);
    report.output_tokens += output_len(record);
    if (is_good(record, options.goodput)) ++report.good;
    values["ttft"].push_back(1000 * record.ttft);
    values["e2el"].push_back(1000 * record.latency);
    if (output_len(record) > 1) values["tpot"].push_back(tpot_ms(record));
    for (const float gap : record.itls) values["itl"].push_back(1000.0 * gap);
  }
  for (const Metric& metric : kMetrics) {
    const std::string key(metric.key);
    report.spreads[key] = spread_of(std::move(values[key]), options.percentiles);
  }
  return report;
}

std::string report_text(const ReportOptions& options, const BenchReport& report) {
  std::string out = fmt::format("{:=^{}}\n", " Serving Benchmark Result ", kWidth);
  const auto count = [&](std::string_view name, uint64_t value) { out += fmt::format("{:<40} {:<10}\n", name, value); };
  const auto number = [&](std::string_view name, double value) {
    out += fmt::format("{:<40} {:<10.2f}\n", name, value);
  };
  count("Successful requests:", report.completed);
  count("Failed requests:", report.failed);
  if (options.max_concurrency > 0) count("Maximum request concurrency:", options.max_concurrency);
  if (options.request_rate > 0) number("Request rate configured (RPS):", options.request_rate);
  number("Benchmark duration (s):", report.duration_s);
  count("Total input tokens:", report.input_tokens);
  count("Total generated tokens:", report.output_tokens);
  number("Request throughput (req/s):", report.per_second(report.completed));
  if (!options.goodput.empty()) number("Request goodput (req/s):", report.per_second(report.good));
  number("Output token throughput (tok/s):", report.per_second(report.output_tokens));
  number("Total token throughput (tok/s):", report.per_second(report.input_tokens + report.output_tokens));
  for (const Metric& metric : kMetrics) {
    const std::string key(metric.key);
    if (std::find(options.metrics.begin(), options.metrics.end(), key) == options.metrics.end()) continue;
    const Spread& spread = report.spreads.at(key);
    out += fmt::format("{:-^{}}\n", metric.title, kWidth);
    number(fmt::format("Mean {} (ms):", metric.name), spread.mean);
    number(fmt::format("Median {} (ms):", metric.name), spread.median);
    for (size_t i = 0; i < options.percentiles.size(); ++i)
      number(fmt::format("P{} {} (ms):", percentile_name(options.percentiles[i]), metric.name), spread.percentiles[i]);
  }
  return out + std::string(kWidth, '=') + "\n";
}

std::string report_json(const ReportOptions& options, const BenchReport& report, const LoadResult& load,
                        const std::vector<uint32_t>& input_lens, bool detailed) {
  std::string out = fmt::format(
      "\"duration\": {}, \"completed\": {}, \"failed\": {}, \"total_input_tokens\": {}, \"total_output_tokens\": {}",
      report.duration_s, report.completed, report.failed, report.input_tokens, report.output_tokens);
  out += fmt::format(", \"request_throughput\": {}, \"request_goodput\": {}", report.per_second(report.completed),
                     options.goodput.empty() ? "null" : fmt::format("{}", report.per_second(report.good)));
  out += fmt::format(", \"output_throughput\": {}, \"total_token_throughput\": {}",
                     report.per_second(report.output_tokens),
                     report.per_second(report.input_tokens + report.output_tokens));
  out += fmt::format(", \"max_concurrent_requests\": {}, \"client_cpu_seconds\": {}", report.concurrency_max,
                     report.client_cpu_s);
  for (const std::string& key : options.metrics) {
    const Spread& spread = report.spreads.at(key);
    out += fmt::format(", \"mean_{0}_ms\": {1}, \"median_{0}_ms\": {2}, \"std_{0}_ms\": {3}", key, spread.mean,
                       spread.median, spread.std);
    for (size_t i = 0; i < options.percentiles.size(); ++i)
      out += fmt::format(", \"p{}_{}_ms\": {}", percentile_name(options.percentiles[i]), key, spread.percentiles[i]);
  }
  if (!detailed) return out;
  const auto& records = load.records;
  append_list(out, "input_lens", records,
              [&](size_t i) { return fmt::format("{}", input_len(records[i], input_lens[i])); });
  append_list(out, "output_lens", records, [&](size_t i) { return fmt::format("{}", output_len(records[i])); });
  append_list(out, "start_times", records, [&](size_t i) { return fmt::format("{:.9f}", records[i].start); });
  append_list(out, "ttfts", records, [&](size_t i) { return fmt::format("{:.9f}", records[i].ttft); });
  append_list(out, "itls", records, [&](size_t i) { return fmt::format("[{}]", fmt::join(records[i].itls, ", ")); });
  append_list(out, "generated_texts", records, [&](size_t i) { return quoted(records[i].text); });
  append_list(out, "errors", records, [&](size_t i) { return quoted(records[i].error); });
  return out;
}

}  // namespace switchyard::launch
