#include "common/config/schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

namespace switchyard::config {
namespace {

// The field of a section, or of the config itself, as a function: what makes a row of the table both readable and
// writable.
template <auto Outer, auto Inner>
auto& inner(ClusterConfig& c) {
  return c.*Outer.*Inner;
}
template <auto Outer>
auto& outer(ClusterConfig& c) {
  return c.*Outer;
}

template <auto Member>
constexpr auto model = &inner<&ClusterConfig::model, Member>;
template <auto Member>
constexpr auto coordinator = &inner<&ClusterConfig::coordinator, Member>;
template <auto Member>
constexpr auto worker = &inner<&ClusterConfig::worker, Member>;
template <auto Member>
constexpr auto frontend = &inner<&ClusterConfig::frontend, Member>;
template <auto Member>
constexpr auto tls = &inner<&ClusterConfig::tls, Member>;
template <auto Member>
constexpr auto logging = &inner<&ClusterConfig::log, Member>;
template <auto Member>
constexpr auto top = &outer<Member>;

Check range(double minimum, double maximum) { return {.minimum = minimum, .maximum = maximum}; }
Check one_of(std::initializer_list<std::string_view> choices) { return {.choices = choices}; }
Check rule(std::string (*r)(std::string_view)) { return {.rule = r}; }

Key path(std::string_view section, std::string_view name, Field<std::string> field, std::string_view flag,
         std::string_view help) {
  return {.section = section,
          .name = name,
          .field = field,
          .check = {},
          .unit = "",
          .flag = flag,
          .help = help,
          .is_path = true};
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string not_empty(std::string_view text) { return text.empty() ? "is empty" : ""; }

std::string is_host(std::string_view text) {
  if (text.empty()) return "is empty";
  if (text.size() > 255) return "is longer than 255 characters";
  for (const char c : text) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                      c == '-' || c == '_' || c == ':';
    if (!good) return fmt::format("'{}' is not a host name or address", text);
  }
  return text.front() == '-' ? fmt::format("'{}' is not a host name or address", text) : "";
}

std::string is_host_with_slots(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return is_host(text);
  const auto slots = text.substr(colon + 1);
  if (!all_digits(slots) || slots.size() > 4 || slots.find_first_not_of('0') == std::string_view::npos) {
    return fmt::format("'{}' is not HOST or HOST:SLOTS", text);
  }
  return is_host(text.substr(0, colon));
}

std::string is_placement(std::string_view text) {
  if (text == "balanced") return "";
  constexpr std::string_view kRandom = "random:";
  if (text.starts_with(kRandom) && all_digits(text.substr(kRandom.size())) && text.size() < kRandom.size() + 19)
    return "";
  return fmt::format("'{}' is neither balanced nor random:SEED", text);
}

// The memory is in the name, so that planning needs no table of products.
std::string is_gpu_model(std::string_view text) {
  if (text.empty()) return "";
  const auto dash = text.rfind('-');
  if (dash != std::string_view::npos && dash > 0 && text.ends_with("GB")) {
    const auto size = text.substr(dash + 1, text.size() - dash - 3);
    if (all_digits(size) && size.size() <= 4 && size.find_first_not_of('0') != std::string_view::npos) return "";
  }
  return fmt::format("'{}' does not name a GPU and its memory, as H100-80GB does", text);
}

constexpr double kMaxU32 = std::numeric_limits<uint32_t>::max();

const std::vector<Key>& table() {
  using M = ModelConfig;
  using C = CoordinatorConfig;
  using W = WorkerConfig;
  using F = FrontendConfig;
  static const std::vector<Key> kKeys = {
      {"", "name", top<&ClusterConfig::name>, rule(not_empty), "", "", "of the cluster, in logs"},
      {.section = "",
       .name = "secret_file",
       .field = top<&ClusterConfig::secret_file>,
       .check = {},
       .unit = "",
       .flag = "",
       .help = "file with the shared secret of the internal ports; empty: made anew for each start",
       .is_path = true},
      {"", "launcher", top<&ClusterConfig::launcher>, one_of({"auto", "mpirun", "srun"}), "", "",
       "what starts the worker ranks; auto: the launcher itself (over ssh on other hosts), or mpirun where MPI carries "
       "the exchange or mpirun_args are given"},
      {"", "heartbeat_ms", top<&ClusterConfig::heartbeat_ms>, range(10, 60000), "ms", "",
       "between two reports of a process to the coordinator"},
      {"", "drain_deadline_ms", top<&ClusterConfig::drain_deadline_ms>, range(0, 3600000), "ms", "--drain-deadline-ms",
       "that running requests get to finish after SIGTERM"},

      {.section = "model",
       .name = "path",
       .field = model<&M::path>,
       .check = rule(not_empty),
       .unit = "",
       .flag = "",
       .help = "Hugging Face checkpoint directory",
       .required = true,
       .is_path = true},
      {"model",
       "served_model_name",
       model<&M::served_model_name>,
       {},
       "",
       "--served-model-name",
       "the API's name of the model; empty: the directory's own"},
      {"model", "dtype", model<&M::dtype>, one_of({"auto", "float32", "bfloat16"}), "", "--dtype",
       "of weights and activations; auto: float32 if the files are, else bfloat16"},
      {"model", "quantization", model<&M::quantization>, one_of({"none", "int8", "int4"}), "", "--quantization",
       "of weights, made at load; int4: routed experts, with the rest in int8"},
      {.section = "model",
       .name = "packed_cache",
       .field = model<&M::packed_cache>,
       .check = {},
       .unit = "",
       .flag = "--packed-cache",
       .help = "directory where packed weights are kept for the next start; empty: nowhere",
       .is_path = true},
      {"model",
       "verify_checksums",
       model<&M::verify_checksums>,
       {},
       "",
       "--verify-checksums",
       "hash the model's files at a start, against the SHA-256 given with them (SHA256SUMS, ...)"},
      {"model",
       "fingerprint",
       model<&M::fingerprint>,
       {},
       "",
       "",
       "of the model's files, set by the launcher when it starts the cluster: ranks take no others"},
      {"model", "max_model_len", model<&M::max_model_len>, range(0, kMaxU32), "tokens", "--max-model-len",
       "longest prompt and answer together; 0: the model's own"},
      {.section = "model",
       .name = "chat_template",
       .field = model<&M::chat_template>,
       .check = {},
       .unit = "",
       .flag = "--chat-template",
       .help = "file with a chat template; empty: the model's own",
       .is_path = true},
      {"model", "pooling_type", model<&M::pooling_type>, one_of({"auto", "last", "mean"}), "", "--pooling-type",
       "of embeddings: the last token's hidden state or the mean of all; auto: as the model's files say, else last"},

      {"coordinator", "host", coordinator<&C::host>, rule(is_host), "", "", "where it listens for ranks and frontends"},
      {"coordinator", "port", coordinator<&C::port>, range(0, 65535), "", "", "of the internal wire; 0: a free one"},
      {"coordinator", "admin_host", coordinator<&C::admin_host>, rule(is_host), "", "--admin-host", "of the admin API"},
      {"coordinator", "admin_port", coordinator<&C::admin_port>, range(0, 65535), "", "--admin-port",
       "of the admin API (GET /cluster); 0: a free one"},
      {.section = "coordinator",
       .name = "admin_api_key",
       .field = coordinator<&C::admin_api_key>,
       .check = {},
       .unit = "",
       .flag = "--admin-api-key",
       .help = "bearer key of the admin API; empty: none asked for",
       .secret = true},
      path("coordinator", "admin_api_key_file", coordinator<&C::admin_api_key_file>, "--admin-api-key-file",
           "file with that key alone, which nobody else may read"),
      path("coordinator", "admin_ssl_certfile", coordinator<&C::admin_ssl_certfile>, "--admin-ssl-certfile",
           "PEM of the admin API's certificate; empty: plain HTTP"),
      path("coordinator", "admin_ssl_keyfile", coordinator<&C::admin_ssl_keyfile>, "--admin-ssl-keyfile",
           "PEM of its private key"),

      {"worker", "groups", worker<&W::groups>, range(1, 1024), "groups", "--groups",
       "replicas of the service: MPI jobs of data_parallel_size ranks, each with all experts"},
      {"worker", "data_parallel_size", worker<&W::data_parallel_size>, range(1, 1024), "ranks", "--data-parallel-size",
       "worker ranks of a group; experts are sharded over them"},
      {"worker", "min_ranks", worker<&W::min_ranks>, range(1, 1024), "ranks", "--min-ranks",
       "that a group needs to go on when others are lost; they take over the experts, fewer wait"},
      {"worker", "threads_per_rank", worker<&W::threads_per_rank>, range(0, 1024), "threads", "--threads-per-rank",
       "that compute in one rank; 0: cores of the machine over its ranks of all groups"},
      {"worker", "device", worker<&W::device>, one_of({"auto", "cpu", "cuda"}), "", "--device",
       "that a rank computes on"},
      {"worker", "exchange", worker<&W::exchange>, one_of({"auto", "local", "mpi", "nccl", "staged"}), "", "--exchange",
       "that carries tokens to experts; auto: memory where ranks share a machine, else TCP; mpi: ranks of a group end "
       "together"},
      {"worker", "backend", worker<&W::backend>, rule(not_empty), "", "--backend",
       "op table by name; auto: the fastest here"},
      {"worker",
       "pin_threads",
       worker<&W::pin_threads>,
       {},
       "",
       "--pin-threads",
       "each compute thread to a core of its own"},
      {"worker", "listen_host", worker<&W::listen_host>, rule(is_host), "", "",
       "where frontends and peers reach a rank"},
      {"worker", "kv_cache_dtype", worker<&W::kv_cache_dtype>, one_of({"auto", "float32", "bfloat16", "int8"}), "",
       "--kv-cache-dtype", "auto: float32 for a float32 model, else bfloat16"},
      {"worker", "block_size", worker<&W::block_size>, range(1, 1024), "positions", "--block-size", "of one KV block"},
      {"worker",
       "enable_prefix_caching",
       worker<&W::enable_prefix_caching>,
       {},
       "",
       "--enable-prefix-caching",
       "whether sequences share the KV blocks of equal beginnings"},
      {"worker",
       "give_up_slow_ranks",
       worker<&W::give_up_slow_ranks>,
       {},
       "",
       "--give-up-slow-ranks",
       "whether a rank that computes far more slowly than it used to is taken for lost"},
      {"worker", "max_num_seqs", worker<&W::max_num_seqs>, range(1, 65536), "sequences", "--max-num-seqs",
       "that one rank runs at once"},
      {"worker", "max_num_batched_tokens", worker<&W::max_num_batched_tokens>, range(1, 1048576), "tokens",
       "--max-num-batched-tokens", "of one step, over all ranks"},
      {"worker", "max_waiting", worker<&W::max_waiting>, range(1, 1000000), "requests", "--max-waiting",
       "queued in one rank; more are answered 429"},
      {"worker", "kv_cache_memory_mib", worker<&W::kv_cache_memory_mib>, range(0, 16777216), "MiB",
       "--kv-cache-memory-mib", "of KV cache in one rank; 0: by the model's length and the machine's memory"},
      {"worker", "step_deadline_ms", worker<&W::step_deadline_ms>, range(100, 3600000), "ms", "--step-deadline-ms",
       "after which a rank that keeps the others waiting is given up"},
      {"worker", "hosts", worker<&W::hosts>, rule(is_host_with_slots), "", "",
       "HOST or HOST:SLOTS of ranks, filled group by group; empty: this machine"},
      {"worker", "placement", worker<&W::placement>, rule(is_placement), "", "--expert-placement",
       "of experts on ranks: balanced, or random:SEED for tests"},
      {"worker", "mpirun_args", worker<&W::mpirun_args>, rule(not_empty), "", "",
       "more arguments for mpirun, one an element"},
      {"worker", "gpu_model", worker<&W::gpu_model>, rule(is_gpu_model), "", "",
       "NAME-SIZEGB, for planning; empty: ranks on CPUs"},
      {"worker", "gpus_per_node", worker<&W::gpus_per_node>, range(0, 64), "GPUs", "", "of each host, for planning"},
      {"worker", "gpu_memory_utilization", worker<&W::gpu_memory_utilization>, range(0.05, 1.0), "fraction",
       "--gpu-memory-utilization", "of a GPU's memory that a rank may take"},

      {"frontend", "host", frontend<&F::host>, rule(is_host), "", "--host", "of the OpenAI API"},
      {"frontend", "port", frontend<&F::port>, range(0, 65535), "", "--port",
       "of the OpenAI API; frontend I listens on port + I; 0: free ones"},
      {"frontend", "count", frontend<&F::count>, range(1, 256), "processes", "", "frontend processes"},
      {"frontend", "hosts", frontend<&F::hosts>, rule(is_host), "", "",
       "that frontends run on, in turn; empty: this machine"},
      {.section = "frontend",
       .name = "api_keys",
       .field = frontend<&F::api_keys>,
       .check = rule(not_empty),
       .unit = "",
       .flag = "--api-key",
       .help = "bearer keys that clients may use; empty: none asked for",
       .secret = true},
      path("frontend", "api_keys_file", frontend<&F::api_keys_file>, "--api-keys-file",
           "more keys, one a line, each with limits of its own as requests_per_minute=N"),
      {.section = "frontend",
       .name = "allow_unauthenticated",
       .field = frontend<&F::allow_unauthenticated>,
       .check = {},
       .unit = "",
       .flag = "--allow-unauthenticated",
       .help = "whether it may listen beyond this machine without keys",
       .bare = true},
      path("frontend", "ssl_certfile", frontend<&F::ssl_certfile>, "--ssl-certfile",
           "PEM of the API's certificate and its chain; empty: plain HTTP"),
      path("frontend", "ssl_keyfile", frontend<&F::ssl_keyfile>, "--ssl-keyfile", "PEM of its private key"),
      path("frontend", "ssl_ca_certs", frontend<&F::ssl_ca_certs>, "--ssl-ca-certs",
           "PEM of who signs the certificates that clients must show; empty: none asked for"),
      {"frontend", "requests_per_minute", frontend<&F::requests_per_minute>, range(0, kMaxU32), "requests",
       "--requests-per-minute", "of a key, all frontends together; more are answered 429; 0: no limit"},
      {"frontend", "tokens_per_minute", frontend<&F::tokens_per_minute>, range(0, 1e15), "tokens",
       "--tokens-per-minute", "of a key, prompts and answers; 0: no limit"},
      {"frontend", "requests_at_once", frontend<&F::requests_at_once>, range(0, 1000000), "requests",
       "--requests-at-once", "of a key; 0: no limit"},
      {"frontend", "threads", frontend<&F::threads>, range(0, 256), "threads", "--frontend-threads",
       "of one frontend, each with connections of its own; 0: all cores"},
      {"frontend", "max_connections", frontend<&F::max_connections>, range(1, 1000000), "connections",
       "--max-connections", "of clients to one frontend"},
      {"frontend", "max_body_mib", frontend<&F::max_body_mib>, range(1, 1024), "MiB", "--max-body-mib",
       "of a request's body; more is answered 413"},
      {"frontend", "header_timeout_ms", frontend<&F::header_timeout_ms>, range(100, 600000), "ms", "",
       "for a client to send its request"},
      {"frontend", "recovery_timeout_ms", frontend<&F::recovery_timeout_ms>, range(0, 3600000), "ms",
       "--recovery-timeout-ms", "that a request whose rank was lost waits for another to go on with it"},
      {"frontend", "max_concurrent_requests", frontend<&F::max_concurrent_requests>, range(1, 1000000), "requests",
       "--max-concurrent-requests", "in one frontend; more are answered 429"},
      {"frontend", "max_queue_seconds", frontend<&F::max_queue_seconds>, range(0, 86400), "seconds",
       "--max-queue-seconds", "longest expected wait for a rank; who would wait longer is answered 429; 0: no limit"},
      {"frontend", "tool_call_parser", frontend<&F::tool_call_parser>,
       one_of({"auto", "none", "deepseek_v3", "deepseek_v31", "deepseek_v32", "deepseek_v4", "glm45", "hermes",
               "mistral", "openai", "qwen3_coder"}),
       "", "--tool-call-parser", "the form in which the model writes calls; auto: told by its chat template"},
      {"frontend", "reasoning_parser", frontend<&F::reasoning_parser>,
       one_of({"auto", "none", "deepseek_r1", "deepseek_v3", "glm45", "mistral", "openai_gptoss", "qwen3"}), "",
       "--reasoning-parser", "the form in which the model writes reasoning; auto: told by its chat template"},

      path("tls", "cert_file", tls<&TlsConfig::cert_file>, "", "PEM of the certificate that a process shows its peers"),
      path("tls", "key_file", tls<&TlsConfig::key_file>, "", "PEM of its private key"),
      path("tls", "ca_file", tls<&TlsConfig::ca_file>, "", "PEM of who signs the certificates of all processes"),

      {"log", "level", logging<&LogConfig::level>, one_of({"debug", "info", "warn", "error"}), "", "--log-level",
       "least level"},
      {"log", "format", logging<&LogConfig::format>, one_of({"text", "json"}), "", "--log-format",
       "of log lines on stderr"},
  };
  return kKeys;
}

constexpr Section kSections[] = {
    {"model", "what is served"},
    {"coordinator", "membership, placement and the admin API"},
    {"worker", "the ranks: an MPI job a group, one rank a device"},
    {"frontend", "the OpenAI API"},
    {"tls", "mutual TLS between coordinator, ranks and frontends; without files: none"},
    {"log", "what processes say on stderr"},
};

template <typename T>
constexpr bool is_number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

std::string number_text(double value) {
  return value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

std::string check_number(const Key& key, double value) {
  if (key.check.minimum == 0 && key.check.maximum == 0) return "";
  if (value >= key.check.minimum && value <= key.check.maximum) return "";
  return fmt::format("{} is out of range; it takes {}", number_text(value), describe(key));
}

std::string check_text(const Key& key, std::string_view value) {
  if (!key.check.choices.empty()) {
    const auto& choices = key.check.choices;
    if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
      const auto meant = nearest(value, choices);
      return fmt::format("'{}' is not {}{}", value, describe(key),
                         meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant));
    }
  }
  return key.check.rule == nullptr ? "" : key.check.rule(value);
}

Status as_status(std::string message) {
  if (message.empty()) return {};
  return Error{Errc::kInvalid, std::move(message)};
}

template <typename T>
std::string set_number(const Key& key, std::string_view text, T& out) {
  const char* end = text.data() + text.size();
  if constexpr (std::is_floating_point_v<T>) {
    T value{};
    const auto [p, ec] = std::from_chars(text.data(), end, value);
    if (ec != std::errc() || p != end || !std::isfinite(value))
      return fmt::format("'{}' is not {}", text, describe(key));
    if (auto wrong = check_number(key, value); !wrong.empty()) return wrong;
    out = value;
  } else {
    // Signed and wide first: -1 and 70000 are numbers out of range, not "no number".
    int64_t value = 0;
    const auto [p, ec] = std::from_chars(text.data(), end, value);
    if (p != end || text.empty() || (ec != std::errc() && ec != std::errc::result_out_of_range)) {
      return fmt::format("'{}' is not {}", text, describe(key));
    }
    if (ec == std::errc::result_out_of_range || value < 0 ||
        static_cast<uint64_t>(value) > std::numeric_limits<T>::max()) {
      return fmt::format("{} is out of range; it takes {}", text, describe(key));
    }
    if (auto wrong = check_number(key, static_cast<double>(value)); !wrong.empty()) return wrong;
    out = static_cast<T>(value);
  }
  return "";
}

}  // namespace

