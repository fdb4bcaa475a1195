// Goal: who is in, who is out and which epoch it is, for every order of events. Method: the state machine alone, with a
// clock of our own.
#include "coordinator/membership.h"

#include <gtest/gtest.h>

namespace switchyard::coordinator {
namespace {

using namespace std::chrono_literals;
constexpr auto kHeartbeat = 100ms;

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() : membership_(make(2)) {}

  static Membership make(uint32_t ranks) {
    auto placement = place_experts("balanced", 2, 8, ranks);
    SWITCHYARD_CHECK(placement.ok());
    return {std::move(placement).value(), kHeartbeat};
  }
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
    ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
    ASSERT_TRUE(membership_.register_rank(11, registration(1, 101), now_).ok());
    now_ += kFirstReportGrace;
    ASSERT_TRUE(membership_.assignment_due(now_));
    EXPECT_EQ(membership_.assign().epoch(), 1U);
    live();
  }
  void live() {
    EXPECT_TRUE(membership_.report(10, report(wire::RANK_LIVE, membership_.epoch()), now_).ok());
    EXPECT_TRUE(membership_.report(11, report(wire::RANK_LIVE, membership_.epoch()), now_).ok());
  }
  wire::RankState state(size_t rank) const { return membership_.ranks()[rank].state; }
  std::string refusal(ConnectionId connection, const wire::RegisterRank& what) {
    const auto status = membership_.register_rank(connection, what, now_);
    return status.ok() ? "" : status.error().message;
  }

  Time now_{1h};
  Membership membership_;
};

TEST_F(MembershipTest, PlacementIsDueWhenAllRanksAreHereAndNotBefore) {
  ASSERT_TRUE(membership_.register_rank(11, registration(1, 101), now_).ok());
  now_ += 10s;
  EXPECT_FALSE(membership_.assignment_due(now_));
  ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_FALSE(membership_.assignment_due(now_));  // its first report may be right behind
  now_ += kFirstReportGrace;
  ASSERT_TRUE(membership_.assignment_due(now_));
  const auto assignment = membership_.assign();
  EXPECT_EQ(assignment.epoch(), 1U);
  ASSERT_EQ(assignment.ranks_size(), 2);
  EXPECT_EQ(assignment.ranks(1).port(), 1001U);
  EXPECT_EQ(assignment.placement().rank_of_expert_size(), 16);
  EXPECT_FALSE(membership_.assignment_due(now_ + 1h));
  EXPECT_EQ(state(0), wire::RANK_JOINING);
}

