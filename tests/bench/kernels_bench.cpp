// How fast the kernels are, beside what the machine allows: GFLOP/s against `peak`, GB/s of weights or KV against
// `read`.
//
//   kernels_bench [--threads=N] [Google Benchmark's flags, such as --benchmark_filter='cpu-avx512-bf16/gemm']
//
// Names: table/op/form/sizes. Weights are kept in more copies than the last cache holds and used in turn, as the layers
// of a model are.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/base/machine.h"
#include "kernels/api/ops.h"
#include "kernels/api/thread_pool.h"
#include "tests/bench/peaks.h"

namespace switchyard::kernels {
namespace {

constexpr size_t kColdBytes = size_t{192} << 20;  // more than any last cache here

uint32_t thread_count = std::max(1U, std::thread::hardware_concurrency());

ThreadPool& pool() {
  static ThreadPool instance(thread_count, [] {
    std::vector<int> cores = machine_cores();
    cores.resize(cores.size() < thread_count ? 0 : thread_count);
    return cores;
  }());
  return instance;
}

const char* name_of(WeightForm form) {
  constexpr const char* kNames[] = {"fp32", "bf16", "int8", "int4"};
  return kNames[static_cast<size_t>(form)];
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Memory = std::unique_ptr<char, Free>;

// Touched, with small finite values whatever the type they are read as.
Memory filled(size_t bytes) {
  const size_t rounded = (bytes + 4095) / 4096 * 4096;
  Memory memory(static_cast<char*>(std::aligned_alloc(4096, rounded)));
  auto* words = reinterpret_cast<uint32_t*>(memory.get());
  uint32_t state = 1;
  for (size_t i = 0; i < rounded / 4; ++i) {
    state = state * 1664525U + 1013904223U;
    words[i] = 0x3c003c00U | (state & 0x80ff80ffU);  // about +-0.01 as float32 and as two bfloat16
  }
  return memory;
}

void report(benchmark::State& state, double flop, double bytes) {
  using benchmark::Counter;
  state.counters["GFLOP/s"] = Counter(flop * 1e-9, Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = Counter(bytes * 1e-9, Counter::kIsIterationInvariantRate);
}

void gemm(benchmark::State& state, const OpTable* ops, WeightForm form, uint32_t rows, uint32_t n, uint32_t k) {
  const size_t bytes = ops->packed_bytes(form, n, k);
  const size_t copies = bytes > kColdBytes ? 1 : kColdBytes / bytes + 1;
  const Memory weights = filled(bytes * copies);
  const Memory x = filled(ops->encoded_row_bytes(form, k) * rows);
  std::vector<float> y(size_t{rows} * n);
  size_t next = 0;
  for (auto _ : state) {
    const PackedMatrix w{form, n, k, weights.get() + next * bytes, nullptr};
    next = (next + 1) % copies;
    ops->gemm(pool(), x.get(), rows, w, y.data(), n);
    benchmark::ClobberMemory();
  }
  report(state, 2.0 * rows * n * k, static_cast<double>(bytes));
}

// 64 experts, each token to 4 of them at random.
void grouped_mlp(benchmark::State& state, const OpTable* ops, WeightForm form, uint32_t tokens) {
  constexpr uint32_t kExperts = 64, kTopK = 4, kHidden = 1024, kWidth = 768;
  const size_t up_bytes = ops->packed_bytes(form, kWidth, kHidden);
  const size_t down_bytes = ops->packed_bytes(form, kHidden, kWidth);
  const Memory weights = filled((2 * up_bytes + down_bytes) * kExperts);
  std::vector<MlpWeights> mlps(kExperts);
  for (uint32_t e = 0; e < kExperts; ++e) {
    const char* at = weights.get() + e * (2 * up_bytes + down_bytes);
    mlps[e] = {{form, kWidth, kHidden, at, nullptr},
               {form, kWidth, kHidden, at + up_bytes, nullptr},
               {form, kHidden, kWidth, at + 2 * up_bytes, nullptr}};
  }
  const uint32_t rows = tokens * kTopK;
  const Memory x = filled(ops->encoded_row_bytes(form, kHidden) * rows);
  std::vector<float> y(size_t{rows} * kHidden);
  std::mt19937 engine(1);
  std::vector<std::vector<uint32_t>> routings(64);
  double active = 0.0;
  for (auto& offsets : routings) {
    std::vector<uint32_t> counts(kExperts, 0);
    std::vector<uint32_t> ids(kExperts);
    for (uint32_t e = 0; e < kExperts; ++e) ids[e] = e;
    for (uint32_t t = 0; t < tokens; ++t) {
      std::shuffle(ids.begin(), ids.end(), engine);
      for (uint32_t j = 0; j < kTopK; ++j) ++counts[ids[j]];
    }
    offsets.assign(1, 0);
    for (const uint32_t count : counts) {
      offsets.push_back(offsets.back() + count);
      active += count > 0 ? 1.0 : 0.0;
    }
  }
  active /= static_cast<double>(routings.size());
  size_t next = 0;
  for (auto _ : state) {
    ops->grouped_mlp(pool(), x.get(), routings[next++ % routings.size()].data(), mlps.data(), kExperts,
                     ActivationSpec{}, y.data());
    benchmark::ClobberMemory();
  }
  report(state, 2.0 * 3.0 * rows * kHidden * kWidth, active * static_cast<double>(2 * up_bytes + down_bytes));
}

// `sequences` of `context` positions each; their last `rows` are attended.
void attention(benchmark::State& state, const OpTable* ops, KvLayout layout, uint32_t heads, uint32_t sequences,
               uint32_t context, uint32_t rows) {
  const uint32_t blocks = (context + layout.block_tokens - 1) / layout.block_tokens;
  const size_t block_bytes = ops->kv_block_bytes(layout);
  const Memory cache = filled(block_bytes * blocks * sequences);
  std::vector<int32_t> table(size_t{blocks} * sequences);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int32_t>(i);
  std::shuffle(table.begin(), table.end(), std::mt19937(1));
  std::vector<SequenceRows> runs;
  for (uint32_t s = 0; s < sequences; ++s)
    runs.push_back({s * rows, (s + 1) * rows, context - rows, table.data() + size_t{s} * blocks});
  const size_t q_row = size_t{heads} * layout.k_dim;
  const Memory q = filled(q_row * rows * sequences * sizeof(float));
  std::vector<float> out(size_t{rows} * sequences * heads * layout.v_dim);
  const AttentionSpec spec{heads, 0.1F, 0, nullptr};
  for (auto _ : state) {
    ops->attention(pool(), layout, spec, runs.data(), sequences, reinterpret_cast<const float*>(q.get()), q_row,
                   cache.get(), out.data());
    benchmark::ClobberMemory();
  }
  const double seen = static_cast<double>(rows) * sequences * (context - (rows - 1) / 2.0);
  report(state, 2.0 * seen * heads * (layout.k_dim + layout.v_dim),
         static_cast<double>(block_bytes) * blocks * sequences);
}

void rms_norm(benchmark::State& state, const OpTable* ops, uint32_t rows, uint32_t d) {
  std::vector<float> x(size_t{rows} * d, 0.5F);
  std::vector<float> weight(d, 1.0F);
  std::vector<float> y(x.size());
  for (auto _ : state) ops->rms_norm(pool(), x.data(), d, rows, d, weight.data(), 1e-6F, y.data(), d);
  report(state, 4.0 * rows * d, 8.0 * rows * d);
}

// Packing from float32 rows: what a loader waits for.
void pack(benchmark::State& state, const OpTable* ops, WeightForm form) {
  constexpr uint32_t kN = 768, kK = 1024;
  const Memory src = filled(size_t{kN} * kK * 4);
  const Memory data = filled(ops->packed_bytes(form, kN, kK));
  for (auto _ : state) ops->pack_rows(form, kN, kK, 0, kN, reinterpret_cast<const float*>(src.get()), data.get());
  report(state, 0.0, 4.0 * kN * kK);
}

// The bandwidth that all threads together read at.
void read_memory(benchmark::State& state) {
  const size_t bytes = size_t{512} << 20;
  const Memory memory = filled(bytes);
  const auto* words = reinterpret_cast<const uint64_t*>(memory.get());
  for (auto _ : state) {
    pool().parallel_for(bytes / 64, 1, [&](size_t begin, size_t end) {
      uint64_t sum[8] = {};
      for (size_t line = begin; line < end; ++line) {
        for (size_t i = 0; i < 8; ++i) sum[i] += words[line * 8 + i];
      }
      for (uint64_t& s : sum) benchmark::DoNotOptimize(s);
    });
  }
  report(state, 0.0, static_cast<double>(bytes));
}

void peak(benchmark::State& state, WeightForm form) {
  std::vector<uint64_t> operations(pool().size() * 8);  // a cache line each
  const auto work = [&](uint32_t member) { operations[member * 8] += peak_operations(form); };
  for (auto _ : state)
    pool().run([](void* p, uint32_t member) { (*static_cast<decltype(work)*>(p))(member); },
               const_cast<void*>(static_cast<const void*>(&work)));
  double total = 0.0;
  for (const uint64_t one : operations) total += static_cast<double>(one);
  state.counters["GFLOP/s"] = benchmark::Counter(total * 1e-9, benchmark::Counter::kIsRate);
}

void fork_and_join(benchmark::State& state) {
  for (auto _ : state) pool().run([](void*, uint32_t) {}, nullptr);
}

template <typename Function, typename... Args>
void add_case(const std::string& name, Function function, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), function, args...)
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond)
      ->MinTime(0.3);
}

void register_all() {
  add_case("machine/read", read_memory);
  for (const WeightForm form : {WeightForm::kInt8, WeightForm::kBfloat16, WeightForm::kFloat32})
    add_case(std::string("machine/peak/") + name_of(form), peak, form);
  add_case("machine/fork_and_join", fork_and_join);
  const BackendList list = cpu_backends();
  for (size_t t = 0; t + 1 < list.count; ++t) {  // the plain table is not meant to be fast
    const OpTable* ops = list.tables[t];
    const std::string table = ops->name;
    for (const WeightForm form : {WeightForm::kInt8, WeightForm::kInt4, WeightForm::kBfloat16, WeightForm::kFloat32}) {
      const std::string prefix = table + "/gemm/" + name_of(form) + "/";
      for (const uint32_t rows : {1U, 2U, 4U, 8U, 32U, 128U, 512U}) {
        for (const auto& [n, k] : {std::pair{1024U, 768U}, std::pair{768U, 1024U}}) {
          add_case(prefix + std::to_string(rows) + "x" + std::to_string(n) + "x" + std::to_string(k), gemm, ops, form,
                   rows, n, k);
        }
      }
      for (const uint32_t rows : {1U, 8U})
        add_case(prefix + std::to_string(rows) + "x102400x1024", gemm, ops, form, rows, 102400U, 1024U);
      for (const uint32_t tokens : {1U, 8U, 32U, 512U}) {
        add_case(table + "/grouped_mlp/" + name_of(form) + "/" + std::to_string(tokens), grouped_mlp, ops, form,
                 tokens);
      }
      add_case(table + "/pack/" + name_of(form), pack, ops, form);
    }
    for (const KvType type : {KvType::kBfloat16, KvType::kFloat32}) {
      const std::string prefix = table + "/attention/" + (type == KvType::kBfloat16 ? "bf16/" : "fp32/");
      const KvLayout gqa{type, 4, 128, 128, false, 16};
      const KvLayout mla{type, 1, 576, 512, true, 16};
      add_case(prefix + "gqa16:4x128/decode1", attention, ops, gqa, 16U, 1U, 2048U, 1U);
      add_case(prefix + "gqa16:4x128/decode32", attention, ops, gqa, 16U, 32U, 2048U, 1U);
      add_case(prefix + "gqa16:4x128/prefill2048", attention, ops, gqa, 16U, 1U, 2048U, 2048U);
      add_case(prefix + "gqa16:4x128/prefill512to32768", attention, ops, gqa, 16U, 1U, 32768U, 512U);
      add_case(prefix + "mla16/decode1", attention, ops, mla, 16U, 1U, 2048U, 1U);
      add_case(prefix + "mla16/decode32", attention, ops, mla, 16U, 32U, 2048U, 1U);
      add_case(prefix + "mla16/prefill512", attention, ops, mla, 16U, 1U, 2048U, 512U);
    }
    for (const uint32_t rows : {1U, 512U})
      add_case(table + "/rms_norm/" + std::to_string(rows) + "x1024", rms_norm, ops, rows, 1024U);
  }
}

}  // namespace
}  // namespace switchyard::kernels

int main(int argc, char** argv) {
  constexpr const char* kThreads = "--threads=";
  int kept = 0;
  for (int i = 0; i < argc; ++i) {
    if (std::strncmp(argv[i], kThreads, std::strlen(kThreads)) == 0) {
      switchyard::kernels::thread_count =
          std::max(1U, static_cast<uint32_t>(std::strtoul(argv[i] + std::strlen(kThreads), nullptr, 10)));
    } else {
      argv[kept++] = argv[i];
    }
  }
  benchmark::Initialize(&kept, argv);
  if (benchmark::ReportUnrecognizedArguments(kept, argv)) return 1;
  switchyard::kernels::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
