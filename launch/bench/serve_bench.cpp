#include "launch/bench/serve_bench.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "common/base/atomic_file.h"
#include "launch/bench/load.h"
#include "launch/bench/report.h"

namespace switchyard::launch {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr size_t kErrorsShown = 3;

std::string quoted(const std::string& text) { return json::serialize(json::string(text)); }

std::string rate_text(double rate) { return std::isinf(rate) ? "inf" : fmt::format("{}", rate); }

Result<std::map<std::string, double>> goodput_of(const std::vector<std::string>& texts) {
  std::map<std::string, double> limits;
  for (const std::string& text : texts) {
    const size_t colon = text.find(':');
    double ms = 0;
    const char* end = text.data() + text.size();
    if (colon == std::string::npos || std::from_chars(text.data() + colon + 1, end, ms).ptr != end ||
        colon + 1 == text.size())
      return Error{Errc::kInvalid, "--goodput: '" + text + "' is not like ttft:200, a metric and ms"};
    limits[text.substr(0, colon)] = ms;
  }
  return limits;
}

class Bench {
 public:
  explicit Bench(const BenchOptions& options) : options_(filled_in(options)) {}

  Status run() {
    SWITCHYARD_TRY(prepare());
    if (options_.num_warmups > 0) {
      std::vector<LoadRequest> warmups;
      for (uint32_t i = 0; i < options_.num_warmups; ++i) warmups.push_back({0, requests_[i % requests_.size()].body});
      SWITCHYARD_ASSIGN(const LoadResult warm, run_load(load_, warmups));
      SWITCHYARD_TRY(one_succeeded(warm));
    }
    load_.keep_texts = options_.save_detailed;
    if (!options_.disable_tqdm && isatty(STDERR_FILENO) == 1) {
      load_.on_progress = [all = requests_.size()](size_t done) { fmt::print(stderr, "\r{}/{} ", done, all); };
    }
    SWITCHYARD_ASSIGN(const LoadResult result, run_load(load_, requests_));
    if (load_.on_progress) fmt::print(stderr, "\r");
    const BenchReport report = make_report(report_, result, input_lens_);
    fmt::print("{}", report_text(report_, report));
    std::fflush(stdout);
    show_errors(result);
    fmt::print(stderr, "this tool: {:.2f} s of CPU time, {:.2f} us a generated token\n", report.client_cpu_s,
               1e6 * report.client_cpu_s / static_cast<double>(std::max<uint64_t>(report.output_tokens, 1)));
    if (options_.save_result || options_.save_detailed) SWITCHYARD_TRY(save(report, result));
    return one_succeeded(result);
  }

 private:
  static BenchOptions filled_in(BenchOptions options) {
    if (options.base_url.empty()) options.base_url = fmt::format("http://{}:{}", options.host, options.port);
    if (options.endpoint.empty())
      options.endpoint = options.backend == "openai-chat" ? "/v1/chat/completions" : "/v1/completions";
    return options;
  }

  Status prepare() {
    report_.metrics = options_.percentile_metrics;
    report_.percentiles = options_.metric_percentiles;
    SWITCHYARD_ASSIGN(report_.goodput, goodput_of(options_.goodput));
    report_.max_concurrency = options_.max_concurrency;
    report_.request_rate = std::isinf(options_.request_rate) ? 0 : options_.request_rate;
    SWITCHYARD_TRY(check(report_));
    SWITCHYARD_ASSIGN(load_.url, parse_url(options_.base_url, options_.trust));
    load_.endpoint = options_.endpoint;
    load_.bearer = options_.api_key;
    for (const char* variable : {"SWITCHYARD_API_KEY", "OPENAI_API_KEY"}) {
      if (const char* key = std::getenv(variable); load_.bearer.empty() && key != nullptr) load_.bearer = key;
    }
    load_.max_concurrency = options_.max_concurrency;
    load_.request_timeout_s = options_.request_timeout_s;
    is_chat_ = options_.endpoint.ends_with("/chat/completions");
    if (!is_chat_ && !options_.endpoint.ends_with("/completions"))
      return Error{Errc::kInvalid,
                   "--endpoint: '" + options_.endpoint + "' is not .../completions or .../chat/completions"};
    SWITCHYARD_TRY(find_model());
    DatasetOptions dataset = options_.dataset;
    dataset.token_ids = !is_chat_;
    SWITCHYARD_ASSIGN(const auto prompts, make_prompts(dataset));
    std::mt19937_64 random(dataset.seed);
    const double rate = options_.request_rate;
    std::gamma_distribution<double> gap(options_.burstiness, std::isinf(rate) ? 1 : 1 / (rate * options_.burstiness));
    double at = 0;
    for (const BenchPrompt& prompt : prompts) {
      requests_.push_back({at, body_of(prompt)});
      input_lens_.push_back(prompt.input_len);
      if (!std::isinf(rate)) at += gap(random);
    }
    return {};
  }

