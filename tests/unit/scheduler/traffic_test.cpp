// Random traffic against everything that the scheduler promises, checked after every plan and every commit.
//
// The cache is simulated cell by cell: each holds what was last written to it, which hangs on all tokens up to the
// position, and every row that is planned must find all positions that it sees in place. A block given to two
// sequences, lost, shared by the wrong ones, or given back too early shows as a wrong cell.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "worker/scheduler/scheduler.h"

namespace switchyard::worker {
namespace {

struct Traffic {
  const char* name;
  std::vector<KvGroup> groups;
  uint32_t block_tokens;
  SchedulerLimits limits;
  uint32_t budget;
  uint32_t longest_prompt;
  uint32_t longest_answer;
  double arrivals_per_step;
  bool must_preempt;
  uint32_t families = 0;  // sequences of a family begin with the same tokens, and share blocks; 0: none do
};

const Traffic kTraffics[] = {
    {"roomy", {{0, 500}}, 4, {16, 50, 100}, 32, 40, 30, 0.5, false},
    {"full_attention_short_of_blocks", {{0, 40}}, 4, {16, 50, 100}, 32, 40, 60, 0.3, true},
    {"windows_and_full", {{0, 60}, {10, 30}, {3, 20}}, 4, {16, 50, 120}, 24, 60, 60, 0.3, true},
    {"windows_alone", {{9, 12}}, 4, {16, 20, 200}, 40, 120, 60, 0.3, false},
    {"tiny_one_sequence_at_most_whole", {{0, 10}, {5, 3}}, 4, {8, 20, 40}, 16, 30, 30, 0.3, false},
    {"tiny_two_sequences", {{0, 14}, {5, 6}}, 4, {8, 20, 40}, 16, 20, 30, 0.3, true},
    {"blocks_of_one", {{0, 50}, {1, 9}, {7, 12}}, 1, {8, 20, 50}, 9, 20, 30, 0.3, true},
    {"one_slot", {{0, 30}}, 4, {1, 5, 100}, 3, 60, 30, 0.3, false},
    {"overloaded", {{0, 40}}, 8, {4, 6, 200}, 64, 100, 40, 2.0, false},
    {"shared_beginnings", {{0, 300}}, 4, {16, 50, 100}, 32, 40, 30, 0.5, false, 5},
    {"shared_beginnings_short_of_blocks", {{0, 30}}, 4, {16, 50, 100}, 32, 40, 60, 0.3, true, 2},
    {"shared_blocks_of_one", {{0, 60}}, 1, {8, 20, 50}, 9, 20, 30, 0.3, true, 3},
};

void PrintTo(const Traffic& traffic, std::ostream* out) { *out << traffic.name; }

bool better(const Sequence& a, const Sequence& b) {
  return std::tie(a.priority, a.arrival) < std::tie(b.priority, b.arrival);
}

int32_t token_of(uint64_t id, size_t position, uint32_t families) {
  // A family's tokens up to a place of the sequence's own.
  if (families != 0 && position < id * 31 % 45) id = id % families;
  return static_cast<int32_t>((id * 7919 + position * 104729) % 1000003);
}

class Simulation {
 public:
  Simulation(const Traffic& traffic, uint32_t seed)
      : traffic_(traffic),
        random_(seed),
        kv_(traffic.groups, traffic.block_tokens, traffic.families != 0),
        scheduler_(traffic.limits, kv_) {
    for (const KvGroup& group : traffic.groups) {
      cells_.emplace_back(size_t{group.block_count} * traffic.block_tokens, 0);
    }
  }

