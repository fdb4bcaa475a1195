#include "tests/support/virtual_group.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <thread>

namespace switchyard::testing {
namespace {

constexpr uint32_t kDeadlineMs = 60000;

}  // namespace

GroupRun run_group(const checkpoint::Checkpoint& checkpoint, const GroupOptions& options,
                   const std::vector<TestRequest>& requests) {
  const auto placement = make_placement(checkpoint.spec(), options.ranks, options.placement_seed);
  std::vector<std::unique_ptr<worker::Transport>> transports;
  if (options.ranks == 1) {
    transports.push_back(worker::make_single_transport());
  } else {
    transports = worker::make_local_transports(options.ranks, kDeadlineMs);
  }
  std::vector<std::unique_ptr<RankModel>> models;
  std::vector<std::unique_ptr<worker::KvCache>> caches;
  std::vector<std::unique_ptr<worker::Engine>> engines;
  GroupRun run;
  run.answers.resize(requests.size());
  std::mutex mutex;
  size_t open = requests.size();

  const auto on_outputs = [&](std::vector<worker::EngineOutput>&& outputs) {
    const std::lock_guard lock(mutex);
    for (const auto& output : outputs) {
      TestAnswer& answer = run.answers[output.id];
      answer.tokens.insert(answer.tokens.end(), output.tokens.begin(), output.tokens.end());
      for (const auto& l : output.logprobs) answer.logprobs.push_back(l.logprob);
      for (const auto& l : output.prompt_logprobs) answer.prompt_logprobs.push_back(l.logprob);
      if (!output.embedding.empty()) answer.embedding = output.embedding;
      if (output.finish == worker::Finish::kNone) continue;
      answer.finish = output.finish;
      answer.error = output.error.message;
      if (--open == 0) {
        for (auto& engine : engines) engine->stop();
      }
    }
  };
  const auto on_work = [&](uint64_t epoch, uint64_t burst) {
    for (auto& engine : engines) engine->begin(epoch, burst);
  };
  models.resize(options.ranks);
  std::vector<std::thread> makers;  // the ranks agree on their exchange as they come up
  for (uint32_t r = 0; r < options.ranks; ++r) {
    makers.emplace_back(
        [&, r] { models[r] = std::make_unique<RankModel>(checkpoint, options, placement, std::move(transports[r])); });
  }
  for (auto& maker : makers) maker.join();
  for (uint32_t r = 0; r < options.ranks; ++r) {
    caches.push_back(std::make_unique<worker::KvCache>(models[r]->groups, options.block_size, options.share_prefixes));
    worker::EngineLimits limits;
    limits.scheduler = {options.max_num_seqs, 4096, options.max_model_len};
    limits.max_num_batched_tokens = options.max_num_batched_tokens;
    engines.push_back(std::make_unique<worker::Engine>(limits, checkpoint.spec(), *models[r]->model, *caches[r],
                                                       *models[r]->exchange, models[r]->pool,
                                                       worker::EngineCallbacks{on_outputs, on_work}));
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    auto sequence = std::make_unique<worker::Sequence>();
    sequence->id = i;
    sequence->params = requests[i].params;
    sequence->prompt_count = static_cast<uint32_t>(requests[i].prompt.size());
    sequence->max_tokens = requests[i].max_tokens;
    sequence->pooling = requests[i].pooling;
    sequence->tokens = requests[i].prompt;
    sequence->tokens.insert(sequence->tokens.end(), requests[i].generated.begin(), requests[i].generated.end());
    if (requests[i].masks) {
      sequence->constrained =
          std::make_unique<worker::ConstrainedText>(requests[i].masks, sequence->params.stop_token_ids);
      for (const int32_t token : requests[i].generated) sequence->constrained->accept(token);
    }
    SWITCHYARD_CHECK(engines[i % options.ranks]->submit(std::move(sequence)).ok());
  }
  std::vector<std::thread> threads;
  for (auto& engine : engines) {
    threads.emplace_back([&engine] {
      const Status ended = engine->run();
      SWITCHYARD_CHECK(ended.ok());
    });
  }
  for (auto& thread : threads) thread.join();
  for (uint32_t r = 0; r < options.ranks; ++r) {
    run.preemptions += engines[r]->stats().preemptions;
    run.prefix_hits += engines[r]->stats().prefix_hits;
    run.blocks_used.push_back(caches[r]->blocks_used());
  }
  return run;
}

}  // namespace switchyard::testing
