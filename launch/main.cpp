// The `switchyard` command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "common/base/atomic_file.h"
#include "common/base/out_of_memory.h"
#include "common/config/schema.h"
#include "common/text/commands.h"
#include "launch/bench/command.h"
#include "launch/chat.h"
#include "launch/cluster.h"
#include "launch/dry_run.h"
#include "launch/keys.h"
#include "launch/top.h"
#include "launch/verify.h"
#include "worker/quality/quality.h"

namespace switchyard::launch {
namespace {

namespace fs = std::filesystem;

// Where the programs of the cluster lie: beside this one.
std::string program_directory() {
  std::error_code ec;
  return fs::read_symlink("/proc/self/exe", ec).parent_path().string();
}

// The cause stands last on stderr, so that a script finds it.
int report(const Status& status) {
  if (status.ok()) return 0;
  std::fflush(stdout);
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return 1;
}

// What a command printed has arrived: a result that a full disk lost is no success.
Status check_output() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0 && std::cout.flush().good();
  if (flushed && std::ferror(stdout) == 0) return {};
  // Of what was lost before, nobody knows the cause any more.
  return Error{Errc::kIo, fmt::format("cannot write to standard output{}{}", errno != 0 ? ": " : "",
                                      errno != 0 ? std::strerror(errno) : "")};
}

int run_or_show(config::ClusterConfig config, RunOptions options, bool dry_run) {
  auto secret = take_environment(config);
  if (!secret.ok()) return report(secret.error());
  options.secret = std::move(secret).value();
  if (auto closed = config::check_exposure(config); !closed.ok()) return report(closed);
  if (!dry_run) {
    const Status ended = run_cluster(config, options);
    std::clearerr(stdout);  // who serves need not be heard
    return report(ended);
  }
  const auto text = dry_run_report(config, options.program_directory);
  if (!text.ok()) return report(text.error());
  std::fputs(text->c_str(), stdout);
  return 0;
}

// CLI11's, without the "..." behind options that collect their texts in a list.
class Formatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text = CLI::Formatter::make_option_opts(option);
    if (text.ends_with(" ...")) text.resize(text.size() - 4);
    return text;
  }
};

// `up` and `serve`, and what was typed for them. The flags of serve are the schema's.
struct ClusterCommand {
  std::string file;
  std::string model;
  bool dry_run = false;
  RunOptions options;
  std::map<std::string, std::vector<std::string>> flags;  // dotted key -> texts

  void add_run_options(CLI::App* app) {
    app->add_flag("--dry-run", dry_run, "print processes, hosts, expert placement and memory; start nothing");
    app->add_flag("--demo", options.demo, "send first chat requests and print their answers");
    app->add_option("--run-dir", options.run_base, "where the private run directory is made")->type_name("DIR");
    app->set_help_flag("-h,--help", "print this help");
  }

  void add_schema_flags(CLI::App* app) {
    for (const config::Key& key : config::keys()) {
      if (key.flag.empty()) continue;
      if (key.bare) {
        app->add_flag_callback(
            std::string(key.flag), [this, name = key.dotted()] { flags[name] = {"true"}; }, std::string(key.help));
        continue;
      }
      auto* option = app->add_option(std::string(key.flag), flags[key.dotted()], std::string(key.help));
      const bool is_list = std::holds_alternative<config::Field<std::vector<std::string>>>(key.field);
      option->type_name(key.check.choices.size() > 1 ? fmt::format("{}", fmt::join(key.check.choices, "|"))
                                                     : std::string(key.unit.empty() ? "TEXT" : key.unit));
      option->default_str(config::value_text(key, {}));
      option->allow_extra_args(false)->multi_option_policy(is_list ? CLI::MultiOptionPolicy::TakeAll
                                                                   : CLI::MultiOptionPolicy::TakeLast);
    }
  }

