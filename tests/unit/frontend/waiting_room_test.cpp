// Goal: what is let in waits no longer than the bound, what is refused is told a time at which it comes in, and better
// priorities pass. Method: the rule alone against a queue of our own: places, served one by one at a steady rate, with
// a clock that the test moves.
#include "frontend/routing/waiting_room.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <vector>

namespace switchyard::frontend {
namespace {

using namespace std::chrono_literals;
constexpr uint32_t kPrompt = 100;
constexpr uint32_t kPlaces = 4;
constexpr double kBound = 2.0;

double seconds(Time::duration time) { return std::chrono::duration<double>(time).count(); }

// Ranks with places, each of which begins a sequence and ends it some time later: 50 a second together, if not told
// otherwise.
class Service {
 public:
  static constexpr double kRate = 50.0;

  explicit Service(double bound, uint32_t places = kPlaces, Time::duration takes = 80ms)
      : places_(places), takes_(takes), room_(bound) {}

  struct Answer {
    bool accepted = false;
    uint32_t retry_after = 0;
  };
  Answer ask(int32_t priority = 0, bool comes_again = false) {
    const auto refusal = room_.ask(ranks(), priority, comes_again, now_);
    if (refusal) return {false, refusal->retry_after_seconds};
    room_.enter(priority, kPrompt);
    queue_.emplace(priority, now_);
    if (at_once_) fill();
    return {true, 0};
  }
  // Also where there is room a sequence begins with the next step, and waits until then.
  void begin_with_steps() { at_once_ = false; }
  // 10 ms.
  void step() {
    now_ += 10ms;
    std::erase_if(running_, [this](Time end) { return end <= now_; });
    fill();
  }
  Time now() const { return now_; }
  double wait_max(int32_t priority) const {
    const auto found = waits_.find(priority);
    return found == waits_.end() ? 0.0 : found->second;
  }
  void forget_waits() { waits_.clear(); }
  size_t begun() const { return begun_; }
  const WaitingRoom& room() const { return room_; }
  WaitingRoom::Ranks ranks() const {
    return {places_, static_cast<uint32_t>(running_.size() + queue_.size()), static_cast<uint32_t>(queue_.size())};
  }

 private:
  void fill() {
    while (running_.size() < places_ && !queue_.empty()) {
      const auto [priority, arrived] = *queue_.begin();
      queue_.erase(queue_.begin());
      running_.push_back(now_ + takes_);
      ++begun_;
      waits_[priority] = std::max(waits_[priority], seconds(now_ - arrived));
      room_.begin(ranks(), priority, kPrompt, now_);
    }
  }

