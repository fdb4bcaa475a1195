#include "launch/cluster.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/checksums.h"
#include "common/net/net.h"
#include "common/net/tls.h"
#include "coordinator/placement.h"
#include "launch/coordinator_link.h"
#include "launch/http_client.h"
#include "launch/janitor.h"
#include "launch/keys.h"
#include "launch/plan.h"
#include "launch/ports.h"
#include "launch/process.h"
#include "launch/restarts.h"
#include "launch/run_directory.h"

namespace switchyard::launch {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

bool in_path(const std::string& program) {
  const char* path = getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const auto end = rest.find(':');
    const std::string candidate = std::string(rest.substr(0, end)) + "/" + program;
    if (access(candidate.c_str(), X_OK) == 0) return true;
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return false;
}

std::vector<std::string> needed_programs(const config::ClusterConfig& config, const RunOptions& options) {
  std::vector<std::string> missing;
  for (const char* name : {"switchyard-coordinator", "switchyard-worker", "switchyard-frontend"}) {
    const std::string path = options.program_directory + "/" + name;
    if (access(path.c_str(), X_OK) != 0) missing.push_back(path + ": is not there; build it (make build)");
  }
  const std::string starter = rank_starter(config);
  if (!starter.empty() && !in_path(starter)) missing.push_back(starter + ": is not in PATH");
  return missing;
}

// How the launcher reaches the servers that it starts: by their own certificates. Null = over plain HTTP.
struct ServerTls {
  net::TlsPtr api;
  net::TlsPtr admin;
  net::TlsPtr internal;

  // All files are read here, so that one that cannot work is named before anything starts.
  static Result<ServerTls> load(const config::ClusterConfig& config) {
    ServerTls tls;
    const auto& f = config.frontend;
    const auto& c = config.coordinator;
    const auto& t = config.tls;
    const net::TlsFiles api{f.ssl_certfile,
                            f.ssl_keyfile,
                            f.ssl_ca_certs,
                            {"frontend.ssl_certfile", "frontend.ssl_keyfile", "frontend.ssl_ca_certs"}};
    const net::TlsFiles admin{c.admin_ssl_certfile,
                              c.admin_ssl_keyfile,
                              "",
                              {"coordinator.admin_ssl_certfile", "coordinator.admin_ssl_keyfile", ""}};
    if (!api.certificate.empty()) {
      SWITCHYARD_TRY(net::Tls::server(api));
      SWITCHYARD_ASSIGN(tls.api, net::Tls::self(api));
    }
    if (!admin.certificate.empty()) {
      SWITCHYARD_ASSIGN(tls.admin, net::Tls::self(admin));
    }
    SWITCHYARD_ASSIGN(tls.internal, net::internal_tls(t.cert_file, t.key_file, t.ca_file));
    return tls;
  }
};

// What weights are being read, on a terminal: one line, drawn over itself.
class ProgressBar {
 public:
  ProgressBar(const config::ClusterConfig& config, const ServerTls& tls) : on_(isatty(STDERR_FILENO) == 1) {
    url_.host = reachable_host(config.coordinator.admin_host);
    url_.port = config.coordinator.admin_port;
    url_.tls = tls.admin;
    request_.target = "/cluster";
    request_.bearer = config.coordinator.admin_api_key;
    request_.deadline = milliseconds(200);
  }

