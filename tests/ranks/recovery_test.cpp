// Goal: when ranks die in the middle of a step, and when they come back, the others go on with the same bits. Method: a
// group of threads whose members change at chosen exchanges; each epoch has a random placement of its own; sequences of
// the dead are replayed elsewhere, as a frontend does it. The reference is each request alone, on one rank.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <ostream>
#include <random>
#include <thread>

#include "common/checkpoint/checkpoint.h"
#include "tests/support/virtual_group.h"

namespace switchyard::testing {
namespace {

using kernels::WeightForm;

constexpr uint32_t kDeadlineMs = 60000;

// An epoch ends when one of its members has dispatched so often in it; the last epoch has no such member.
struct Span {
  std::vector<uint32_t> members;  // rank ids, ascending
  uint32_t ends_with = UINT32_MAX;
  uint32_t dispatches = 0;
  bool dies = false;
};

// The exchange of the rank that ends an epoch.
class EndingExchange final : public worker::Exchange {
 public:
  EndingExchange(worker::Exchange& inner, uint32_t dispatches, std::function<void()> on_end)
      : inner_(inner), left_(dispatches), on_end_(std::move(on_end)) {}
  const char* name() const override { return inner_.name(); }
  uint32_t rank() const override { return inner_.rank(); }
  uint32_t size() const override { return inner_.size(); }
  Result<worker::ReceivedRows> dispatch(const worker::LayerPlacement& placement, const void* rows, uint32_t row_count,
                                        const int32_t* experts) override {
    if (left_-- == 0) {
      on_end_();
      return Error{Errc::kPeerLost, "this rank ends the epoch"};
    }
    return inner_.dispatch(placement, rows, row_count, experts);
  }
  Result<const float* const*> combine() override { return inner_.combine(); }
  Status all_gather(const void* mine, size_t bytes, void* all) override { return inner_.all_gather(mine, bytes, all); }
  worker::ExchangeStats stats() const override { return inner_.stats(); }

 private:
  worker::Exchange& inner_;
  uint32_t left_;
  const std::function<void()> on_end_;
};

class ChangingGroup {
 public:
  ChangingGroup(const checkpoint::Checkpoint& checkpoint, GroupOptions options, std::vector<Span> spans,
                const std::vector<TestRequest>& requests)
      : checkpoint_(checkpoint),
        options_(std::move(options)),
        spans_(std::move(spans)),
        requests_(requests),
        answers_(requests.size()),
        open_(requests.size()) {}

  std::vector<TestAnswer> run() {
    const std::vector<uint32_t>& first = spans_.front().members;
    for (size_t i = 0; i < requests_.size(); ++i) rank_of_[i] = first[i % first.size()];
    std::vector<std::thread> threads;
    for (const uint32_t rank : first) threads.emplace_back([this, rank] { live(rank, 0); });
    for (size_t e = 1; e < spans_.size(); ++e) {
      for (const uint32_t rank : spans_[e].members) {
        const auto& before = spans_[e - 1].members;
        if (std::find(before.begin(), before.end(), rank) == before.end())
          threads.emplace_back([this, rank, e] { live(rank, e); });
      }
    }
    for (auto& thread : threads) thread.join();
    return answers_;
  }
  size_t epochs_seen() const { return latest_ + 1; }

 private:
  using Life = std::pair<uint32_t, size_t>;  // a rank, and the epoch in which it came

  // A rank's life, from an epoch until it dies or all is done.
  void live(uint32_t rank, size_t e) {
    const Life life{rank, e};
    std::unique_ptr<RankModel> model;
    std::unique_ptr<worker::KvCache> cache;
    std::shared_ptr<worker::Engine> engine;
    std::unique_ptr<EndingExchange> ending;
    for (;; ++e) {
      const Span& span = spans_[e];
      auto [transport, placement] = join(rank, e);
      const worker::Epoch epoch{e, &latest_};
      if (!model) {
        model = std::make_unique<RankModel>(checkpoint_, options_, placement, std::move(transport), epoch);
        cache = std::make_unique<worker::KvCache>(model->groups, options_.block_size, options_.share_prefixes);
      } else {
        model->regroup(placement, std::move(transport), epoch);
      }
      worker::Exchange* exchange = model->exchange.get();
      if (span.ends_with == rank) {
        ending = std::make_unique<EndingExchange>(*exchange, span.dispatches, [this, e] { end(e); });
        exchange = ending.get();
      }
      model->model->regroup(*exchange, placement);
      if (!engine) {
        worker::EngineLimits limits;
        limits.scheduler = {options_.max_num_seqs, 4096, options_.max_model_len};
        limits.max_num_batched_tokens = options_.max_num_batched_tokens;
        engine = std::make_shared<worker::Engine>(limits, checkpoint_.spec(), *model->model, *cache, *exchange,
                                                  model->pool, callbacks(), epoch);
        introduce(life, engine);
      } else {
        engine->regroup(*exchange, epoch);
      }
      const Status ended = engine->run();
      if (ended.ok()) break;
      SWITCHYARD_CHECK(e + 1 < spans_.size());
      if (span.dies && span.ends_with == rank) {
        bury(rank, e + 1);
        break;
      }
    }
    const std::lock_guard lock(mutex_);
    engines_.erase(life);
  }

