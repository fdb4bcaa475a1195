#include "launch/bench/command.h"

#include <CLI/CLI.hpp>

namespace switchyard::launch {

std::shared_ptr<BenchOptions> add_bench_flags(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  BenchOptions& o = *options;
  DatasetOptions& d = o.dataset;
  const auto add = [&](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->capture_default_str();
  };
  add("--backend", o.backend, "what is asked for: completions, or chats")
      ->check(CLI::IsMember({"openai", "vllm", "openai-chat"}));
  app.add_option("--base-url", o.base_url, "of the API; else http://HOST:PORT of the next two");
  add("--host", o.host, "of the API");
  add("--port", o.port, "of the API");
  app.add_option("--endpoint", o.endpoint, "/v1/completions or /v1/chat/completions; else as the backend");
  add("--model", o.model, "the first of /v1/models by default");
  add("--api-key", o.api_key, "bearer key; else SWITCHYARD_API_KEY or OPENAI_API_KEY");
  app.add_option("--ca-file", o.trust.ca_file, "PEM of whom to trust, for https");
  app.add_flag("--insecure", o.trust.insecure, "https with any certificate");
  add("--dataset-name", d.name, "prompts")->check(CLI::IsMember({"random", "custom", "sharegpt"}));
  add("--dataset-path", d.path, "custom: JSON Lines, \"prompt\" and \"output_tokens\"; sharegpt: its JSON");
  add("--num-prompts", d.prompt_count, "requests");
  add("--random-input-len", d.random_input_len, "tokens");
  add("--random-output-len", d.random_output_len, "tokens");
  add("--random-range-ratio", d.random_range_ratio, "lengths from 1 - ratio to 1 + ratio")->check(CLI::Range(0.0, 1.0));
  add("--custom-output-len", d.custom_output_len, "tokens, of lines without output_tokens; -1: none");
  app.add_option("--sharegpt-output-len", d.sharegpt_output_len, "tokens; else those of the conversation's answer");
  add("--tokenizer", d.tokenizer, "random prompts are texts of its vocabulary, else ids; counts sharegpt's tokens");
  add("--seed", d.seed, "of prompts and arrivals");
  add("--request-rate", o.request_rate, "a second, Poisson; inf: all at once");
  add("--burstiness", o.burstiness, "shape of the gaps' gamma distribution; 1: Poisson");
  app.add_option("--max-concurrency", o.max_concurrency, "requests in the works");
  add("--num-warmups", o.num_warmups, "requests before, not counted");
  app.add_flag("--ignore-eos", o.ignore_eos, "answers go on to their full length");
  app.add_flag("!--no-stream", o.stream, "ask for whole answers");
  add("--temperature", o.temperature, "of sampling");
  add("--request-timeout", o.request_timeout_s, "seconds, of one request");
  add("--percentile-metrics", o.percentile_metrics, "of ttft,tpot,itl,e2el")->delimiter(',');
  add("--metric-percentiles", o.metric_percentiles, "shown of each")->delimiter(',');
  app.add_option("--goodput", o.goodput, "limits in ms, as ttft:200 tpot:50 e2el:5000");
  app.add_flag("--save-result", o.save_result, "write a JSON file");
  app.add_flag("--save-detailed", o.save_detailed, "with every request's times and text");
  add("--result-dir", o.result_dir, "for it");
  add("--result-filename", o.result_filename, "its name");
  add("--label", o.label, "noted in it");
  app.add_flag("--disable-tqdm", o.disable_tqdm, "no progress on stderr");
  return options;
}

}  // namespace switchyard::launch