  void update() {
    if (!on_ || Clock::now() < next_) return;
    next_ = Clock::now() + milliseconds(200);
    const auto answer = http_request(url_, request_);
    if (!answer.ok() || answer->status != 200) return;
    boost::system::error_code ec;
    const json::value cluster = json::parse(answer->body, ec);
    if (ec) return;
    double loaded = 0;
    double total = 0;
    const json::value* ranks = cluster.is_object() ? cluster.as_object().if_contains("ranks") : nullptr;
    if (ranks == nullptr || !ranks->is_array()) return;
    for (const auto& rank : ranks->as_array()) {
      if (!rank.is_object()) continue;
      const auto number = [&](const char* key) {
        const auto* value = rank.as_object().if_contains(key);
        return value != nullptr && value->is_number() ? value->to_number<double>() : 0.0;
      };
      loaded += number("weight_bytes_loaded");
      total += number("weight_bytes_to_load");
    }
    if (total <= 0) return;
    constexpr int kWidth = 40;
    const double part = std::clamp(loaded / total, 0.0, 1.0);
    const int filled = static_cast<int>(part * kWidth);
    std::fprintf(stderr, "\r\033[Kloading weights [%s%s] %3.0f %% of %.1f GB", std::string(filled, '#').c_str(),
                 std::string(kWidth - filled, ' ').c_str(), 100 * part, total / 1e9);
    std::fflush(stderr);
    drawn_ = true;
  }

  void erase() {
    if (drawn_) std::fputs("\r\033[K", stderr);
    drawn_ = false;
  }

 private:
  bool on_;
  bool drawn_ = false;
  Clock::time_point next_ = Clock::now() + milliseconds(500);  // most starts are over by then
  Url url_;
  HttpRequest request_;
};

// "switchyard-coordinator: port in use" -> "port in use"
std::string without_program_name(const std::string& line) {
  if (!line.starts_with("switchyard-")) return line;
  const auto colon = line.find(": ");
  return colon == std::string::npos || line.find(' ') < colon ? line : line.substr(colon + 2);
}

Error cause_of_end(const Supervisor& supervisor, bool was_ready) {
  const auto& exit = *supervisor.first_exit();
  std::string message = exit.sentence;
  if (!exit.fatal_cause.empty()) {
    message = was_ready ? fmt::format("{}: {}", exit.sentence, exit.fatal_cause) : exit.fatal_cause;
  } else if (exit.last_line.starts_with("switchyard-")) {
    message = without_program_name(exit.last_line);
  }
  return {Errc::kPeerLost, message};
}

// The processes of the cluster. Once it serves, one that ends is started again.
class Processes {
 public:
  Processes(std::vector<PlannedProcess> plan, const RunDirectory& run, Supervisor& supervisor, CoordinatorLink& link)
      : plan_(std::move(plan)),
        run_(run),
        supervisor_(supervisor),
        link_(link),
        restarts_(plan_.size()),
        causes_(plan_.size()) {}

  Status start_all() {
    for (const auto& process : plan_) SWITCHYARD_TRY(start(process));
    tell_coordinator();
    return {};
  }

  // Until a stop request, or until a process that the cluster cannot do without is given up.
  void keep_running() {
    while (supervisor_.stop_requests() == 0) {
      if (const Exit* exit = supervisor_.first_exit()) {
        const auto ended = std::find_if(plan_.begin(), plan_.end(),
                                        [&](const PlannedProcess& p) { return p.program.name == exit->name; });
        const auto index = static_cast<size_t>(ended - plan_.begin());
        on_end(index, cause_of_end(supervisor_, true).message, exit->code == 0 && exit->signal == 0);
        if (!any_left(ended->role)) return;
        supervisor_.forget_first_exit();
      }
      while (const auto index = restarts_.take_due(Clock::now())) start_again(*index);
      if (supervisor_.first_exit() == nullptr) supervisor_.wait(until_next());
    }
  }

 private:
  Status start(const PlannedProcess& process) {
    if (!process.directory.empty()) SWITCHYARD_TRY(run_.make_empty(process.directory));
    return supervisor_.start(process.program);
  }

  // in_order: it was told to end, and did what it had to do first.
  void on_end(size_t index, const std::string& cause, bool in_order) {
    const std::string& name = plan_[index].program.name;
    const auto delay = restarts_.ended(index, Clock::now(), in_order);
    causes_[index] = cause;
    tell_coordinator();
    if (delay && in_order) {
      log_info("a process has drained", {{"process", name}, {"starts_again_in_ms", delay->count()}});
    } else if (delay) {
      log_error("a process ended", {{"process", name}, {"cause", cause}, {"starts_again_in_ms", delay->count()}});
    } else {
      log_error("a process ended and is given up",
                {{"process", name}, {"cause", cause}, {"ends_within_10_minutes", Restarts::kEndsMax}});
    }
  }

