// Goal: who of a group is in, who is out and which epoch it is, for every order of events. Method: the state machine
// alone, with a clock of our own.
#include "coordinator/rank_group.h"

#include <gtest/gtest.h>

namespace switchyard::coordinator {
namespace {

using namespace std::chrono_literals;
constexpr auto kHeartbeat = 100ms;

class RankGroupTest : public testing::Test {
 protected:
  static wire::RegisterRank registration(uint32_t rank, int64_t pid, uint32_t count = 2) {
    wire::RegisterRank out;
    out.set_rank_id(rank);
    out.set_rank_count(count);
    out.set_pid(pid);
    out.set_host("127.0.0.1");
    out.set_port(1000 + rank);
    out.set_model("Qwen3Moe tiny");
    return out;
  }
  static wire::RankReport report(wire::RankState state, uint64_t epoch, bool prepared = false) {
    wire::RankReport out;
    out.set_state(state);
    out.set_epoch(epoch);
    out.set_prepared(prepared);
    return out;
  }
  // Registered, told what to load, and done with it.
  void prepare(RankGroup& group, uint32_t index, ConnectionId connection, int64_t pid) {
    const uint32_t rank_id = group.ranks()[index].rank_id;
    ASSERT_TRUE(group.register_rank(connection, registration(rank_id, pid), now_).ok());
    EXPECT_TRUE(group.report(connection, report(wire::RANK_JOINING, 0), now_).ok());
    ASSERT_EQ(group.preparations_due(now_), Indices{index});
    EXPECT_TRUE(group.prepare(index).prepare());
    EXPECT_TRUE(group.preparations_due(now_).empty());
    EXPECT_TRUE(group.report(connection, report(wire::RANK_JOINING, 0, true), now_).ok());
  }
  // Both ranks prepared on connections 10 and 11, assigned and live.
  void form() {
    prepare(group_, 0, 10, 100);
    prepare(group_, 1, 11, 101);
    ASSERT_TRUE(group_.assignment_due());
    EXPECT_EQ(group_.assign().epoch(), 1U);
    live();
  }
  static std::vector<uint32_t> members(const wire::Assignment& assignment) {
    std::vector<uint32_t> ids;
    for (const auto& rank : assignment.ranks()) ids.push_back(rank.rank_id());
    return ids;
  }
  void live() {
    EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, group_.epoch()), now_).ok());
    EXPECT_TRUE(group_.report(11, report(wire::RANK_LIVE, group_.epoch()), now_).ok());
  }
  wire::RankState state(size_t rank) const { return group_.ranks()[rank].state; }
  std::vector<ConnectionId> tick() {
    std::vector<ConnectionId> close;
    group_.tick(now_, close);
    return close;
  }
  wire::RoutingTable table() const {
    wire::RoutingTable table;
    group_.add_addresses(table);
    return table;
  }

  using Indices = std::vector<uint32_t>;

  Time now_{1h};
  RankGroup group_{0, 2, 1, kHeartbeat};
};

TEST_F(RankGroupTest, TheFirstEpochBeginsWhenAllRanksHaveTheirWeights) {
  ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_TRUE(group_.preparations_due(now_).empty());  // its first report may be right behind
  now_ += kFirstReportGrace;
  EXPECT_EQ(group_.preparations_due(now_), Indices{1});
  EXPECT_EQ(group_.expected(), (std::vector<bool>{true, true}));  // the other will come
  group_.prepare(1);
  EXPECT_TRUE(group_.report(11, report(wire::RANK_JOINING, 0, true), now_).ok());
  EXPECT_FALSE(group_.assignment_due());
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_JOINING, 0), now_).ok());
  EXPECT_EQ(group_.preparations_due(now_), Indices{0});
  group_.prepare(0);
  EXPECT_FALSE(group_.assignment_due());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_JOINING, 0, true), now_).ok());
  ASSERT_TRUE(group_.assignment_due());
  const auto assignment = group_.assign();
  EXPECT_EQ(assignment.epoch(), 1U);
  EXPECT_FALSE(assignment.prepare());
  ASSERT_EQ(members(assignment), (Indices{0, 1}));
  EXPECT_EQ(assignment.ranks(1).port(), 1001U);
  EXPECT_FALSE(group_.assignment_due());
  EXPECT_EQ(state(0), wire::RANK_JOINING);
}

