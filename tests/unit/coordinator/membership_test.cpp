// Goal: groups come, go and come back without hindering each other, also under a coordinator that has just started.
// Method: the state machine alone, with a clock of our own.
#include "coordinator/membership.h"

#include <gtest/gtest.h>

namespace switchyard::coordinator {
namespace {

using namespace std::chrono_literals;
constexpr auto kHeartbeat = 100ms;
using Groups = std::vector<uint32_t>;

ExpertPlacement two_rank_placement() {
  auto placement = place_experts("balanced", 2, 8, 2);
  SWITCHYARD_CHECK(placement.ok());
  return std::move(placement).value();
}

wire::RegisterRank registration(uint32_t rank, int64_t pid, uint32_t count = 2) {
  wire::RegisterRank out;
  out.set_rank_id(rank);
  out.set_rank_count(count);
  out.set_pid(pid);
  out.set_host("127.0.0.1");
  out.set_port(1000 + rank);
  out.set_model("Qwen3Moe tiny");
  out.set_checkpoint("facade");
  return out;
}

wire::RankReport report(wire::RankState state, uint64_t epoch) {
  wire::RankReport out;
  out.set_state(state);
  out.set_epoch(epoch);
  return out;
}

// Two groups of two ranks. Rank r of the first processes is on connection 10 + r, of later ones on 20 + r and so on.
class MembershipTest : public testing::Test {
 protected:
  void enter(Membership& to, uint32_t rank, ConnectionId base) {
    ASSERT_TRUE(to.register_rank(base + rank, registration(rank, static_cast<int64_t>(base + rank)), now_).ok());
  }
  void say(Membership& to, uint32_t rank, ConnectionId base, wire::RankState state, uint64_t epoch) {
    EXPECT_TRUE(to.report(base + rank, report(state, epoch), now_).ok());
  }
  // Registered, told what to load, and done with it.
  void prepare(Membership& to, uint32_t rank, ConnectionId base) {
    enter(to, rank, base);
    say(to, rank, base, wire::RANK_JOINING, 0);
    const auto told = to.prepare(now_);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].first, base + rank);
    EXPECT_EQ(told[0].second.placement().rank_of_expert_size(), 16);
    auto done = report(wire::RANK_JOINING, 0);
    done.set_prepared(true);
    EXPECT_TRUE(to.report(base + rank, done, now_).ok());
  }
  // Registered, assigned and live; its epoch.
  uint64_t form(uint32_t group, ConnectionId base = 10) {
    for (const uint32_t rank : {2 * group, 2 * group + 1}) prepare(membership_, rank, base);
    EXPECT_EQ(membership_.assignments_due(), Groups{group});
    const uint64_t epoch = membership_.assign(group).epoch();
    for (const uint32_t rank : {2 * group, 2 * group + 1}) say(membership_, rank, base, wire::RANK_LIVE, epoch);
    return epoch;
  }
  uint64_t epoch(uint32_t group) const { return membership_.groups()[group].epoch(); }
  static std::vector<std::pair<uint32_t, wire::RankState>> listed(const Membership& membership) {
    std::vector<std::pair<uint32_t, wire::RankState>> out;
    const auto table = membership.routing_table();
    for (const auto& rank : table.ranks()) out.emplace_back(rank.rank_id(), rank.state());
    return out;
  }
  std::string refusal(ConnectionId connection, const wire::RegisterRank& what) {
    const auto status = membership_.register_rank(connection, what, now_);
    return status.ok() ? "" : status.error().message;
  }
  using Listed = std::vector<std::pair<uint32_t, wire::RankState>>;

  Time now_{1h};
  Membership membership_{two_rank_placement(), 2, 2, kHeartbeat};
};

TEST_F(MembershipTest, AGroupGetsItsPlacementWhenItsOwnRanksAreHere) {
  prepare(membership_, 3, 10);
  prepare(membership_, 0, 10);
  EXPECT_EQ(membership_.assignments_due(), Groups());
  EXPECT_FALSE(membership_.complete());
  prepare(membership_, 2, 10);
  EXPECT_EQ(membership_.assignments_due(), Groups{1});
  const auto assignment = membership_.assign(1);
  EXPECT_EQ(assignment.epoch(), 1U);
  ASSERT_EQ(assignment.ranks_size(), 2);
  EXPECT_EQ(assignment.ranks(0).rank_id(), 2U);
  EXPECT_EQ(assignment.ranks(1).port(), 1003U);
  // Ranks of the placement are counted within the group: 4 of 8 experts in 2 layers each.
  ASSERT_EQ(assignment.placement().rank_of_expert_size(), 16);
  for (const uint32_t rank : assignment.placement().rank_of_expert()) EXPECT_LT(rank, 2U);
  EXPECT_TRUE(membership_.complete());
  EXPECT_EQ(listed(membership_), (Listed{{2, wire::RANK_JOINING}, {3, wire::RANK_JOINING}}));  // nothing of group 0
  EXPECT_EQ(membership_.assignments_due(), Groups());
  prepare(membership_, 1, 10);
  EXPECT_EQ(membership_.assignments_due(), Groups{0});
}