  void start_again(size_t index) {
    if (auto started = start(plan_[index]); !started.ok()) return on_end(index, started.error().message, false);
    log_info("process starts again", {{"process", plan_[index].program.name}});
    tell_coordinator();
  }

  void tell_coordinator() {
    wire::LauncherReport report;
    report.set_pid(getpid());
    for (size_t i = 0; i < plan_.size(); ++i) {
      wire::ProcessState& state = *report.add_processes();
      state.set_name(plan_[i].program.name);
      state.set_first_rank(plan_[i].program.first_rank);
      state.set_rank_count(plan_[i].rank_count);
      state.set_given_up(restarts_.given_up(i));
      state.set_running(!restarts_.given_up(i) && !restarts_.due(i));
      state.set_ends(static_cast<uint32_t>(restarts_.ends(i)));
      state.set_cause(causes_[i]);
      if (const auto due = restarts_.due(i)) {
        const auto wait = std::chrono::ceil<milliseconds>(*due - Clock::now()).count();
        state.set_starts_again_in_ms(static_cast<uint32_t>(std::max<int64_t>(wait, 0)));
      }
    }
    link_.tell(std::move(report));
  }

  bool any_left(Role role) const {
    for (size_t i = 0; i < plan_.size(); ++i)
      if (plan_[i].role == role && !restarts_.given_up(i)) return true;
    return false;
  }

  milliseconds until_next() const {
    const auto next = restarts_.next();
    if (!next) return milliseconds(60000);
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(*next - Clock::now()));
  }

  const std::vector<PlannedProcess> plan_;
  const RunDirectory& run_;
  Supervisor& supervisor_;
  CoordinatorLink& link_;
  Restarts restarts_;
  std::vector<std::string> causes_;  // of each one's last end
};

bool is_ready(const Url& url) {
  HttpRequest request;
  request.target = "/ready";
  request.deadline = milliseconds(500);
  const auto answer = http_request(url, request);
  return answer.ok() && answer->status == 200;
}

Url frontend_url(const config::ClusterConfig& config, const ServerTls& tls, uint32_t index) {
  const auto& f = config.frontend;
  Url url;
  url.tls = tls.api;
  url.host = reachable_host(f.host);
  if (!f.hosts.empty() && !is_this_machine(f.hosts[index % f.hosts.size()])) url.host = f.hosts[index % f.hosts.size()];
  url.port = static_cast<uint16_t>(f.port + index);
  return url;
}

// A chat request of one question, as OpenAI's API takes it.
std::string chat_body(const config::ClusterConfig& config, const char* question) {
  json::object body;
  body["model"] = config.model.served_model_name;
  body["messages"] = json::array{json::object{{"role", "user"}, {"content", question}}};
  body["max_tokens"] = 64;
  body["temperature"] = 0;
  return json::serialize(body);
}

// The answer's text, or what went wrong.
std::string ask(const Url& url, const std::string& key, std::string body) {
  HttpRequest request;
  request.method = "POST";
  request.target = "/v1/chat/completions";
  request.body = std::move(body);
  request.deadline = milliseconds(60000);
  request.bearer = key;
  const auto answer = http_request(url, request);
  if (!answer.ok()) return answer.error().message;
  boost::system::error_code ec;
  const json::value parsed = json::parse(answer->body, ec);
  const json::value* content = ec ? nullptr : parsed.find_pointer("/choices/0/message/content", ec);
  return content != nullptr && content->is_string() ? std::string(content->as_string()) : answer->body;
}