  const uint32_t places_;
  const Time::duration takes_;
  bool at_once_ = true;
  WaitingRoom room_;
  Time now_{1000s};
  std::multimap<int32_t, Time> queue_;  // by priority, then arrival
  std::vector<Time> running_;           // when they end
  std::map<int32_t, double> waits_;
  size_t begun_ = 0;
};

TEST(WaitingRoom, WithoutABoundAllComeIn) {
  Service service(0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(service.ask().accepted);
}

TEST(WaitingRoom, BelowTheCapacityNobodyIsRefused) {
  Service service(kBound);
  for (int i = 0; i < 6000; ++i) {  // 60 s
    if (i % 3 == 0) {
      EXPECT_TRUE(service.ask().accepted) << i;
    }  // 33 a second
    service.step();
  }
}

TEST(WaitingRoom, BeforeARateIsKnownAsManyWaitAsCanRun) {
  Service service(kBound);
  int accepted = 0;
  for (int i = 0; i < 1000; ++i) accepted += service.ask().accepted ? 1 : 0;
  EXPECT_GE(accepted, static_cast<int>(2 * kPlaces));
  EXPECT_LE(accepted, static_cast<int>(2 * kPlaces));
}

TEST(WaitingRoom, TheRateIsWhatBegins) {
  Service service(kBound);
  for (int i = 0; i < 2000; ++i) {
    service.ask();
    service.step();
  }
  ASSERT_TRUE(service.room().rate(0).has_value());
  EXPECT_NEAR(*service.room().rate(0) / (kPrompt + WaitingRoom::kWorkOfSequence), Service::kRate, 2.5);
}

// 10 times what can be served, for a minute: nobody who came in waited longer than the bound, and no place stood empty.
TEST(WaitingRoom, WhatComesInWaitsNoLongerThanTheBoundAndNothingStandsIdle) {
  Service service(kBound);
  int accepted = 0;
  for (int i = 0; i < 6000; ++i) {
    for (int k = 0; k < 5; ++k) accepted += service.ask().accepted ? 1 : 0;
    service.step();
  }
  EXPECT_LE(service.wait_max(0), kBound * 1.25);
  EXPECT_GE(service.begun(), static_cast<size_t>(0.97 * 60 * Service::kRate));
  EXPECT_LE(accepted, 60 * Service::kRate + kBound * Service::kRate * 1.25 + kPlaces);
}

// A rush at once fills all places at the same moment, so they are left at the same moments too: what begins comes in
// bursts, of which the first must not be taken for a rate.
TEST(WaitingRoom, PlacesThatAllChangeAtOnceMakeNobodyWaitLonger) {
  for (const auto takes : {400ms, 1000ms, 5000ms}) {
    Service service(kBound, 16, takes);
    for (int i = 0; i < 6000; ++i) {
      for (int k = 0; k < 5; ++k) service.ask();
      service.step();
    }
    // A place is free every `takes`, and then for 16.
    EXPECT_LE(service.wait_max(0), kBound * 1.25 + seconds(takes)) << seconds(takes);
    EXPECT_GE(service.begun(), static_cast<size_t>(0.95 * 16 * 60 / seconds(takes)));
  }
}

TEST(WaitingRoom, ThoseWhoFillTheFreePlacesAreNoMeasureOfTheRate) {
  Service service(kBound, 16, 400ms);
  service.begin_with_steps();
  for (int i = 0; i < 3000; ++i) {
    for (int k = 0; k < 5; ++k) service.ask();
    service.step();
  }
  EXPECT_LE(service.wait_max(0), kBound * 1.25 + 0.4);
  EXPECT_GE(service.begun(), static_cast<size_t>(0.95 * 30 * 40));
}

TEST(WaitingRoom, WhatOnlyFillsThePlacesIsNoQueue) {
  Service service(kBound, 16, 400ms);
  service.begin_with_steps();
  for (int i = 0; i < 2000; ++i) {  // as many clients as places, each of which waits for the next step
    while (service.ranks().sequences < 16) EXPECT_TRUE(service.ask().accepted);
    service.step();
  }
  for (int i = 0; i < 3000; ++i) {
    for (int k = 0; k < 5; ++k) service.ask();
    service.step();
  }
  EXPECT_LE(service.wait_max(0), kBound * 1.25 + 0.4);
}

TEST(WaitingRoom, ABetterPriorityComesInWhileOthersAreRefusedAndWaitsLess) {
  Service service(kBound);
  int normal_refused = 0;
  for (int i = 0; i < 6000; ++i) {
    for (int k = 0; k < 5; ++k) normal_refused += service.ask().accepted ? 0 : 1;
    if (i % 10 == 0) {
      EXPECT_TRUE(service.ask(-1).accepted) << i;
    }  // a fifth of the capacity
    service.step();
  }
  EXPECT_GT(normal_refused, 20000);
  EXPECT_LE(service.wait_max(-1), 0.15);
  EXPECT_LE(service.wait_max(0), kBound * 1.25);  // also with those that overtake it
}

// Every client obeys: it comes again when it was told to, and only then.
TEST(WaitingRoom, WhoComesAgainWhenToldComesIn) {
  for (const int obedient_of_ten : {1, 5, 10}) {
    Service service(kBound);
    std::multimap<Time, int> returning;
    int returned = 0;
    int came_in = 0;
    int told = 0;
    for (int i = 0; i < 6000; ++i) {
      std::vector<bool> arrivals(5, false);
      while (!returning.empty() && returning.begin()->first <= service.now()) {
        returning.erase(returning.begin());
        arrivals.push_back(true);
      }
      for (const bool again : arrivals) {
        const auto answer = service.ask(0, again);
        if (again) {
          ++returned;
          came_in += answer.accepted ? 1 : 0;
        }
        if (answer.accepted || told++ % 10 >= obedient_of_ten) continue;
        returning.emplace(service.now() + std::chrono::seconds(answer.retry_after), 0);
      }
      service.step();
    }
    EXPECT_GT(returned, 50) << obedient_of_ten;  // or nothing is tested
    EXPECT_GE(came_in, 0.95 * returned) << obedient_of_ten << " of 10: " << came_in << " of " << returned;
    EXPECT_LE(service.wait_max(0), kBound * 1.25);
  }
}

TEST(WaitingRoom, WhenTheRushIsOverNewRequestsComeInAtOnce) {
  Service service(kBound);
  for (int i = 0; i < 3000; ++i) {
    for (int k = 0; k < 5; ++k) service.ask();
    service.step();
  }
  for (int i = 0; i < 200; ++i) service.step();  // 2 s: the queue that was let in
  service.forget_waits();
  for (int i = 0; i < 100; ++i) {
    if (i % 3 == 0) {
      EXPECT_TRUE(service.ask().accepted) << i;
    }
    service.step();
  }
  EXPECT_LE(service.wait_max(0), 0.1);
}

TEST(WaitingRoom, AServiceThatBeginsNothingRefusesAndSaysWhenToComeAgain) {
  WaitingRoom room(kBound);
  Time now{1000s};
  const WaitingRoom::Ranks stuck{kPlaces, 2 * kPlaces, kPlaces};
  for (uint32_t i = 0; i < 2 * kPlaces; ++i) room.enter(0, kPrompt);
  for (int i = 0; i < 10; ++i) {
    room.ask(stuck, 0, false, now);
    now += 1s;
  }
  const auto refusal = room.ask(stuck, 0, false, now);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_GE(refusal->retry_after_seconds, 1U);
  EXPECT_LE(refusal->retry_after_seconds, WaitingRoom::kRetryAfterMax);
  EXPECT_TRUE(std::isfinite(refusal->wait_seconds));
}

TEST(WaitingRoom, WhoLeavesBeforeItsTurnWaitsForNobody) {
  WaitingRoom room(kBound);
  for (int i = 0; i < 100; ++i) room.enter(i, kPrompt);
  for (int i = 0; i < 100; ++i) room.leave(i, kPrompt);
  room.leave(7, kPrompt);  // unknown
  EXPECT_EQ(room.wait_seconds({kPlaces, 0, 0}, 1000), 0.0);
}

}  // namespace
}  // namespace switchyard::frontend
