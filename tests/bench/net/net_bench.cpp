// What TLS costs between processes: a frame there and back, and small frames one way (as streamed tokens are), plain
// and over TLS in turns, so that both see the same machine.
//
//   build/bin/net_bench [rounds]
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "common/net/net.h"
#include "common/net/tls.h"
#include "common/wire/switchyard.pb.h"
#include "tests/support/certificates.h"

namespace switchyard::net {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kRoundTrips = 5000;
constexpr int kFrames = 100000;
constexpr int kFrameBytes = 64;  // some tokens of one sequence

wire::Frame small_frame() {
  wire::Frame frame;
  frame.mutable_register_rank()->set_model(std::string(kFrameBytes, 't'));
  return frame;
}

struct Times {
  double round_trip_us = 0;
  double frame_us = 0;
};

Times measure(const TlsPtr& tls) {
  Options options;
  options.tls = tls;
  auto server = std::move(Service::start({wire::ROLE_WORKER, "server"}, "secret", options)).value();
  auto client = std::move(Service::start({wire::ROLE_FRONTEND, "client"}, "secret", options)).value();
  std::promise<ConnectionPtr> from_server;
  Handlers echo;
  echo.on_open = [&](const ConnectionPtr& to) { from_server.set_value(to); };
  echo.on_frame = [](const ConnectionPtr& from, wire::Frame& frame) { from->send(frame); };
  const uint16_t port = server->listen("127.0.0.1", 0, echo).value();

  int left = kRoundTrips;
  std::atomic<int> to_come{0};
  std::promise<void> returned, streamed;
  Clock::time_point begin;
  Handlers handlers;
  handlers.on_open = [&](const ConnectionPtr& to) {
    begin = Clock::now();
    to->send(small_frame());
  };
  handlers.on_frame = [&](const ConnectionPtr& to, wire::Frame& frame) {
    if (to_come > 0) {
      if (--to_come == 0) streamed.set_value();
    } else if (--left > 0) {
      to->send(frame);
    } else {
      returned.set_value();
    }
  };
  client->connect("127.0.0.1", port, handlers);
  returned.get_future().wait();
  const auto seconds_since = [](Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  };
  Times times{1e6 * seconds_since(begin) / kRoundTrips, 0};

  const ConnectionPtr stream = from_server.get_future().get();
  to_come = kFrames;
  begin = Clock::now();
  const wire::Frame frame = small_frame();
  for (int i = 0; i < kFrames; ++i) stream->send(frame);
  streamed.get_future().wait();
  times.frame_us = 1e6 * seconds_since(begin) / kFrames;
  return times;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace
}  // namespace switchyard::net

int main(int argc, char** argv) {
  using namespace switchyard;
  Authority authority("bench");
  const auto files = authority.issue("process");
  const auto tls = net::internal_tls(files.certificate, files.key, authority.file()).value();
  std::vector<double> trip_ratio, frame_ratio, trip, frame;
  for (int round = 0; round < (argc > 1 ? std::atoi(argv[1]) : 5); ++round) {
    const net::Times plain = net::measure(nullptr);
    const net::Times secure = net::measure(tls);
    trip.push_back(plain.round_trip_us);
    frame.push_back(plain.frame_us);
    trip_ratio.push_back(secure.round_trip_us / plain.round_trip_us);
    frame_ratio.push_back(secure.frame_us / plain.frame_us);
  }
  fmt::print("plain: round trip {:.1f} us, frame of a stream {:.2f} us; TLS / plain, medians: {:.2f} and {:.2f}\n",
             net::median(trip), net::median(frame), net::median(trip_ratio), net::median(frame_ratio));
  return 0;
}