void show_first_answers(const config::ClusterConfig& config, const ServerTls& tls) {
  constexpr const char* kQuestions[] = {"Who are you?", "我想退换刚买的手机"};
  const Url url = frontend_url(config, tls, 0);
  const std::string key = config.frontend.api_keys.empty() ? "" : config.frontend.api_keys.front();
  for (const char* question : kQuestions)
    std::printf("\n> %s\n%s\n", question, ask(url, key, chat_body(config, question)).c_str());
  std::printf(
      "\nTry it (Ctrl-C ends the cluster):\n  curl %s/v1/chat/completions -H 'Content-Type: application/json'%s -d "
      "'%s'\n",
      url_text(url.host, url.port, url.tls != nullptr).c_str(),
      key.empty() ? "" : " -H \"Authorization: Bearer $SWITCHYARD_API_KEY\"", chat_body(config, kQuestions[0]).c_str());
  std::fflush(stdout);
}

}  // namespace

Result<std::string> check_start(const config::ClusterConfig& config, const RunOptions& options) {
  std::vector<std::string> problems = needed_programs(config, options);
  const auto& w = config.worker;
  // Entries of the schema that no build has yet: planned with, not started.
  if (w.exchange == "nccl" || w.exchange == "staged") {
    problems.push_back(fmt::format("worker.exchange: this build has local and mpi; {} is for --dry-run", w.exchange));
  }
  if (const auto remote = remote_hosts(config); !remote.empty() && options.run_base.empty()) {
    problems.push_back(fmt::format(
        "host {}: a cluster of several machines needs --run-dir on a file system that they share", remote.front()));
  }

  auto checkpoint = checkpoint::Checkpoint::open(config.model.path);
  if (!checkpoint.ok()) {
    problems.push_back(checkpoint.error().message);
  } else {
    if (auto placed = coordinator::place_experts(w.placement, checkpoint->spec(), w.data_parallel_size); !placed.ok())
      problems.push_back(placed.error().message);
    // Here, once a machine that launches: a rank reads parts of files, and each would have to hash all of them.
    if (config.model.verify_checksums) {
      if (auto sound = checkpoint::verify_checksums(config.model.path, machine_cores().size(), {}); !sound.ok())
        problems.push_back(sound.error().message);
    }
    if (auto fits = check_context(config, checkpoint->spec()); !fits.ok()) problems.push_back(fits.error().message);
  }

  auto check_port = [&](const char* key, const std::string& host, uint32_t port) {
    if (port == 0) return;
    if (auto status = check_port_free(host, static_cast<uint16_t>(port)); !status.ok()) {
      problems.push_back(fmt::format("{}: {}", key, status.error().message));
    }
  };
  check_port("coordinator.port", config.coordinator.host, config.coordinator.port);
  check_port("coordinator.admin_port", config.coordinator.admin_host, config.coordinator.admin_port);
  const auto& f = config.frontend;
  for (uint32_t i = 0; i < f.count && f.port != 0; ++i) {
    if (f.hosts.empty() || is_this_machine(f.hosts[i % f.hosts.size()]))
      check_port("frontend.port", f.host, f.port + i);
  }
  if (problems.empty()) return checkpoint->fingerprint();
  std::string all;
  for (const auto& problem : problems) all += (all.empty() ? "" : "\n") + problem;
  return Error{Errc::kInvalid, all};
}