TEST_F(RankGroupTest, AnIdWhoseHolderIsAliveIsRefused) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  const auto status = group_.register_rank(12, registration(0, 102), now_);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("here already: pid 100"), std::string::npos) << status.error().message;
}

TEST_F(RankGroupTest, TheSameProcessMayRegisterAgainOnANewConnection) {
  form();
  ASSERT_TRUE(group_.register_rank(20, registration(0, 100), now_).ok());
  EXPECT_TRUE(group_.report(20, report(wire::RANK_LIVE, 1), now_).ok());
  EXPECT_FALSE(group_.report(10, report(wire::RANK_LIVE, 1), now_).ok());
  group_.disconnected(10);  // the old connection's end is no death
  EXPECT_EQ(state(0), wire::RANK_LIVE);
  EXPECT_EQ(group_.epoch(), 1U);
  EXPECT_EQ(group_.deaths(), 0U);
}

TEST_F(RankGroupTest, ThoseThatAreLeftGoOnInANewEpoch) {
  form();
  const auto version = group_.version();
  group_.disconnected(11);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_EQ(group_.deaths(), 1U);
  EXPECT_GT(group_.version(), version);
  const auto now_listed = table();
  ASSERT_EQ(now_listed.ranks_size(), 2);
  EXPECT_EQ(now_listed.ranks(0).state(), wire::RANK_LIVE);
  EXPECT_EQ(now_listed.ranks(1).state(), wire::RANK_DEAD);
  ASSERT_TRUE(group_.assignment_due());
  const auto assignment = group_.assign();
  EXPECT_EQ(assignment.epoch(), 2U);
  EXPECT_EQ(members(assignment), Indices{0});
  EXPECT_EQ(group_.members(), (std::vector<bool>{true, false}));
  EXPECT_FALSE(group_.assignment_due());
}

TEST_F(RankGroupTest, ARankThatComesBackLoadsWhileTheOthersGoOnAndThenJoins) {
  form();
  group_.disconnected(11);
  group_.assign();
  EXPECT_EQ(group_.expected(), (std::vector<bool>{true, false}));
  ASSERT_TRUE(group_.register_rank(21, registration(1, 201), now_).ok());
  EXPECT_EQ(group_.expected(), (std::vector<bool>{true, true}));
  EXPECT_FALSE(group_.assignment_due());
  EXPECT_TRUE(group_.report(21, report(wire::RANK_JOINING, 0), now_).ok());
  ASSERT_EQ(group_.preparations_due(now_), Indices{1});
  EXPECT_EQ(group_.prepare(1).epoch(), 2U);
  EXPECT_FALSE(group_.assignment_due());
  EXPECT_TRUE(group_.report(21, report(wire::RANK_JOINING, 0, true), now_).ok());
  ASSERT_TRUE(group_.assignment_due());
  const auto assignment = group_.assign();
  EXPECT_EQ(assignment.epoch(), 3U);
  EXPECT_EQ(members(assignment), (Indices{0, 1}));
}

TEST_F(RankGroupTest, ARankThatDiesWhileItLoadsChangesNothing) {
  form();
  group_.disconnected(11);
  group_.assign();
  ASSERT_TRUE(group_.register_rank(21, registration(1, 201), now_).ok());
  EXPECT_TRUE(group_.report(21, report(wire::RANK_JOINING, 0), now_).ok());
  group_.prepare(1);
  group_.disconnected(21);
  EXPECT_FALSE(group_.assignment_due());
  EXPECT_EQ(group_.epoch(), 2U);
}