  std::pair<std::unique_ptr<worker::Transport>, std::vector<worker::LayerPlacement>> join(uint32_t rank, size_t e) {
    const std::vector<uint32_t>& members = spans_[e].members;
    const auto size = static_cast<uint32_t>(members.size());
    const std::lock_guard lock(mutex_);
    auto& transports = transports_[e];
    if (transports.empty()) {
      if (size == 1)
        transports.push_back(worker::make_single_transport());
      else
        transports = worker::make_local_transports(size, kDeadlineMs, {e, &latest_});
    }
    const auto index = std::find(members.begin(), members.end(), rank) - members.begin();
    return {std::move(transports[static_cast<size_t>(index)]), make_placement(checkpoint_.spec(), size, e + 1)};
  }

  void end(size_t e) {
    latest_ = e + 1;
    const std::lock_guard lock(mutex_);
    for (const auto& [life, engine] : engines_) engine->wake();
  }

  void introduce(const Life& life, const std::shared_ptr<worker::Engine>& engine) {
    const std::lock_guard lock(mutex_);
    engines_[life] = engine;
    if (open_ == 0) engine->stop();
    engine->begin(begun_.first, begun_.second);
    if (life.second != 0) return;
    for (size_t i = 0; i < requests_.size(); ++i)
      if (rank_of_[i] == life.first) submit(i, *engine);
  }

  // A rank of the next epoch takes over the dead one's sequences: one that has lived since the beginning.
  void bury(uint32_t rank, size_t next) {
    const std::lock_guard lock(mutex_);
    const uint32_t heir = spans_[next].members.back();
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (rank_of_[i] != rank || answers_[i].finish != worker::Finish::kNone) continue;
      rank_of_[i] = heir;
      submit(i, *engines_.at({heir, 0}));
      ++replays;
    }
  }

  void submit(size_t i, worker::Engine& engine) {
    const TestRequest& request = requests_[i];
    auto sequence = std::make_unique<worker::Sequence>();
    sequence->id = i;
    sequence->params = request.params;
    sequence->prompt_count = static_cast<uint32_t>(request.prompt.size());
    sequence->max_tokens = request.max_tokens;
    sequence->tokens = request.prompt;
    const auto& so_far = answers_[i].tokens;
    sequence->tokens.insert(sequence->tokens.end(), so_far.begin(), so_far.end());
    if (!so_far.empty()) sequence->params.prompt_logprobs = false;
    SWITCHYARD_CHECK(engine.submit(std::move(sequence)).ok());
  }

  worker::EngineCallbacks callbacks() {
    return {[this](std::vector<worker::EngineOutput>&& outputs) {
              const std::lock_guard lock(mutex_);
              for (const auto& output : outputs) take(output);
            },
            [this](uint64_t epoch, uint64_t burst) {
              const std::lock_guard lock(mutex_);
              begun_ = std::max(begun_, {epoch, burst});
              for (const auto& [life, engine] : engines_) engine->begin(epoch, burst);
            }};
  }

  void take(const worker::EngineOutput& output) {
    TestAnswer& answer = answers_[output.id];
    answer.tokens.insert(answer.tokens.end(), output.tokens.begin(), output.tokens.end());
    for (const auto& l : output.logprobs) answer.logprobs.push_back(l.logprob);
    for (const auto& l : output.prompt_logprobs) answer.prompt_logprobs.push_back(l.logprob);
    if (output.finish == worker::Finish::kNone) return;
    answer.finish = output.finish;
    answer.error = output.error.message;
    if (--open_ != 0) return;
    for (const auto& [life, engine] : engines_) engine->stop();
  }

 public:
  size_t replays = 0;

 private:
  const checkpoint::Checkpoint& checkpoint_;
  const GroupOptions options_;
  const std::vector<Span> spans_;
  const std::vector<TestRequest>& requests_;
  std::atomic<uint64_t> latest_{0};