  Result<config::ClusterConfig> serve_config() const {
    config::ClusterConfig config;
    if (!file.empty()) {
      SWITCHYARD_ASSIGN(config, config::load_partial(file));
    }
    std::string problems;
    for (const config::Key& key : config::keys()) {
      const auto given = flags.find(key.dotted());
      if (given == flags.end()) continue;
      for (std::string text : given->second) {
        if (key.is_path && !text.empty()) text = fs::absolute(text).lexically_normal().string();
        if (auto status = config::set_from_text(key, text, config); !status.ok()) {
          problems += fmt::format("{}{}: {}", problems.empty() ? "" : "\n", key.flag, status.error().message);
        }
      }
    }
    if (!problems.empty()) return Error{Errc::kInvalid, problems};
    if (!model.empty()) config.model.path = fs::absolute(model).lexically_normal().string();
    if (config.model.path.empty()) return Error{Errc::kInvalid, "which model? switchyard serve MODEL_DIR"};
    SWITCHYARD_TRY(config::validate(config));
    return config;
  }
};

void add_trust(CLI::App* app, Trust& trust) {
  app->add_option("--ca-file", trust.ca_file, "PEM of whom to trust, for https")->type_name("FILE");
  app->add_flag("--insecure", trust.insecure, "https with any certificate");
}