TEST_F(RankGroupTest, FewerThanTheLeastWait) {
  RankGroup group(0, 3, 2, kHeartbeat);
  for (uint32_t i = 0; i < 3; ++i) prepare(group, i, 10 + i, 100 + i);
  EXPECT_EQ(group.assign().epoch(), 1U);
  group.disconnected(10);
  ASSERT_TRUE(group.assignment_due());
  EXPECT_EQ(members(group.assign()), (Indices{1, 2}));
  group.disconnected(11);
  EXPECT_FALSE(group.assignment_due());
  prepare(group, 0, 20, 200);
  ASSERT_TRUE(group.assignment_due());
  EXPECT_EQ(members(group.assign()), (Indices{0, 2}));
}

TEST_F(RankGroupTest, RanksThatDieTogetherBeginTogether) {
  RankGroup group(0, 2, 2, kHeartbeat);
  for (uint32_t i = 0; i < 2; ++i) prepare(group, i, 10 + i, 100 + i);
  EXPECT_EQ(group.assign().epoch(), 1U);
  group.disconnected(11);
  EXPECT_FALSE(group.assignment_due());
  group.disconnected(10);
  prepare(group, 0, 20, 200);
  EXPECT_FALSE(group.assignment_due());
  prepare(group, 1, 21, 201);
  ASSERT_TRUE(group.assignment_due());
  EXPECT_EQ(group.assign().epoch(), 2U);
}

TEST_F(RankGroupTest, AMemberWhoseExchangeBrokeGetsAnotherEpoch) {
  form();
  EXPECT_FALSE(group_.assignment_due());
  wire::RankReport broke = report(wire::RANK_JOINING, 1);
  broke.set_left_epoch(1);
  EXPECT_TRUE(group_.report(10, broke, now_).ok());
  ASSERT_TRUE(group_.assignment_due());
  EXPECT_EQ(members(group_.assign()), (Indices{0, 1}));
  EXPECT_TRUE(group_.report(10, broke, now_).ok());  // it has not heard of the new one yet
  EXPECT_FALSE(group_.assignment_due());
}

TEST_F(RankGroupTest, FiveSilentHeartbeatsAreADeath) {
  form();
  now_ += 5 * kHeartbeat;
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 1), now_).ok());
  EXPECT_TRUE(tick().empty());
  now_ += 1ms;
  EXPECT_EQ(tick(), std::vector<ConnectionId>{11});
  EXPECT_EQ(state(0), wire::RANK_LIVE);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_TRUE(group_.assignment_due());
  EXPECT_TRUE(tick().empty());
}

TEST_F(RankGroupTest, ARankThatLeavesIsNotCountedAsADeath) {
  form();
  EXPECT_TRUE(group_.report(11, report(wire::RANK_LEAVING, 1), now_).ok());
  EXPECT_EQ(state(1), wire::RANK_LEAVING);
  group_.disconnected(11);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_EQ(group_.deaths(), 0U);
  EXPECT_EQ(members(group_.assign()), Indices{0});
}

TEST_F(RankGroupTest, WhoLeavesTakesPartUntilItHasNothingLeftAndIsThenReleased) {
  form();
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LEAVING, 1), now_).ok());
  EXPECT_FALSE(group_.assignment_due());
  EXPECT_TRUE(group_.releases_due().empty());
  EXPECT_EQ(group_.why_not_serving(), "");  // the other takes what comes
  group_.disconnected(11);
  ASSERT_TRUE(group_.assignment_due());  // it has sequences to finish
  EXPECT_EQ(members(group_.assign()), Indices{0});
  EXPECT_EQ(group_.why_not_serving(), "the ranks of group 0 are leaving");
  prepare(group_, 1, 21, 201);
  ASSERT_TRUE(group_.assignment_due());
  EXPECT_EQ(members(group_.assign()), (Indices{0, 1}));

  auto drained = report(wire::RANK_LEAVING, 3);
  drained.set_drained(true);
  EXPECT_TRUE(group_.report(10, drained, now_).ok());
  EXPECT_EQ(group_.releases_due(), Indices{0});
  EXPECT_TRUE(group_.release(0).release());
  EXPECT_TRUE(group_.releases_due().empty());
  ASSERT_TRUE(group_.assignment_due());
  EXPECT_EQ(members(group_.assign()), Indices{1});
  EXPECT_TRUE(group_.report(10, drained, now_).ok());
  EXPECT_FALSE(group_.assignment_due());
  group_.disconnected(10);
  EXPECT_EQ(group_.deaths(), 1U);  // of the other one, before
  EXPECT_FALSE(group_.assignment_due());
  prepare(group_, 0, 30, 300);  // another process in its place
  ASSERT_TRUE(group_.assignment_due());
  EXPECT_EQ(members(group_.assign()), (Indices{0, 1}));
}

