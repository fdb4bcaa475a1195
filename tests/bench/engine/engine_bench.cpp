// Prefill and decode throughput of the real engine, without HTTP: one rank, or several under mpirun.
//
//   mpirun -n 2 engine_bench --model DIR --threads 1 [--dtype bfloat16] [--quantization int8] [--decode 1,8,32]
//   [--prefill 512,2048] [--depth 16] [--new-tokens 64]
//
// Prompts are random tokens, so that experts are loaded as random routing loads them. Prints one CSV row a measurement:
// what, ranks, threads, count (of a prompt's tokens, or of sequences), tokens per second, and resident, weight and KV
// bytes of the largest rank.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "common/checkpoint/checkpoint.h"
#include "kernels/api/device.h"
#include "worker/engine/engine.h"
#include "worker/engine/kv_plan.h"
#include "worker/exchange/mpi_transport.h"
#include "worker/model/model.h"

namespace switchyard::worker {
namespace {

constexpr uint32_t kDeadlineMs = 300000;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "fatal: %s\n", result.error().message.c_str());
    std::exit(1);
  }
  return std::move(result).value();
}

struct Options {
  std::string model;
  std::string dtype = "bfloat16";
  std::string quantization = "none";
  std::string kv_cache_dtype = "auto";
  std::string backend = "auto";
  uint32_t threads = 1;
  uint32_t depth = 16;  // tokens of a sequence before those that decode is measured on
  uint32_t new_tokens = 64;
  uint32_t rounds = 3;
  uint32_t max_num_batched_tokens = 512;
  bool messages = false;
  std::vector<uint32_t> prefill = {512};
  std::vector<uint32_t> decode = {1, 8, 32};
};

struct Bench {
  const Options& options;
  const checkpoint::ModelSpec& spec;
  Model& model;
  Exchange& exchange;
  kernels::ThreadPool& pool;
  const std::vector<KvGroup>& groups;

  struct Times {
    double start = 0.0;  // all have their first token (decode), or submitted (prefill)
    double end = 0.0;
    uint64_t tokens = 0;
  };

  // `sequences` over the whole group, round robin. Prefill: prompts until their first tokens; decode: from everybody's
  // first token to the end.
  double run(uint32_t sequences, uint32_t prompt, uint32_t new_tokens, bool prefill, uint32_t seed) {
    KvCache kv(groups, 16);
    std::mt19937 random(seed);
    Times times;
    uint32_t mine = 0;
    uint32_t first_seen = 0;
    uint32_t open = 0;
    Engine* self = nullptr;
    EngineCallbacks callbacks;
    callbacks.on_work = [&](uint64_t epoch, uint64_t burst) { self->begin(epoch, burst); };
    callbacks.on_outputs = [&](std::vector<EngineOutput>&& outputs) {
      const double at = now();
      for (const auto& output : outputs) {
        if (first_seen < mine) {
          if (++first_seen == mine && !prefill) times.start = at;
        } else if (!prefill) {
          ++times.tokens;
        }
        if (output.finish != Finish::kNone && --open == 0) {
          times.end = at;
          self->stop();
        }
      }
    };
    EngineLimits limits;
    limits.scheduler = {64, 4096, prompt + new_tokens + 1};
    limits.max_num_batched_tokens = options.max_num_batched_tokens;
    Engine engine(limits, spec, model, kv, exchange, pool, callbacks);
    self = &engine;
    for (uint32_t i = 0; i < sequences; ++i) {
      std::vector<int32_t> tokens(prompt);
      for (auto& token : tokens) token = static_cast<int32_t>(random() % spec.vocab_size);
      if (i % exchange.size() != exchange.rank()) continue;
      auto sequence = std::make_unique<Sequence>();
      sequence->id = i;
      sequence->tokens = std::move(tokens);
      sequence->prompt_count = prompt;
      sequence->max_tokens = new_tokens;
      sequence->params.temperature = 0.0F;
      if (!engine.submit(std::move(sequence)).ok()) std::abort();
      ++mine;
    }
    open = mine;
    uint32_t here = 1;
    std::vector<uint32_t> all(exchange.size());
    must(exchange.all_gather(&here, sizeof here, all.data()));
    times.start = times.end = now();
    if (prefill) times.tokens = uint64_t{prompt} * mine;
    if (mine == 0) engine.stop();
    engine.begin(0, 1);
    must(engine.run());
    std::vector<Times> every(exchange.size());
    must(exchange.all_gather(&times, sizeof times, every.data()));
    double start = 0.0;
    double end = 0.0;
    uint64_t tokens = 0;
    for (const Times& t : every) {
      if (t.tokens == 0) continue;
      start = start == 0.0 ? t.start : std::min(start, t.start);
      end = std::max(end, t.end);
      tokens += t.tokens;
    }
    return static_cast<double>(tokens) / (end - start);
  }

  void must(const Status& status) const {
    if (status.ok()) return;
    std::fprintf(stderr, "fatal: %s\n", status.error().message.c_str());
    mpi_abort(1);
  }
};