int run(int argc, char** argv) {
  ignore_file_size_signal();
  end_when_out_of_memory("switchyard");
  CLI::App app("Switchyard: a serving cluster for mixture-of-experts language models", "switchyard");
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "print this help");
  // One line an option: a command's help fits a screen.
  app.formatter(std::make_shared<Formatter>());
  app.get_formatter()->column_width(46);
  int exit_code = 0;

  ClusterCommand up_command;
  up_command.options.program_directory = program_directory();
  auto* up = app.add_subcommand("up", "start the cluster that a YAML file describes, until Ctrl-C");
  bool help_config = false;
  up->add_option("CLUSTER.yaml", up_command.file, "see --help-config");
  up->add_flag("--help-config", help_config, "print all keys of CLUSTER.yaml");
  up_command.add_run_options(up);
  up->callback([&] {
    if (help_config) {
      std::fputs(config::help_text().c_str(), stdout);
      return;
    }
    if (up_command.file.empty()) {
      exit_code = report(Error{Errc::kInvalid, "which cluster? switchyard up CLUSTER.yaml"});
      return;
    }
    const auto config = config::load(up_command.file);
    exit_code = config.ok() ? run_or_show(*config, up_command.options, up_command.dry_run) : report(config.error());
  });

  ClusterCommand serve_command;
  serve_command.options.program_directory = program_directory();
  auto* serve = app.add_subcommand("serve", "serve a model on this machine, until Ctrl-C");
  serve->add_option("MODEL_DIR", serve_command.model, "Hugging Face checkpoint directory");
  serve->add_option("--config", serve_command.file, "CLUSTER.yaml to start from; flags win")->type_name("FILE");
  serve_command.add_run_options(serve);
  serve_command.add_schema_flags(serve);
  serve->callback([&] {
    const auto config = serve_command.serve_config();
    exit_code =
        config.ok() ? run_or_show(*config, serve_command.options, serve_command.dry_run) : report(config.error());
  });

  ChatOptions chat_options;
  auto* chat = app.add_subcommand("chat", "talk with a served model");
  chat->add_option("--url", chat_options.url, "of the API")->capture_default_str();
  chat->add_option("--api-key", chat_options.api_key, "bearer key")->envname(kApiKeyVariable);
  add_trust(chat, chat_options.trust);
  chat->add_option("--model", chat_options.model, "the first of /v1/models by default");
  chat->add_option("--system", chat_options.system, "system message");
  chat->add_option("-p,--prompt", chat_options.prompt, "ask this, print the answer, end");
  chat->add_option("--max-tokens", chat_options.max_tokens, "of one answer");
  chat->add_option("--temperature", chat_options.temperature, "0 = always the likeliest token");
  chat->callback([&] { exit_code = report(run_chat(chat_options)); });

  auto* bench = app.add_subcommand("bench", "measure a served model");
  bench->require_subcommand(1);
  bench->set_help_flag("-h,--help", "print this help");
  auto* bench_serve = bench->add_subcommand("serve", "send requests, print latencies and rates as `vllm bench serve`");
  const auto bench_options = add_bench_flags(*bench_serve);
  bench_serve->callback([&] { exit_code = report(run_bench(*bench_options)); });

  TopOptions top_options;
  auto* top = app.add_subcommand("top", "watch a cluster");
  top->add_option("--admin-url", top_options.admin_url, "of the coordinator")->capture_default_str();
  top->add_option("--api-key", top_options.api_key, "bearer key of the admin API")->envname(kAdminKeyVariable);
  add_trust(top, top_options.trust);
  top->add_flag("--once", top_options.once, "print one picture and end");
  top->add_option("--interval", top_options.interval_seconds, "seconds between pictures")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  top->callback([&] { exit_code = report(run_top(top_options)); });

  worker::QualityOptions quality_options;
  auto* quality =
      app.add_subcommand("quality", "what quantized weights cost: KL divergence and agreement with a reference");
  quality->add_option("MODEL_DIR", quality_options.model, "Hugging Face checkpoint directory")->required();
  quality->add_option("--reference", quality_options.reference, "float32 or bfloat16")->capture_default_str();
  quality->add_option("--quantization", quality_options.forms, "bfloat16, int8, int4; several with commas")
      ->delimiter(',')
      ->required();
  quality->add_option("--kv-cache-dtype", quality_options.kv_cache_dtype, "auto, float32, bfloat16 or int8")
      ->capture_default_str();
  quality
      ->add_option("--tokens", quality_options.tokens, "JSON Lines with ids, as `tokenize` prints; else random tokens")
      ->type_name("FILE");
  quality->add_option("--max-tokens", quality_options.max_tokens, "compared at most")
      ->capture_default_str()
      ->check(CLI::Range(1U, UINT32_MAX));
  quality->add_option("--threads", quality_options.threads, "0: all cores")->capture_default_str();
  quality->add_option("--backend", quality_options.backend, "op table")->capture_default_str();
  quality->callback([&] {
    const auto measured = worker::measure_quality(quality_options);
    exit_code = report(measured.ok() ? Status() : Status(measured.error()));
    if (measured.ok()) std::fputs(worker::quality_text(quality_options, *measured).c_str(), stdout);
  });

  VerifyOptions verify_options;
  auto* verify = app.add_subcommand("verify", "check a model's files against the checksums given with them");
  verify->add_option("MODEL_DIR", verify_options.model, "Hugging Face checkpoint directory")->required();
  verify->add_flag("--write", verify_options.write, "make SHA256SUMS of the files as they are");
  verify->callback([&] { exit_code = report(run_verify(verify_options)); });

  text::TokenizeOptions tokenize_options;
  auto* tokenize = app.add_subcommand("tokenize", "JSON Lines of texts to token ids, or back");
  tokenize->add_option("--tokenizer", tokenize_options.tokenizer, "directory or tokenizer.json")->required();
  tokenize->add_flag("--decode", tokenize_options.decode, "token ids to text");
  tokenize->callback([&] { exit_code = text::run_tokenize(std::cin, std::cout, std::cerr, tokenize_options); });

  text::TemplateOptions template_options;
  auto* render = app.add_subcommand("template", "JSON Lines of messages to prompts, by a chat template");
  render->add_option("--chat-template", template_options.chat_template, "file; else each line has its template");
  render->add_option("--now", template_options.now, "YYYY-MM-DD, for templates that ask for the date");
  render->callback([&] { exit_code = text::run_template(std::cin, std::cout, std::cerr, template_options); });

  app.add_subcommand("version", "print the version")->callback([] { std::puts("switchyard " SWITCHYARD_VERSION); });

  std::vector<std::string> arguments = take_arguments(argc, argv);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  if (exit_code != 0) return exit_code;
  return report(check_output());
}

}  // namespace
}  // namespace switchyard::launch

int main(int argc, char** argv) { return switchyard::launch::run(argc, argv); }
