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
  static wire::RankReport report(wire::RankState state, uint64_t epoch) {
    wire::RankReport out;
    out.set_state(state);
    out.set_epoch(epoch);
    return out;
  }
  // Both ranks registered on connections 10 and 11, assigned and live.
  void form() {
    ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
    ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
    now_ += kFirstReportGrace;
    ASSERT_TRUE(group_.assignment_due(now_));
    EXPECT_EQ(group_.assign().epoch(), 1U);
    live();
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

  Time now_{1h};
  RankGroup group_{0, 2, kHeartbeat};
};

TEST_F(RankGroupTest, PlacementIsDueWhenAllRanksAreHereAndNotBefore) {
  ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
  now_ += 10s;
  EXPECT_FALSE(group_.assignment_due(now_));
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_FALSE(group_.assignment_due(now_));  // its first report may be right behind
  now_ += kFirstReportGrace;
  ASSERT_TRUE(group_.assignment_due(now_));
  const auto assignment = group_.assign();
  EXPECT_EQ(assignment.epoch(), 1U);
  ASSERT_EQ(assignment.ranks_size(), 2);
  EXPECT_EQ(assignment.ranks(1).port(), 1001U);
  EXPECT_FALSE(group_.assignment_due(now_ + 1h));
  EXPECT_EQ(state(0), wire::RANK_JOINING);
}

TEST_F(RankGroupTest, AFirstReportWithoutAnEpochEndsTheWait) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_JOINING, 0), now_).ok());
  EXPECT_FALSE(group_.assignment_due(now_));
  EXPECT_TRUE(group_.report(11, report(wire::RANK_JOINING, 0), now_).ok());
  EXPECT_TRUE(group_.assignment_due(now_));
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

TEST_F(RankGroupTest, ALostConnectionIsADeathAndANewEpoch) {
  form();
  const auto version = group_.version();
  group_.disconnected(11);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_EQ(group_.epoch(), 2U);
  EXPECT_EQ(group_.deaths(), 1U);
  EXPECT_GT(group_.version(), version);
  const auto now_listed = table();
  ASSERT_EQ(now_listed.ranks_size(), 2);
  EXPECT_EQ(now_listed.ranks(0).state(), wire::RANK_LIVE);
  EXPECT_EQ(now_listed.ranks(1).state(), wire::RANK_DEAD);
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
  EXPECT_EQ(group_.epoch(), 2U);
  EXPECT_TRUE(tick().empty());
}

TEST_F(RankGroupTest, ARankThatLeavesIsNotCountedAsADeath) {
  form();
  EXPECT_TRUE(group_.report(11, report(wire::RANK_LEAVING, 1), now_).ok());
  EXPECT_EQ(state(1), wire::RANK_LEAVING);
  group_.disconnected(11);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_EQ(group_.deaths(), 0U);
  EXPECT_EQ(group_.epoch(), 2U);
}

TEST_F(RankGroupTest, ARankThatGoesBeforeTheStartLeavesItsPlaceFree) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  group_.disconnected(10);
  EXPECT_EQ(group_.epoch(), 0U);
  EXPECT_EQ(group_.deaths(), 0U);
  EXPECT_EQ(table().ranks_size(), 0);
  EXPECT_TRUE(group_.register_rank(11, registration(0, 500), now_).ok());
}

TEST_F(RankGroupTest, ARestartedGroupGetsTheNextEpoch) {
  form();
  group_.disconnected(10);
  group_.disconnected(11);
  EXPECT_EQ(group_.epoch(), 3U);
  ASSERT_TRUE(group_.register_rank(20, registration(0, 200), now_).ok());
  ASSERT_TRUE(group_.register_rank(21, registration(1, 201), now_).ok());
  now_ += kFirstReportGrace;
  ASSERT_TRUE(group_.assignment_due(now_));
  EXPECT_EQ(group_.assign().epoch(), 4U);
}

TEST_F(RankGroupTest, APausedRankThatComesBackIsLiveAgainInANewEpoch) {
  form();
  group_.disconnected(11);
  ASSERT_TRUE(group_.register_rank(21, registration(1, 101), now_).ok());
  EXPECT_TRUE(group_.report(21, report(wire::RANK_LIVE, 1), now_).ok());
  EXPECT_EQ(state(1), wire::RANK_LIVE);
  EXPECT_EQ(group_.epoch(), 3U);
  EXPECT_FALSE(group_.assignment_due(now_ + 1h));
}

TEST_F(RankGroupTest, ANewCoordinatorAdoptsTheHighestEpochOfServingRanksAndAssignsNothing) {
  ASSERT_TRUE(group_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(group_.report(10, report(wire::RANK_LIVE, 6), now_).ok());
  ASSERT_TRUE(group_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_TRUE(group_.report(11, report(wire::RANK_LIVE, 7), now_).ok());
  EXPECT_EQ(group_.epoch(), 7U);
  EXPECT_EQ(state(0), wire::RANK_LIVE);
  EXPECT_EQ(state(1), wire::RANK_LIVE);
  EXPECT_FALSE(group_.assignment_due(now_ + 1h));
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
  RankGroup third(2, 2, kHeartbeat);
  ASSERT_TRUE(third.register_rank(10, registration(5, 100), now_).ok());
  EXPECT_EQ(third.rank_of(10)->rank_id, 5U);
  ASSERT_TRUE(third.register_rank(11, registration(4, 101), now_).ok());
  now_ += kFirstReportGrace;
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