  Status find_model() {
    model_ = options_.model;
    if (!model_.empty()) return {};
    HttpRequest request;
    request.target = "/v1/models";
    request.bearer = load_.bearer;
    SWITCHYARD_ASSIGN(const HttpAnswer answer, http_request(load_.url, request));
    boost::system::error_code ec;
    const json::value parsed = json::parse(answer.body, ec);
    const json::value* id = ec ? nullptr : parsed.find_pointer("/data/0/id", ec);
    if (answer.status != 200 || id == nullptr || !id->is_string())
      return Error{Errc::kUnavailable, fmt::format("--model: {}/v1/models does not tell one: {} {}", options_.base_url,
                                                   answer.status, answer.body.substr(0, 500))};
    model_ = id->as_string().c_str();
    return {};
  }

  std::string body_of(const BenchPrompt& prompt) const {
    std::string body = fmt::format("{{\"model\":{}", quoted(model_));
    if (is_chat_)
      body += fmt::format(",\"messages\":[{{\"role\":\"user\",\"content\":{}}}]", prompt.json);
    else
      body += fmt::format(",\"prompt\":{}", prompt.json);
    body += fmt::format(",\"max_tokens\":{},\"temperature\":{}", prompt.output_len, options_.temperature);
    if (options_.ignore_eos) body += ",\"ignore_eos\":true";
    if (options_.stream) body += ",\"stream\":true,\"stream_options\":{\"include_usage\":true}";
    return body + "}";
  }

  static Status one_succeeded(const LoadResult& result) {
    for (const RequestRecord& record : result.records)
      if (record.ok) return {};
    return Error{Errc::kUnavailable, "no request succeeded: " + result.records.front().error};
  }

  static void show_errors(const LoadResult& result) {
    size_t shown = 0;
    for (size_t i = 0; i < result.records.size() && shown < kErrorsShown; ++i) {
      if (result.records[i].ok) continue;
      ++shown;
      fmt::print(stderr, "request {} failed: {}\n", i, result.records[i].error);
    }
  }

  Status save(const BenchReport& report, const LoadResult& result) const {
    const auto now = fmt::localtime(std::time(nullptr));
    const std::string date = fmt::format("{:%Y%m%d-%H%M%S}", now);
    std::string out = fmt::format("{{\"date\": \"{}\", \"backend\": \"{}\", \"endpoint_type\": \"{}\"", date,
                                  is_chat_ ? "openai-chat" : "openai", is_chat_ ? "openai-chat" : "openai");
    out +=
        fmt::format(", \"label\": {}, \"model_id\": {}, \"tokenizer_id\": {}, \"num_prompts\": {}",
                    options_.label.empty() ? "null" : quoted(options_.label), quoted(model_),
                    quoted(options_.dataset.tokenizer.empty() ? model_ : options_.dataset.tokenizer), requests_.size());
    out += fmt::format(", \"request_rate\": {}, \"burstiness\": {}, \"max_concurrency\": {}, ",
                       std::isinf(options_.request_rate) ? "\"inf\"" : rate_text(options_.request_rate),
                       options_.burstiness,
                       options_.max_concurrency == 0 ? "null" : fmt::format("{}", options_.max_concurrency));
    out += report_json(report_, report, result, input_lens_, options_.save_detailed) + "}\n";
    std::string name = options_.result_filename;
    if (name.empty()) {
      std::string model = model_;
      for (char& c : model)
        if (c == '/') c = '-';
      name = fmt::format("openai-{}qps-{}-{}.json", rate_text(options_.request_rate), model, date);
    }
    const fs::path path = fs::path(options_.result_dir) / name;
    std::error_code ignored;
    if (path.has_parent_path()) fs::create_directories(path.parent_path(), ignored);
    return write_file(path.string(), out);
  }

  const BenchOptions options_;
  bool is_chat_ = false;
  std::string model_;
  ReportOptions report_;
  LoadOptions load_;
  std::vector<LoadRequest> requests_;
  std::vector<uint32_t> input_lens_;
};

}  // namespace

Status run_bench(const BenchOptions& options) {
  if (!(options.request_rate > 0)) return Error{Errc::kInvalid, "--request-rate: more than 0, or inf"};
  if (!(options.burstiness > 0)) return Error{Errc::kInvalid, "--burstiness: more than 0"};
  if (options.dataset.prompt_count == 0) return Error{Errc::kInvalid, "--num-prompts: more than 0"};
  return Bench(options).run();
}

}  // namespace switchyard::launch