TEST_F(MembershipTest, TheExpertsOfALostRankGoToThoseThatAreLeftAndBack) {
  Membership elastic(two_rank_placement(), 1, 1, kHeartbeat);
  prepare(elastic, 0, 10);
  prepare(elastic, 1, 10);
  const auto whole = elastic.assign(0).placement();
  elastic.disconnected(11);
  ASSERT_EQ(elastic.assignments_due(), Groups{0});
  const auto alone = elastic.assign(0).placement();
  for (const uint32_t rank : alone.rank_of_expert()) EXPECT_EQ(rank, 0U);
  EXPECT_EQ(elastic.placement(0).counts(0), (std::vector<uint32_t>{8, 0}));
  prepare(elastic, 1, 20);
  EXPECT_EQ(elastic.assign(0).placement().SerializeAsString(), whole.SerializeAsString());
}

TEST_F(MembershipTest, AGroupThatDiesAndComesBackLeavesTheOtherAsItIs) {
  EXPECT_EQ(form(0), 1U);
  EXPECT_EQ(form(1), 1U);
  EXPECT_EQ(membership_.epoch(), 2U);
  const auto version = membership_.version();
  membership_.disconnected(13);
  EXPECT_EQ(membership_.deaths(), 1U);
  EXPECT_GT(membership_.version(), version);
  membership_.disconnected(12);
  EXPECT_EQ(listed(membership_),
            (Listed{{0, wire::RANK_LIVE}, {1, wire::RANK_LIVE}, {2, wire::RANK_DEAD}, {3, wire::RANK_DEAD}}));
  EXPECT_EQ(form(1, 20), 2U);
  EXPECT_EQ(epoch(0), 1U);
  EXPECT_EQ(listed(membership_),
            (Listed{{0, wire::RANK_LIVE}, {1, wire::RANK_LIVE}, {2, wire::RANK_LIVE}, {3, wire::RANK_LIVE}}));
}

TEST_F(MembershipTest, SilenceOfOneGroupIsNoDeathInAnother) {
  form(0);
  form(1);
  now_ += kHeartbeatsMissed * kHeartbeat + 1ms;
  say(membership_, 0, 10, wire::RANK_LIVE, 1);
  say(membership_, 1, 10, wire::RANK_LIVE, 1);
  EXPECT_EQ(membership_.tick(now_), (std::vector<ConnectionId>{12, 13}));
  EXPECT_EQ(membership_.deaths(), 2U);
  EXPECT_EQ(membership_.assignments_due(), Groups());
}

TEST_F(MembershipTest, ANewCoordinatorAdoptsEachGroupAtItsOwnEpoch) {
  Membership fresh(two_rank_placement(), 2, 2, kHeartbeat);
  for (const uint32_t rank : {0U, 2U, 3U}) enter(fresh, rank, 10);
  say(fresh, 0, 10, wire::RANK_LIVE, 1);
  say(fresh, 2, 10, wire::RANK_LIVE, 7);
  EXPECT_FALSE(fresh.complete());
  say(fresh, 3, 10, wire::RANK_LIVE, 7);
  // The group that is whole is told of; the other is not, so that nobody takes its missing rank for gone.
  EXPECT_EQ(listed(fresh), (Listed{{2, wire::RANK_LIVE}, {3, wire::RANK_LIVE}}));
  enter(fresh, 1, 10);
  say(fresh, 1, 10, wire::RANK_LIVE, 1);
  EXPECT_EQ(fresh.groups()[0].epoch(), 1U);
  EXPECT_EQ(fresh.groups()[1].epoch(), 7U);
  EXPECT_EQ(fresh.epoch(), 8U);
  EXPECT_EQ(fresh.routing_table().ranks_size(), 4);
  EXPECT_EQ(fresh.assignments_due(), Groups());
  EXPECT_EQ(fresh.deaths(), 0U);
}

TEST_F(MembershipTest, AGroupThatIsDownWhenTheCoordinatorRestartsIsAwaitedAndStartsAnew) {
  Membership fresh(two_rank_placement(), 2, 2, kHeartbeat);
  for (const uint32_t rank : {0U, 1U}) {
    enter(fresh, rank, 10);
    say(fresh, rank, 10, wire::RANK_LIVE, 5);
  }
  now_ += kReturnGrace + 1ms;
  for (const uint32_t rank : {0U, 1U}) say(fresh, rank, 10, wire::RANK_LIVE, 5);
  EXPECT_TRUE(fresh.tick(now_).empty());
  EXPECT_EQ(fresh.deaths(), 0U);  // nothing of it has been here
  EXPECT_EQ(listed(fresh), (Listed{{0, wire::RANK_LIVE}, {1, wire::RANK_LIVE}}));
  for (const uint32_t rank : {2U, 3U}) prepare(fresh, rank, 20);
  ASSERT_EQ(fresh.assignments_due(), Groups{1});
  EXPECT_EQ(fresh.assign(1).epoch(), 1U);
  EXPECT_EQ(fresh.routing_table().ranks_size(), 4);
}