  void run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFatalFailure(); ++step) {
      SCOPED_TRACE(testing::Message() << "step " << step);
      arrive();
      cancel_some();
      one_step();
    }
    // No more traffic: everything ends, within the tokens that there are and one recomputation of all for each end.
    for (uint64_t left = 0; !live_.empty() && !testing::Test::HasFatalFailure(); ++left) {
      SCOPED_TRACE(testing::Message() << "draining, step " << left);
      ASSERT_LT(left, 200000U);
      one_step();
    }
    if (testing::Test::HasFatalFailure()) return;
    EXPECT_EQ(kv_.blocks_used(), 0U);
    EXPECT_FALSE(scheduler_.has_work());
    EXPECT_EQ(scheduler_.running_count() + scheduler_.waiting_count(), 0U);
    EXPECT_GT(finished_, 100U);
    EXPECT_GT(cancelled_, 10U);
    if (traffic_.arrivals_per_step > 1.0) {
      EXPECT_GT(overloads_, 1000U);
    }
    if (traffic_.families != 0) {
      EXPECT_GT(scheduler_.prefix_hit_count(), 1000U);
    } else {
      EXPECT_EQ(scheduler_.prefix_hit_count(), 0U);
    }
    if (traffic_.must_preempt) {
      EXPECT_GT(scheduler_.preemption_count(), 10U);
    }
  }

  uint64_t finished() const { return finished_; }
  uint64_t cancelled() const { return cancelled_; }
  uint64_t overloads() const { return overloads_; }
  uint64_t preemptions() const { return scheduler_.preemption_count(); }

 private:
  struct Before {
    bool runs;  // holds blocks
    bool decodes;
    uint32_t preemptions;
  };

  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

  void arrive() {
    double expected = traffic_.arrivals_per_step;
    while (expected > 0.0) {
      if (static_cast<double>(random_()) / 4294967296.0 < expected) add_one();
      expected -= 1.0;
    }
  }

  void add_one() {
    auto sequence = std::make_unique<Sequence>();
    const uint64_t id = next_id_++;
    sequence->id = id;
    sequence->priority = static_cast<int32_t>(below(3)) - 1;
    sequence->prompt_count = 1 + below(traffic_.longest_prompt);
    sequence->max_tokens = below(10) == 0 ? 0 : 1 + below(traffic_.longest_answer);
    uint32_t present = sequence->prompt_count;
    if (sequence->max_tokens > 1 && below(5) == 0) present += below(sequence->max_tokens);  // a replay
    for (uint32_t i = 0; i < present; ++i) sequence->tokens.push_back(token_of(id, i, traffic_.families));
    const bool room = present < traffic_.limits.max_model_len || sequence->max_tokens == 0;
    Sequence* const raw = sequence.get();
    const uint32_t waiting = scheduler_.waiting_count();
    const Status added = scheduler_.add(std::move(sequence));
    if (added.ok()) {
      ASSERT_TRUE(room);
      ASSERT_LT(waiting, traffic_.limits.max_waiting);
      live_.emplace(id, raw);
    } else if (added.error().code == Errc::kOverloaded) {
      ASSERT_GE(waiting, traffic_.limits.max_waiting);
      ++overloads_;
    } else {
      ASSERT_EQ(added.error().code, Errc::kTooLarge);
    }
  }

  void cancel_some() {
    if (live_.empty() || below(40) != 0) return;
    auto victim = live_.begin();
    std::advance(victim, below(static_cast<uint32_t>(live_.size())));
    const uint64_t used = kv_.blocks_used();
    const size_t held = held_of(*victim->second);
    ASSERT_NE(scheduler_.remove(victim->first), nullptr);
    if (traffic_.families == 0) {
      ASSERT_EQ(kv_.blocks_used(), used - held);
    } else {
      ASSERT_GE(kv_.blocks_used() + held, used);
    }
    live_.erase(victim);
    ++cancelled_;
  }

  static size_t held_in(const Sequence& sequence, size_t group) {
    const auto& table = sequence.kv.tables[group];
    return static_cast<size_t>(std::count_if(table.begin(), table.end(), [](int32_t block) { return block >= 0; }));
  }
  size_t held_of(const Sequence& sequence) const {
    size_t held = 0;
    for (size_t g = 0; g < traffic_.groups.size(); ++g) held += held_in(sequence, g);
    return held;
  }