  std::mutex mutex_;  // guards what follows
  std::map<size_t, std::vector<std::unique_ptr<worker::Transport>>> transports_;
  std::map<Life, std::shared_ptr<worker::Engine>> engines_;
  std::pair<uint64_t, uint64_t> begun_{0, 0};
  std::map<size_t, uint32_t> rank_of_;
  std::vector<TestAnswer> answers_;
  size_t open_;
};

struct Case {
  std::string model;
  WeightForm form;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model; }

class Recovery : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    auto opened = checkpoint::Checkpoint::open(std::string(SWITCHYARD_TEST_DATA "/golden/") + GetParam().model);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    checkpoint_ = std::make_unique<checkpoint::Checkpoint>(std::move(*opened));
  }

  std::vector<TestRequest> requests(size_t count) const {
    std::mt19937 random(20261127);
    std::vector<TestRequest> all(count);
    for (size_t i = 0; i < count; ++i) {
      TestRequest& r = all[i];
      const size_t length = 1 + random() % 60;
      for (size_t t = 0; t < length; ++t)
        r.prompt.push_back(static_cast<int32_t>(random() % checkpoint_->spec().vocab_size));
      r.max_tokens = 24;
      r.params.logprobs = true;
      r.params.prompt_logprobs = i % 3 == 0;
      r.params.temperature = i % 2 == 0 ? 0.0F : 0.9F;
      r.params.presence_penalty = i % 5 == 2 ? 0.5F : 0.0F;
      r.params.seed = 1000 + i;
    }
    return all;
  }

  void expect_undisturbed(std::vector<Span> spans, GroupOptions o) {
    o.form = GetParam().form;
    o.max_model_len = 256;
    o.max_num_batched_tokens = 48;
    const auto all = requests(9);
    const size_t epochs = spans.size();
    ChangingGroup group(*checkpoint_, o, std::move(spans), all);
    const auto got = group.run();
    EXPECT_EQ(group.epochs_seen(), epochs) << "the faults did not happen";
    for (size_t i = 0; i < all.size(); ++i) {
      GroupOptions alone;
      alone.form = o.form;
      alone.max_model_len = 256;
      const TestAnswer want = run_group(*checkpoint_, alone, {all[i]}).answers[0];
      EXPECT_EQ(got[i].error, "");
      EXPECT_EQ(got[i].tokens, want.tokens) << "request " << i;
      EXPECT_EQ(got[i].logprobs, want.logprobs) << "request " << i;
      EXPECT_EQ(got[i].prompt_logprobs, want.prompt_logprobs) << "request " << i;
      EXPECT_EQ(got[i].finish, want.finish) << "request " << i;
    }
  }

  uint32_t expert_layers() const {
    const auto& layers = checkpoint_->spec().layers;
    return static_cast<uint32_t>(std::count_if(layers.begin(), layers.end(), [](const auto& l) { return l.experts; }));
  }

  std::unique_ptr<checkpoint::Checkpoint> checkpoint_;
};

// Two die, at exchanges of their own in the middle of a step; then one comes back, and another.
TEST_P(Recovery, TheLivingGoOnWithTheSameBitsAsRanksDieAndComeBack) {
  const uint32_t layers = expert_layers();
  const std::vector<Span> spans = {{{0, 1, 2, 3}, 2, 2 * layers, true},
                                   {{0, 1, 3}, 0, 3 * layers + 1, true},
                                   {{1, 3}, 1, 2 * layers, false},
                                   {{1, 2, 3}, 3, layers + 1, false},
                                   {{0, 1, 2, 3}}};
  expect_undisturbed(spans, {});
}

TEST_P(Recovery, AtEveryExchangeOfTheFirstSteps) {
  for (uint32_t at = 0; at < 2 * expert_layers() + 1; ++at)
    expect_undisturbed({{{0, 1}, 1, at, true}, {{0}, 0, 4, false}, {{0, 1}}}, {});
}

TEST_P(Recovery, WithMessagesAndLittleRoom) {
  GroupOptions o;
  o.messages = true;
  o.kv_blocks = 20;
  const uint32_t layers = expert_layers();
  expect_undisturbed({{{0, 1, 2}, 0, 3 * layers, true}, {{1, 2}, 2, 4 * layers + 1, false}, {{0, 1, 2}}}, o);
}

INSTANTIATE_TEST_SUITE_P(Golden, Recovery,
                         ::testing::Values(Case{"qwen3-moe-tiny", WeightForm::kFloat32},
                                           Case{"deepseek-v3-tiny", WeightForm::kBfloat16},
                                           Case{"gpt-oss-tiny", WeightForm::kFloat32},
                                           Case{"qwen3-moe-tiny", WeightForm::kInt8},
                                           Case{"mixtral-tiny", WeightForm::kInt4}),
                         [](const auto& i) {
                           std::string name = i.param.model + "_" + std::to_string(static_cast<int>(i.param.form));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace switchyard::testing