TEST_F(MembershipTest, AGroupMayBeKnownWhollyToANewCoordinatorWhenNobodyIsInItsEpoch) {
  Membership fresh(two_rank_placement(), 2, 1, kHeartbeat);
  enter(fresh, 0, 10);
  enter(fresh, 1, 10);
  say(fresh, 0, 10, wire::RANK_LIVE, 2);
  fresh.disconnected(10);
  say(fresh, 1, 10, wire::RANK_LIVE, 1);
  EXPECT_EQ(fresh.assignments_due(), Groups{0});
  const auto assignment = fresh.assign(0);
  EXPECT_EQ(assignment.epoch(), 3U);
  for (const uint32_t rank : assignment.placement().rank_of_expert()) EXPECT_EQ(rank, 1U);
}

TEST_F(MembershipTest, RegistrationsThatDoNotFitAreRefusedWithTheCause) {
  ASSERT_EQ(refusal(10, registration(0, 100)), "");
  EXPECT_NE(refusal(12, registration(4, 102)).find("out of range: there are 4 ranks"), std::string::npos);
  EXPECT_NE(refusal(12, registration(UINT32_MAX, 102)).find("out of range"), std::string::npos);
  EXPECT_NE(refusal(12, registration(1, 102, 4)).find("one of 4 ranks, but worker.data_parallel_size is 2"),
            std::string::npos);
  EXPECT_NE(refusal(12, registration(0, 102)).find("here already: pid 100"), std::string::npos);
  for (const uint32_t other : {1U, 2U}) {
    EXPECT_NE(refusal(10, registration(other, 100)).find("already registered as rank 0"), std::string::npos);
    auto other_model = registration(other, 102);
    other_model.set_model("Mixtral big");
    EXPECT_NE(refusal(12, other_model).find("Mixtral big"), std::string::npos);
    // In the same group, and in another.
    auto other_files = registration(other, 102);
    other_files.set_checkpoint("c0ffee");
    const std::string why = refusal(12, other_files);
    EXPECT_NE(why.find("(fingerprint c0ffee) than for rank 0 (facade)"), std::string::npos) << why;
  }
  auto no_port = registration(1, 102);
  no_port.set_port(0);
  EXPECT_NE(refusal(12, no_port), "");
  EXPECT_EQ(refusal(12, registration(1, 102)), "");
  EXPECT_EQ(refusal(13, registration(3, 103)), "");
}

TEST_F(MembershipTest, TheOldConnectionOfARankThatRegisteredAgainSaysNothingMore) {
  form(1);
  ASSERT_TRUE(membership_.register_rank(33, registration(3, 13), now_).ok());
  say(membership_, 3, 30, wire::RANK_LIVE, 1);
  EXPECT_FALSE(membership_.report(13, report(wire::RANK_LIVE, 1), now_).ok());
  membership_.disconnected(13);
  EXPECT_EQ(membership_.rank_of(33)->rank_id, 3U);
  EXPECT_EQ(membership_.rank_of(13), nullptr);
  EXPECT_EQ(membership_.deaths(), 0U);
}

TEST_F(MembershipTest, FrontendsComeAndGo) {
  EXPECT_FALSE(membership_.report(5, wire::FrontendReport{}).ok());
  wire::RegisterFrontend frontend;
  frontend.set_port(8000);
  membership_.register_frontend(5, frontend);
  wire::FrontendReport load;
  load.set_requests_running(3);
  EXPECT_TRUE(membership_.report(5, load).ok());
  EXPECT_EQ(membership_.frontends().at(5).registration.port(), 8000U);
  EXPECT_EQ(membership_.frontends().at(5).report.requests_running(), 3U);
  membership_.disconnected(5);
  EXPECT_TRUE(membership_.frontends().empty());
}

TEST_F(MembershipTest, TheLauncherThatReportedLastCountsAndTheOneBeforeWhenItHasGone) {
  const auto reports = [&](ConnectionId connection, int64_t pid) {
    wire::LauncherReport report;
    report.set_pid(pid);
    return membership_.report(connection, report).ok();
  };
  const auto expect = [&](ConnectionId connection, int64_t pid) {
    EXPECT_EQ(membership_.launcher_connection(), connection);
    EXPECT_EQ(membership_.launcher().pid(), pid);
  };
  expect(0, 0);
  EXPECT_TRUE(reports(5, 77));
  EXPECT_FALSE(reports(6, 0));  // of nobody
  expect(5, 77);
  EXPECT_TRUE(reports(7, 66));
  expect(7, 66);
  EXPECT_TRUE(reports(5, 78));
  expect(5, 78);
  EXPECT_TRUE(reports(7, 67));
  membership_.disconnected(6);
  expect(7, 67);
  membership_.disconnected(7);  // the other need not report anew: it does so at changes only
  expect(5, 78);
  membership_.disconnected(5);
  expect(0, 0);
}

}  // namespace
}  // namespace switchyard::coordinator