  // Nothing leaked, nothing held twice.
  void check_blocks() {
    for (size_t g = 0; g < traffic_.groups.size(); ++g) {
      std::set<int32_t> seen;
      for (const auto& [id, sequence] : live_) {
        for (const int32_t block : sequence->kv.tables[g]) {
          if (block < 0) continue;
          ASSERT_LT(static_cast<uint32_t>(block), traffic_.groups[g].block_count);
          ASSERT_TRUE(seen.insert(block).second || traffic_.families != 0)
              << "block " << block << " of group " << g << " is held twice";
        }
      }
      ASSERT_EQ(seen.size() + kv_.blocks_free(g), traffic_.groups[g].block_count) << "group " << g << " leaks";
    }
  }

  // What a position of a sequence holds: it hangs on all tokens up to it.
  uint64_t content(const Sequence& sequence, uint32_t position) {
    std::vector<uint64_t>& known = contents_[sequence.id];
    for (size_t p = known.size(); p <= position; ++p) {
      const uint64_t before = p == 0 ? 17 : known[p - 1];
      known.push_back((before ^ static_cast<uint32_t>(sequence.tokens[p])) * 0x9e3779b97f4a7c15U + 1);
    }
    return known[position];
  }

  uint64_t& cell(const Sequence& sequence, size_t group, uint32_t position) {
    const auto block = static_cast<size_t>(sequence.kv.tables[group].at(position / traffic_.block_tokens));
    return cells_[group].at(block * traffic_.block_tokens + position % traffic_.block_tokens);
  }

  // What the forward pass does: writes the rows' positions, then each row reads all that it sees.
  void compute(const ScheduledRows& part) {
    const Sequence& sequence = *part.sequence;
    const uint32_t end = part.first_position + part.count;
    for (size_t g = 0; g < traffic_.groups.size(); ++g) {
      const uint32_t window = traffic_.groups[g].window;
      for (uint32_t p = part.first_position; p < end; ++p) cell(sequence, g, p) = content(sequence, p);
      const uint32_t first = window == 0 || part.first_position < window ? 0 : part.first_position - window + 1;
      for (uint32_t p = first; p < end; ++p) {
        ASSERT_GE(sequence.kv.tables[g].at(p / traffic_.block_tokens), 0) << "position " << p << " of group " << g;
        ASSERT_EQ(cell(sequence, g, p), content(sequence, p)) << "position " << p << " of group " << g;
      }
      if (window > 0) {
        const uint32_t block = traffic_.block_tokens;
        ASSERT_LE(held_in(sequence, g), window / block + part.count / block + 2);
      }
    }
  }

