// Prefill and decode throughput of llama.cpp, or of ik_llama.cpp (PEER_IK), through its C API, as engine_bench measures
// ours: prompts and generated tokens are random, so that experts are loaded as random routing loads them.
//
//   peer_bench MODEL.gguf THREADS ROUNDS PREFILL,... DECODE,... NEW_TOKENS DEPTH
//
// Prefill: one prompt, a chunk of 512 at a time, logits of the last token. Decode: sequences of DEPTH tokens, each
// given NEW_TOKENS more, one a step; no sampling. Prints `what,sequences,tokens_per_second` rows: medians.
#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

namespace {

constexpr int kChunk = 512;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "fatal: %s\n", what);
  std::exit(1);
}

std::vector<int> numbers(const char* text) {
  std::vector<int> all;
  for (const char* p = text; *p != 0;) {
    char* end = nullptr;
    all.push_back(static_cast<int>(std::strtol(p, &end, 10)));
    p = *end == ',' ? end + 1 : end;
  }
  return all;
}

struct Batch {
  llama_batch batch;
  explicit Batch(int capacity) : batch(llama_batch_init(capacity, 0, 1)) {}
  ~Batch() { llama_batch_free(batch); }
  void clear() { batch.n_tokens = 0; }
  void add(int token, int position, int sequence, bool logits) {
    const int i = batch.n_tokens++;
    batch.token[i] = token;
    batch.pos[i] = position;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = sequence;
    batch.logits[i] = logits ? 1 : 0;
  }
};

struct Bench {
  llama_model* model;
  int vocabulary;
  int threads;

  llama_context* context(int sequences, int tokens) const {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(sequences * ((tokens + 256) / 256 * 256));
    params.n_batch = 2048;
    params.n_ubatch = kChunk;
    params.n_seq_max = static_cast<uint32_t>(sequences);
    params.n_threads = threads;
    params.n_threads_batch = threads;
#ifdef PEER_IK
    params.flash_attn = true;
    params.fused_moe_up_gate = true;
    params.mla_attn = 0;  // its latent forms fit DeepSeek's own sizes only, and fail with medium-deepseekv3's
#endif
    llama_context* made = llama_init_from_model(model, params);
    if (made == nullptr) fail("no context");
    return made;
  }

  static void clear(llama_context* context) {
#ifdef PEER_IK
    llama_kv_cache_clear(context);
#else
    llama_memory_clear(llama_get_memory(context), true);
#endif
  }

  void prompt(llama_context* context, Batch& batch, std::mt19937& random, int sequence, int tokens) const {
    for (int begin = 0; begin < tokens; begin += kChunk) {
      batch.clear();
      const int end = std::min(tokens, begin + kChunk);
      for (int i = begin; i < end; ++i)
        batch.add(static_cast<int>(random() % static_cast<unsigned>(vocabulary)), i, sequence, i + 1 == tokens);
      if (llama_decode(context, batch.batch) != 0) fail("prefill");
    }
  }

  double prefill(llama_context* context, int tokens, unsigned seed) const {
    std::mt19937 random(seed);
    Batch batch(kChunk);
    clear(context);
    const double start = now();
    prompt(context, batch, random, 0, tokens);
    return tokens / (now() - start);
  }

  double decode(llama_context* context, int sequences, int new_tokens, int depth, unsigned seed) const {
    std::mt19937 random(seed);
    Batch batch(std::max(kChunk, sequences));
    clear(context);
    for (int s = 0; s < sequences; ++s) prompt(context, batch, random, s, depth);
    const double start = now();
    for (int t = 0; t < new_tokens; ++t) {
      batch.clear();
      for (int s = 0; s < sequences; ++s)
        batch.add(static_cast<int>(random() % static_cast<unsigned>(vocabulary)), depth + t, s, true);
      if (llama_decode(context, batch.batch) != 0) fail("decode");
    }
    return sequences * new_tokens / (now() - start);
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) fail("peer_bench MODEL.gguf THREADS ROUNDS PREFILL,... DECODE,... NEW_TOKENS DEPTH");
  const int rounds = std::atoi(argv[3]);
  const int new_tokens = std::atoi(argv[6]);
  const int depth = std::atoi(argv[7]);
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  llama_backend_init();
  llama_model_params params = llama_model_default_params();
#ifdef PEER_IK
  params.repack_tensors = true;  // -rtr
  params.use_mmap = false;
#endif
  Bench bench{llama_model_load_from_file(argv[1], params), 0, std::atoi(argv[2])};
  if (bench.model == nullptr) fail("the model does not load");
#ifdef PEER_IK
  bench.vocabulary = llama_n_vocab(bench.model);
#else
  bench.vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(bench.model));
#endif
  std::printf("what,sequences,tokens_per_second\n");
  for (const int tokens : numbers(argv[4])) {
    llama_context* context = bench.context(1, tokens);
    bench.prefill(context, 32, 99);
    std::vector<double> rates;
    for (int r = 0; r < rounds; ++r) rates.push_back(bench.prefill(context, tokens, static_cast<unsigned>(r + 1)));
    std::printf("prefill,%d,%.1f\n", tokens, median(rates));
    std::fflush(stdout);
    llama_free(context);
  }
  for (const int sequences : numbers(argv[5])) {
    llama_context* context = bench.context(sequences, depth + new_tokens);
    bench.decode(context, sequences, 2, 16, 99);
    std::vector<double> rates;
    for (int r = 0; r < rounds; ++r)
      rates.push_back(bench.decode(context, sequences, new_tokens, depth, static_cast<unsigned>(r + 1)));
    std::printf("decode,%d,%.1f\n", sequences, median(rates));
    std::fflush(stdout);
    llama_free(context);
  }
  return 0;
}