TEST_F(RankGroupTest, TheLastOneIsReleasedToo) {
  form();
  group_.disconnected(11);
  group_.assign();
  auto drained = report(wire::RANK_LEAVING, 2);
  drained.set_drained(true);
  EXPECT_TRUE(group_.report(10, drained, now_).ok());
  EXPECT_EQ(group_.releases_due(), Indices{0});
  EXPECT_FALSE(group_.assignment_due());
  EXPECT_EQ(group_.why_not_serving(),
            "group 0 has 0 of its 2 ranks, and needs 1 to hold all experts (worker.min_ranks)");
}

TEST_F(RankGroupTest, ARankThatGoesBeforeTheStartLeavesItsPlaceFree) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  group_.disconnected(10);
  EXPECT_EQ(group_.epoch(), 0U);
  EXPECT_EQ(group_.deaths(), 0U);
  EXPECT_EQ(table().ranks_size(), 0);
  EXPECT_TRUE(group_.register_rank(11, registration(0, 500), now_).ok());
}

TEST_F(RankGroupTest, AGroupThatLostAllOfItsRanksBeginsWithTheFirstThatIsBack) {
  form();
  group_.disconnected(10);
  group_.disconnected(11);
  EXPECT_FALSE(group_.assignment_due());
  prepare(group_, 0, 20, 200);
  ASSERT_TRUE(group_.assignment_due());
  EXPECT_EQ(members(group_.assign()), Indices{0});
  prepare(group_, 1, 21, 201);
  EXPECT_EQ(members(group_.assign()), (Indices{0, 1}));
  EXPECT_EQ(group_.epoch(), 3U);
}

TEST_F(RankGroupTest, APausedRankThatComesBackFindsTheOthersElsewhereAndJoinsThemWithItsWeights) {
  form();
  group_.disconnected(11);
  EXPECT_EQ(group_.assign().epoch(), 2U);
  ASSERT_TRUE(group_.register_rank(21, registration(1, 101), now_).ok());
  EXPECT_TRUE(group_.report(21, report(wire::RANK_LIVE, 1, true), now_).ok());
  EXPECT_TRUE(group_.preparations_due(now_).empty());
  ASSERT_TRUE(group_.assignment_due());
  const auto assignment = group_.assign();
  EXPECT_EQ(assignment.epoch(), 3U);
  EXPECT_EQ(members(assignment), (Indices{0, 1}));
}

TEST_F(RankGroupTest, ANewCoordinatorAdoptsTheEpochOfServingRanksAndAssignsNothing) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 7, true), now_).ok());
  ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_TRUE(group_.report(11, report(wire::RANK_LIVE, 7, true), now_).ok());
  EXPECT_EQ(group_.epoch(), 7U);
  EXPECT_EQ(state(0), wire::RANK_LIVE);
  EXPECT_EQ(state(1), wire::RANK_LIVE);
  EXPECT_EQ(group_.members(), (std::vector<bool>{true, true}));
  EXPECT_TRUE(group_.preparations_due(now_ + 1h).empty());
  EXPECT_FALSE(group_.assignment_due());
}