TEST_F(MembershipTest, AFirstReportWithoutAnEpochEndsTheWait) {
  ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
  ASSERT_TRUE(membership_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_TRUE(membership_.report(10, report(wire::RANK_JOINING, 0), now_).ok());
  EXPECT_FALSE(membership_.assignment_due(now_));
  EXPECT_TRUE(membership_.report(11, report(wire::RANK_JOINING, 0), now_).ok());
  EXPECT_TRUE(membership_.assignment_due(now_));
}

TEST_F(MembershipTest, RegistrationsThatDoNotFitAreRefusedWithTheCause) {
  ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_NE(refusal(12, registration(2, 102)).find("out of range"), std::string::npos);
  EXPECT_NE(refusal(12, registration(1, 102, 3)).find("3 ranks"), std::string::npos);
  EXPECT_NE(refusal(12, registration(0, 102)).find("here already: pid 100"), std::string::npos);
  EXPECT_NE(refusal(10, registration(1, 100)).find("already registered as rank 0"), std::string::npos);
  auto other_model = registration(1, 102);
  other_model.set_model("Mixtral big");
  EXPECT_NE(refusal(12, other_model).find("Mixtral big"), std::string::npos);
  auto no_port = registration(1, 102);
  no_port.set_port(0);
  EXPECT_NE(refusal(12, no_port), "");
  EXPECT_EQ(refusal(12, registration(1, 102)), "");
}

TEST_F(MembershipTest, TheSameProcessMayRegisterAgainOnANewConnection) {
  form();
  ASSERT_TRUE(membership_.register_rank(20, registration(0, 100), now_).ok());
  EXPECT_TRUE(membership_.report(20, report(wire::RANK_LIVE, 1), now_).ok());
  EXPECT_FALSE(membership_.report(10, report(wire::RANK_LIVE, 1), now_).ok());
  membership_.disconnected(10, now_);  // the old connection's end is no death
  EXPECT_EQ(state(0), wire::RANK_LIVE);
  EXPECT_EQ(membership_.epoch(), 1U);
  EXPECT_EQ(membership_.deaths(), 0U);
}

TEST_F(MembershipTest, ALostConnectionIsADeathAndANewEpoch) {
  form();
  const auto version = membership_.version();
  membership_.disconnected(11, now_);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_EQ(membership_.epoch(), 2U);
  EXPECT_EQ(membership_.deaths(), 1U);
  EXPECT_GT(membership_.version(), version);
  const auto table = membership_.routing_table();
  EXPECT_EQ(table.epoch(), 2U);
  ASSERT_EQ(table.ranks_size(), 2);
  EXPECT_EQ(table.ranks(0).state(), wire::RANK_LIVE);
  EXPECT_EQ(table.ranks(1).state(), wire::RANK_DEAD);
}

TEST_F(MembershipTest, FiveSilentHeartbeatsAreADeath) {
  form();
  now_ += 5 * kHeartbeat;
  EXPECT_TRUE(membership_.report(10, report(wire::RANK_LIVE, 1), now_).ok());
  EXPECT_TRUE(membership_.tick(now_).empty());
  now_ += 1ms;
  EXPECT_EQ(membership_.tick(now_), std::vector<ConnectionId>{11});
  EXPECT_EQ(state(0), wire::RANK_LIVE);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_EQ(membership_.epoch(), 2U);
  EXPECT_TRUE(membership_.tick(now_).empty());
}

TEST_F(MembershipTest, ARankThatLeavesIsNotCountedAsADeath) {
  form();
  EXPECT_TRUE(membership_.report(11, report(wire::RANK_LEAVING, 1), now_).ok());
  EXPECT_EQ(state(1), wire::RANK_LEAVING);
  membership_.disconnected(11, now_);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_EQ(membership_.deaths(), 0U);
  EXPECT_EQ(membership_.epoch(), 2U);
}

TEST_F(MembershipTest, ARankThatGoesBeforeTheStartLeavesItsPlaceFree) {
  ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
  membership_.disconnected(10, now_);
  EXPECT_EQ(membership_.epoch(), 0U);
  EXPECT_EQ(membership_.deaths(), 0U);
  EXPECT_EQ(membership_.routing_table().ranks_size(), 0);
  EXPECT_TRUE(membership_.register_rank(11, registration(0, 500), now_).ok());
}

TEST_F(MembershipTest, ARestartedGroupGetsTheNextEpoch) {
  form();
  membership_.disconnected(10, now_);
  membership_.disconnected(11, now_);
  EXPECT_EQ(membership_.epoch(), 3U);
  ASSERT_TRUE(membership_.register_rank(20, registration(0, 200), now_).ok());
  ASSERT_TRUE(membership_.register_rank(21, registration(1, 201), now_).ok());
  now_ += kFirstReportGrace;
  ASSERT_TRUE(membership_.assignment_due(now_));
  EXPECT_EQ(membership_.assign().epoch(), 4U);
}

TEST_F(MembershipTest, APausedRankThatComesBackIsLiveAgainInANewEpoch) {
  form();
  membership_.disconnected(11, now_);
  ASSERT_TRUE(membership_.register_rank(21, registration(1, 101), now_).ok());
  EXPECT_TRUE(membership_.report(21, report(wire::RANK_LIVE, 1), now_).ok());
  EXPECT_EQ(state(1), wire::RANK_LIVE);
  EXPECT_EQ(membership_.epoch(), 3U);
  EXPECT_FALSE(membership_.assignment_due(now_ + 1h));
}

TEST_F(MembershipTest, ANewCoordinatorAdoptsTheHighestEpochOfServingRanksAndAssignsNothing) {
  ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(membership_.report(10, report(wire::RANK_LIVE, 6), now_).ok());
  ASSERT_TRUE(membership_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_TRUE(membership_.report(11, report(wire::RANK_LIVE, 7), now_).ok());
  EXPECT_EQ(membership_.epoch(), 7U);
  EXPECT_EQ(state(0), wire::RANK_LIVE);
  EXPECT_EQ(state(1), wire::RANK_LIVE);
  EXPECT_FALSE(membership_.assignment_due(now_ + 1h));
}

TEST_F(MembershipTest, ARankThatDoesNotComeBackToANewCoordinatorIsDead) {
  ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(membership_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  now_ += kReturnGrace;
  EXPECT_TRUE(membership_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  EXPECT_TRUE(membership_.tick(now_).empty());
  EXPECT_EQ(membership_.epoch(), 3U);
  now_ += 1ms;
  membership_.tick(now_);
  EXPECT_EQ(state(1), wire::RANK_DEAD);
  EXPECT_EQ(membership_.epoch(), 4U);
}

TEST_F(MembershipTest, RoutingIsWithheldUntilEveryRankIsKnown) {
  ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(membership_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  EXPECT_FALSE(membership_.complete());
  ASSERT_TRUE(membership_.register_rank(11, registration(1, 101), now_).ok());
  EXPECT_FALSE(membership_.complete());  // what it runs is not known
  EXPECT_TRUE(membership_.report(11, report(wire::RANK_LIVE, 3), now_).ok());
  EXPECT_TRUE(membership_.complete());
  membership_.disconnected(11, now_);
  EXPECT_TRUE(membership_.complete());  // for good
}

TEST_F(MembershipTest, RoutingIsWithheldNoLongerThanMissingRanksMayTakeToComeBack) {
  ASSERT_TRUE(membership_.register_rank(10, registration(0, 100), now_).ok());
  EXPECT_TRUE(membership_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  now_ += kReturnGrace + 1ms;
  EXPECT_TRUE(membership_.report(10, report(wire::RANK_LIVE, 3), now_).ok());
  membership_.tick(now_);
  EXPECT_TRUE(membership_.complete());
}

TEST_F(MembershipTest, LoadsAreInTheRoutingTable) {
  form();
  auto busy = report(wire::RANK_LIVE, 1);
  busy.set_sequences_running(3);
  busy.set_sequences_waiting(2);
  busy.set_kv_blocks_total(8);
  busy.set_kv_blocks_used(2);
  EXPECT_TRUE(membership_.report(10, busy, now_).ok());
  const auto table = membership_.routing_table();
  EXPECT_EQ(table.ranks(0).sequences_running(), 3U);
  EXPECT_EQ(table.ranks(0).sequences_waiting(), 2U);
  EXPECT_DOUBLE_EQ(table.ranks(0).kv_usage(), 0.25);
}

TEST_F(MembershipTest, ReportsOfUnknownConnectionsAreRefused) {
  EXPECT_FALSE(membership_.report(99, report(wire::RANK_LIVE, 1), now_).ok());
  EXPECT_FALSE(membership_.report(99, wire::FrontendReport{}).ok());
}

}  // namespace
}  // namespace switchyard::coordinator