Result<config::ClusterConfig> resolve(config::ClusterConfig config) {
  auto& c = config.coordinator;
  auto& f = config.frontend;
  if (f.port == 0) {
    SWITCHYARD_ASSIGN(f.port, find_free_ports(f.host, f.count));
  }
  // Distinct from those found before, which nobody has bound yet.
  auto is_taken = [&](uint16_t port) {
    return (port >= f.port && port < f.port + f.count) || port == c.port || port == c.admin_port;
  };
  auto find_other = [&](const std::string& host, uint16_t& out) -> Status {
    for (;;) {
      SWITCHYARD_ASSIGN(const uint16_t port, find_free_ports(host, 1));
      if (is_taken(port)) continue;
      out = port;
      return {};
    }
  };
  if (c.admin_port == 0) SWITCHYARD_TRY(find_other(c.admin_host, c.admin_port));
  if (c.port == 0) SWITCHYARD_TRY(find_other(c.host, c.port));
  if (config.worker.threads_per_rank == 0 && remote_hosts(config).empty()) {
    config.worker.threads_per_rank = std::max(
        1U, static_cast<uint32_t>(machine_cores().size()) / (config.worker.groups * config.worker.data_parallel_size));
  }
  if (config.model.served_model_name.empty()) {
    const auto path = std::filesystem::path(config.model.path).lexically_normal();
    config.model.served_model_name = (path.has_filename() ? path : path.parent_path()).filename().string();
  }
  return config;
}

Status run_cluster(const config::ClusterConfig& given, const RunOptions& options) {
  init_log("launcher", parse_log_level(given.log.level), given.log.format == "json");
  ProgressBar* bar = nullptr;
  Janitor janitor;
  Supervisor supervisor([&](const std::string& line) {
    if (bar != nullptr) bar->erase();
    std::fprintf(stderr, "%s\n", line.c_str());
  });

  SWITCHYARD_ASSIGN(const std::string fingerprint, check_start(given, options));
  SWITCHYARD_ASSIGN(config::ClusterConfig config, resolve(given));
  config.model.fingerprint = fingerprint;
  SWITCHYARD_TRY(read_key_files(config));
  SWITCHYARD_ASSIGN(const ServerTls tls, ServerTls::load(config));
  SWITCHYARD_ASSIGN(const RunDirectory run, RunDirectory::make(options.run_base));
  janitor.watch(run.path());
  if (config.secret_file.empty()) {
    SWITCHYARD_ASSIGN(config.secret_file,
                      run.write("secret", options.secret.empty() ? net::make_secret() : options.secret));
  }
  SWITCHYARD_ASSIGN(const std::string yaml, run.write("cluster.yaml", config::to_yaml(config)));
  log_debug("resolved", {{"config", yaml}});

  const auto stop = [&](Status status) {
    supervisor.stop_all();
    return status;
  };
  SWITCHYARD_ASSIGN(const std::string secret, net::load_secret(config.secret_file));
  SWITCHYARD_ASSIGN(const auto link,
                    CoordinatorLink::start(reachable_host(config.coordinator.host), config.coordinator.port, secret,
                                           tls.internal, [] { kill(getpid(), SIGTERM); }));
  Processes processes(plan_processes(config, {options.program_directory, run.path(), geteuid() == 0}), run, supervisor,
                      *link);
  if (auto started = processes.start_all(); !started.ok()) return stop(started);

  ProgressBar progress(config, tls);
  bar = &progress;
  uint32_t ready_count = 0;
  while (ready_count < config.frontend.count) {
    supervisor.wait(milliseconds(20));
    if (supervisor.stop_requests() > 0) return stop({});
    if (supervisor.first_exit() != nullptr) {
      progress.erase();
      supervisor.wait(milliseconds(50));  // others' last words
      const Error cause = cause_of_end(supervisor, false);
      return stop(cause);
    }
    if (is_ready(frontend_url(config, tls, ready_count))) ++ready_count;
    progress.update();
  }
  progress.erase();
  std::printf("ready %s\n", url_text(config.frontend.host, config.frontend.port, tls.api != nullptr).c_str());
  std::fflush(stdout);
  if (options.demo) show_first_answers(config, tls);

  processes.keep_running();
  if (supervisor.first_exit() != nullptr) {
    supervisor.wait(milliseconds(50));
    const Error cause = cause_of_end(supervisor, true);
    log_error("a process of the cluster ended; stopping all", {{"cause", cause.message}});
    return stop(cause);
  }
  log_info("stopping", {{"running_requests_get_ms", config.drain_deadline_ms}});
  return stop({});
}

}  // namespace switchyard::launch