uint64_t resident_bytes() {
  long size = 0;
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &size, &pages) != 2) pages = 0;
    std::fclose(file);
  }
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Prefill and decode throughput of the engine");
  app.add_option("--model", options.model)->required();
  app.add_option("--dtype", options.dtype);
  app.add_option("--quantization", options.quantization)->check(CLI::IsMember({"none", "int8", "int4"}));
  app.add_option("--kv-cache-dtype", options.kv_cache_dtype)
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "int8"}));
  app.add_option("--backend", options.backend);
  app.add_option("--threads", options.threads);
  app.add_option("--prefill", options.prefill)->delimiter(',');
  app.add_option("--depth", options.depth);
  app.add_option("--new-tokens", options.new_tokens);
  app.add_option("--rounds", options.rounds);
  app.add_option("--max-num-batched-tokens", options.max_num_batched_tokens);
  app.add_option("--decode", options.decode)->delimiter(',');
  app.add_flag("--messages", options.messages, "exchange messages where ranks could share memory");
  CLI11_PARSE(app, argc, argv);

  const MpiWorld world = mpi_init();
  const auto checkpoint = must(checkpoint::Checkpoint::open(options.model));
  const auto& spec = checkpoint.spec();
  const kernels::OpTable* ops =
      options.backend == "cuda" ? must(kernels::cuda_backend(0)) : kernels::find_backend(options.backend.c_str());
  if (ops == nullptr) {
    std::fprintf(stderr, "fatal: no backend '%s'\n", options.backend.c_str());
    return 1;
  }
  auto form = options.dtype == "float32" ? kernels::WeightForm::kFloat32 : kernels::WeightForm::kBfloat16;
  if (options.quantization == "int8") form = kernels::WeightForm::kInt8;
  if (options.quantization == "int4") form = kernels::WeightForm::kInt4;
  const auto kv_type = kv_type_of(options.kv_cache_dtype, options.dtype == "float32").value();
  kernels::ThreadPool pool(options.threads);
  uint32_t most = world.size;
  for (const uint32_t count : options.decode) most = std::max(most, count);
  const ExchangeShape shape = exchange_shape(spec, WeightForms::of(form), *ops, options.max_num_batched_tokens + most);
  auto transport = world.size == 1 ? make_single_transport() : make_mpi_transport(kDeadlineMs);
  const auto exchange = options.messages ? make_message_exchange(std::move(transport), shape)
                                         : must(make_exchange(std::move(transport), shape, pool, kDeadlineMs));

  std::vector<LayerPlacement> placement;
  std::vector<uint32_t> rank_of(spec.expert_count);
  for (uint32_t e = 0; e < spec.expert_count; ++e) rank_of[e] = e * world.size / spec.expert_count;
  for (const auto& layer : spec.layers) {
    if (layer.experts) placement.push_back(LayerPlacement::from_ranks(rank_of, world.size));
  }
  const double load_start = now();
  const auto weights =
      must(ModelWeights::load(checkpoint, WeightForms::of(form), placement, world.rank, *ops, pool, nullptr));
  const double load_seconds = now() - load_start;
  const KvGrouping grouping = KvGrouping::of(spec);
  const auto layout = kv_layout(spec, kv_type, 16);
  uint32_t length = options.depth + options.new_tokens;
  for (const uint32_t tokens : options.prefill) length = std::max(length, tokens);
  length += 16;
  const auto groups =
      must(plan_kv(grouping, layout, *ops, {0, length, most, options.max_num_batched_tokens, world.size}));
  std::vector<uint32_t> counts;
  for (const auto& group : groups) counts.push_back(group.block_count);
  const auto kv = must(KvMemory::allocate(spec, layout, grouping, counts, *ops));
  Model model(spec, *weights, placement, *ops, pool, *exchange, kv, grouping, length);
  Bench bench{options, spec, model, *exchange, pool, groups};

  const auto report = [&](const char* what, uint32_t count, double rate) {
    struct Memory {
      uint64_t resident, weights, kv;
    } mine{resident_bytes(), weights->bytes, kv.bytes()};
    std::vector<Memory> all(world.size);
    bench.must(exchange->all_gather(&mine, sizeof mine, all.data()));
    Memory largest{};
    for (const Memory& m : all) {
      if (m.resident > largest.resident) largest = m;
    }
    if (world.rank != 0) return;
    std::printf("%s,%u,%u,%u,%.1f,%llu,%llu,%llu\n", what, world.size, options.threads, count, rate,
                static_cast<unsigned long long>(largest.resident >> 20),
                static_cast<unsigned long long>(largest.weights >> 20),
                static_cast<unsigned long long>(largest.kv >> 20));
    std::fflush(stdout);
  };
  if (world.rank == 0) {
    std::printf("# %s %s, quantization %s, %s, loaded in %.2f s\n", options.model.c_str(), options.dtype.c_str(),
                options.quantization.c_str(), ops->name, load_seconds);
    std::printf("what,ranks,threads,count,tokens_per_second,resident_mib,weights_mib,kv_reserved_mib\n");
  }
  const auto median = [&](uint32_t sequences, uint32_t prompt, uint32_t new_tokens, bool prefill) {
    std::vector<double> rates;
    for (uint32_t round = 0; round < options.rounds; ++round)
      rates.push_back(bench.run(sequences, prompt, new_tokens, prefill, round + 1));
    std::sort(rates.begin(), rates.end());
    return rates[rates.size() / 2];
  };
  // Pages touched, threads awake.
  uint32_t longest = 32;
  for (const uint32_t tokens : options.prefill) longest = std::max(longest, tokens);
  bench.run(world.size, std::min(longest, options.max_num_batched_tokens) / world.size, 1, true, 99);
  // Every rank gets a prompt, so that all have attention work.
  for (const uint32_t tokens : options.prefill)
    report("prefill", tokens, median(world.size, tokens / world.size, 1, true));
  for (const uint32_t sequences : options.decode) {
    report("decode", sequences, median(sequences, options.depth, options.new_tokens, false));
  }
  mpi_finalize();
  return 0;
}

}  // namespace
}  // namespace switchyard::worker

int main(int argc, char** argv) { return switchyard::worker::run(argc, argv); }