std::string Key::dotted() const { return section.empty() ? std::string(name) : fmt::format("{}.{}", section, name); }

std::span<const Key> keys() { return table(); }
std::span<const Section> sections() { return kSections; }

const Key* find_key(std::string_view section, std::string_view name) {
  for (const Key& key : table()) {
    if (key.section == section && key.name == name) return &key;
  }
  return nullptr;
}

std::string describe(const Key& key) {
  return std::visit(
      [&](auto field) -> std::string {
        using T = std::remove_reference_t<decltype(field(std::declval<ClusterConfig&>()))>;
        if constexpr (is_number<T>) {
          const char* kind = std::is_floating_point_v<T> ? "a number" : "a whole number";
          if (key.check.minimum == 0 && key.check.maximum == 0) return kind;
          return fmt::format("{} from {} to {}", kind, number_text(key.check.minimum), number_text(key.check.maximum));
        } else if constexpr (std::is_same_v<T, bool>) {
          return "true or false";
        } else if constexpr (std::is_same_v<T, std::string>) {
          if (key.check.choices.size() == 1) return std::string(key.check.choices.front());
          return key.check.choices.empty() ? "text" : fmt::format("one of {}", fmt::join(key.check.choices, ", "));
        } else {
          return "a list of texts";
        }
      },
      key.field);
}