TEST_F(RankGroupTest, ANewCoordinatorBringsRanksOfTwoEpochsTogether) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 6, true), now_).ok());
  ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_TRUE(group_.report(11, report(wire::RANK_LIVE, 7, true), now_).ok());
  EXPECT_EQ(group_.members(), (std::vector<bool>{false, true}));
  ASSERT_TRUE(group_.assignment_due());
  EXPECT_EQ(group_.assign().epoch(), 8U);
}

// The one before may have begun epochs that nobody takes part in yet, or whose exchange broke.
TEST_F(RankGroupTest, ANewCoordinatorNumbersItsEpochsAboveThoseThatRanksWereToldOf) {
  auto told = report(wire::RANK_LIVE, 1);
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
  told.set_told_epoch(1);
  EXPECT_TRUE(group_.report(10, told, now_).ok());
  told.set_told_epoch(4);
  EXPECT_TRUE(group_.report(11, told, now_).ok());
  ASSERT_TRUE(group_.assignment_due());
  const auto assignment = group_.assign();
  EXPECT_EQ(assignment.epoch(), 5U);
  EXPECT_EQ(members(assignment), (Indices{0, 1}));
  EXPECT_TRUE(group_.report(11, told, now_).ok());  // on its way since before it was told of the fifth
  EXPECT_FALSE(group_.assignment_due());
}

TEST_F(RankGroupTest, ARankThatDoesNotComeBackToANewCoordinatorIsDead) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  now_ += kReturnGrace;
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  EXPECT_TRUE(tick().empty());
  EXPECT_EQ(group_.epoch(), 3U);
  now_ += 1ms;
  tick();
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  ASSERT_TRUE(group_.assignment_due());
  EXPECT_EQ(members(group_.assign()), Indices{0});
  EXPECT_EQ(group_.epoch(), 4U);
}

TEST_F(RankGroupTest, RoutingIsWithheldUntilEveryRankIsKnown) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  EXPECT_FALSE(group_.complete());
  ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_FALSE(group_.complete());  // what it runs is not known
  EXPECT_TRUE(group_.report(11, report(wire::RANK_LIVE, 3), now_).ok());
  EXPECT_TRUE(group_.complete());
  group_.disconnected(11);
  EXPECT_TRUE(group_.complete());  // for good
}

TEST_F(RankGroupTest, RoutingIsWithheldNoLongerThanMissingRanksMayTakeToComeBack) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  now_ += kReturnGrace + 1ms;
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  tick();
  EXPECT_TRUE(group_.complete());
}

TEST_F(RankGroupTest, RanksOfALaterGroupHaveLaterIds) {
  RankGroup third(2, 2, 1, kHeartbeat);
  prepare(third, 1, 10, 100);
  EXPECT_EQ(third.rank_of(10)->rank_id, 5U);
  prepare(third, 0, 11, 101);
  const auto assignment = third.assign();
  ASSERT_EQ(assignment.ranks_size(), 2);
  EXPECT_EQ(assignment.ranks(0).rank_id(), 4U);
  EXPECT_EQ(assignment.ranks(1).rank_id(), 5U);
  EXPECT_EQ(assignment.ranks(1).group(), 2U);
}

TEST_F(RankGroupTest, LoadsAreInTheRoutingTable) {
  form();
  auto busy = report(wire::RANK_LIVE, 1);
  busy.set_sequences_running(3);
  busy.set_sequences_waiting(2);
  busy.set_kv_blocks_total(8);
  busy.set_kv_blocks_used(2);
  EXPECT_TRUE(group_.report(10, busy, now_).ok());
  const auto listed = table();
  EXPECT_EQ(listed.ranks(0).sequences_running(), 3U);
  EXPECT_EQ(listed.ranks(0).sequences_waiting(), 2U);
  EXPECT_DOUBLE_EQ(listed.ranks(0).kv_usage(), 0.25);
}

TEST_F(RankGroupTest, ReportsOfUnknownConnectionsAreRefused) {
  EXPECT_FALSE(group_.report(99, report(wire::RANK_LIVE, 1), now_).ok());
}

}  // namespace
}  // namespace switchyard::coordinator