  void one_step() {
    const bool work = scheduler_.has_work();
    ASSERT_EQ(work, !live_.empty());
    std::map<uint64_t, Before> before;
    const Sequence* best = nullptr;
    for (const auto& [id, s] : live_) {
      const bool runs = held_of(*s) > 0;
      before[id] = {runs, s->computed > 0 && s->tokens.size() - s->computed == 1, s->preemptions};
      if (runs && (best == nullptr || better(*s, *best))) best = s;
    }
    // As the engine shares it: no more than is asked for, at least one where anything is, sometimes little.
    const uint32_t demand = scheduler_.prefill_demand();
    const uint32_t budget = std::min(demand, 1 + below(traffic_.budget));
    const std::vector<ScheduledRows> rows = scheduler_.plan(budget);
    if (work) {
      ASSERT_FALSE(rows.empty()) << "work and no rows: the engine would spin";
    }
    ASSERT_LE(scheduler_.running_count(), traffic_.limits.max_running);
    ASSERT_LE(scheduler_.waiting_count(), traffic_.limits.max_waiting + traffic_.limits.max_running);
    check_blocks();
    if (testing::Test::HasFatalFailure()) return;

    std::set<const Sequence*> planned;
    uint32_t prefill = 0;
    bool prefill_seen = false;
    for (const ScheduledRows& part : rows) {
      Sequence& s = *part.sequence;
      ASSERT_TRUE(planned.insert(&s).second) << "planned twice";
      ASSERT_EQ(live_.at(s.id), &s);
      ASSERT_EQ(part.first_position, s.computed);
      ASSERT_GT(part.count, 0U);
      ASSERT_LE(part.first_position + part.count, s.tokens.size());
      ASSERT_EQ(part.samples, part.first_position + part.count == s.tokens.size() && s.max_tokens > 0);
      const bool decode = before.at(s.id).decodes;
      if (!decode) prefill += part.count;
      ASSERT_FALSE(decode && prefill_seen) << "decode rows go first";
      prefill_seen = prefill_seen || !decode;
    }
    ASSERT_LE(prefill, budget);
    if (best != nullptr) {
      // One that came in just now may be better still.
      ASSERT_TRUE(std::any_of(planned.begin(), planned.end(), [&](const Sequence* s) { return !better(*best, *s); }))
          << "the best sequence stands still";
    }
    for (const auto& [id, s] : live_) {
      const Before& was = before.at(id);
      if (s->preemptions == was.preemptions) {
        if (was.decodes) {
          ASSERT_TRUE(planned.contains(s)) << "a decode row was left out";
        }
        continue;
      }
      ASSERT_EQ(s->computed, 0U);
      ASSERT_EQ(held_of(*s), 0U);
      ASSERT_FALSE(planned.contains(s)) << "preempted and planned";
      for (const auto& [other_id, other] : live_) {
        ASSERT_FALSE(planned.contains(other) && better(*s, *other)) << "a better one was preempted for a worse one";
      }
    }
    for (const ScheduledRows& part : rows) compute(part);
    if (testing::Test::HasFatalFailure()) return;

    scheduler_.commit(rows);
    check_blocks();
    for (const auto& [id, s] : live_) {
      for (size_t g = 0; g < traffic_.groups.size(); ++g) {
        const uint32_t window = traffic_.groups[g].window;
        if (window == 0) continue;
        const uint32_t block = traffic_.block_tokens;
        ASSERT_LE(held_in(*s, g), (window - 1 + block - 1) / block + 1) << "after the step";
      }
    }
    for (const ScheduledRows& part : rows) {
      Sequence& s = *part.sequence;
      ASSERT_EQ(s.computed, part.first_position + part.count);
      if (part.samples) s.tokens.push_back(token_of(s.id, s.tokens.size(), traffic_.families));
      const bool ends = s.max_tokens == 0 ? s.computed == s.tokens.size()
                                          : part.samples && (s.generated_count() >= s.max_tokens ||
                                                             s.tokens.size() >= traffic_.limits.max_model_len);
      if (!ends) continue;
      for (size_t i = 0; i < s.tokens.size(); ++i) ASSERT_EQ(s.tokens[i], token_of(s.id, i, traffic_.families));
      const uint64_t id = s.id;
      ASSERT_NE(scheduler_.remove(id), nullptr);
      live_.erase(id);
      ++finished_;
    }
    check_blocks();
  }

  const Traffic& traffic_;
  std::mt19937 random_;
  KvCache kv_;
  Scheduler scheduler_;
  std::vector<std::vector<uint64_t>> cells_;            // by group: (blocks, block_tokens)
  std::map<uint64_t, std::vector<uint64_t>> contents_;  // by id
  std::map<uint64_t, Sequence*> live_;                  // what the scheduler has
  uint64_t next_id_ = 1;
  uint64_t finished_ = 0;
  uint64_t cancelled_ = 0;
  uint64_t overloads_ = 0;
};

class RandomTraffic : public testing::TestWithParam<Traffic> {};

TEST_P(RandomTraffic, EverySequenceEndsAndNoBlockIsLostOrShared) {
  for (const uint32_t seed : {1U, 2U, 3U, 20240607U}) {
    SCOPED_TRACE(testing::Message() << GetParam().name << ", seed " << seed);
    Simulation simulation(GetParam(), seed);
    simulation.run(3000);
    if (HasFatalFailure()) return;
    std::printf("%s, seed %u: %lu finished, %lu cancelled, %lu refused, %lu preemptions\n", GetParam().name, seed,
                simulation.finished(), simulation.cancelled(), simulation.overloads(), simulation.preemptions());
  }
}

INSTANTIATE_TEST_SUITE_P(Scheduler, RandomTraffic, testing::ValuesIn(kTraffics),
                         [](const auto& traffic) { return std::string(traffic.param.name); });

}  // namespace
}  // namespace switchyard::worker