std::string value_text(const Key& key, const ClusterConfig& config) {
  return std::visit(
      [&](auto field) -> std::string {
        const auto& value = field(const_cast<ClusterConfig&>(config));  // a getter: nothing is written
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          return fmt::format("[{}]", fmt::join(value, ", "));
        } else {
          return fmt::format("{}", value);
        }
      },
      key.field);
}

Status set_from_text(const Key& key, std::string_view text, ClusterConfig& config) {
  return std::visit(
      [&](auto field) -> Status {
        auto& value = field(config);
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (is_number<T>) {
          return as_status(set_number(key, text, value));
        } else if constexpr (std::is_same_v<T, bool>) {
          if (text != "true" && text != "false") return as_status(fmt::format("'{}' is not true or false", text));
          value = text == "true";
          return {};
        } else {
          if (auto wrong = check_text(key, text); !wrong.empty()) return as_status(std::move(wrong));
          if constexpr (std::is_same_v<T, std::string>) {
            value = text;
          } else {
            value.emplace_back(text);
          }
          return {};
        }
      },
      key.field);
}

Status check_value(const Key& key, const ClusterConfig& config) {
  return std::visit(
      [&](auto field) -> Status {
        const auto& value = field(const_cast<ClusterConfig&>(config));  // a getter: nothing is written
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (is_number<T>) {
          return as_status(check_number(key, static_cast<double>(value)));
        } else if constexpr (std::is_same_v<T, std::string>) {
          return as_status(check_text(key, value));
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          for (const auto& element : value) SWITCHYARD_TRY(as_status(check_text(key, element)));
        }
        return {};
      },
      key.field);
}

Status validate(const ClusterConfig& config) {
  std::string problems;
  for (const Key& key : table()) {
    if (auto status = check_value(key, config); !status.ok()) {
      problems += fmt::format("{}{}: {}", problems.empty() ? "" : "\n", key.dotted(), status.error().message);
    }
  }
  if (problems.empty()) {
    for (const auto& c : find_conflicts(config)) {
      problems += fmt::format("{}{}{}{}: {}", problems.empty() ? "" : "\n", c.section, c.section.empty() ? "" : ".",
                              c.name, c.message);
    }
  }
  return as_status(std::move(problems));
}

std::string help_text() {
  const ClusterConfig defaults;
  std::string out = "Keys of CLUSTER.yaml. Names may be written with dashes, as the flags are.\n";
  auto print = [&](std::string_view section) {
    for (const Key& key : table()) {
      if (key.section != section) continue;
      std::string value = value_text(key, defaults);
      if (value.empty()) value = key.required ? "(required)" : "\"\"";
      out += fmt::format("  {}{}: {}{}{}\n", section.empty() ? "" : "  ", key.name, value, key.unit.empty() ? "" : " ",
                         key.unit);
      out += fmt::format("      {}; {}{}\n", key.help, describe(key),
                         key.flag.empty() ? "" : fmt::format("; {}", key.flag));
    }
  };
  print("");
  for (const Section& section : kSections) {
    out += fmt::format("  {}:  # {}\n", section.name, section.help);
    print(section.name);
  }
  return out;
}

std::string_view nearest(std::string_view typed, std::span<const std::string_view> words) {
  if (typed.size() > 64) return "";  // bounds the table below; no key is that long
  std::string_view best;
  size_t best_distance = typed.size() / 3 + 1;  // one slip in every three letters, and one for free
  for (const std::string_view word : words) {
    // Levenshtein's distance, row by row.
    std::vector<size_t> row(word.size() + 1);
    for (size_t j = 0; j <= word.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= typed.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= word.size(); ++j) {
        const size_t replaced = diagonal + (typed[i - 1] == word[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() <= best_distance && row.back() < std::max(typed.size(), word.size())) {
      if (row.back() == best_distance && !best.empty()) continue;  // the first of equals
      best = word;
      best_distance = row.back();
    }
  }
  return best;
}

}  // namespace switchyard::config
