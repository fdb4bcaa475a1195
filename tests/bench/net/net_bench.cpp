// What TLS costs between processes: a frame there and back, small frames one way (as streamed tokens are), and the rows
// that two ranks send each other in a layer, of a step of 32 tokens and of one of 512; plain and over TLS in turns, so
// that both see the same machine.
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
#include <thread>
#include <vector>

#include "common/net/net.h"
#include "common/net/tls.h"
#include "common/wire/switchyard.pb.h"
#include "tests/support/certificates.h"
#include "worker/exchange/tcp_transport.h"

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

constexpr uint32_t kRowBytes = 4096;  // 2048 values in bfloat16
constexpr int kExchanges = 200;

struct Times {
  double round_trip_us = 0;
  double frame_us = 0;
  double small_exchange_us = 0;
  double large_exchange_us = 0;
};

// Microseconds of an exchange in which two ranks send each other so many rows.
double exchange_us(const TlsPtr& tls, uint32_t rows) {
  using namespace worker;
  std::vector<TcpListener> listeners;
  std::vector<TcpMember> members;
  for (int r = 0; r < 2; ++r) {
    listeners.push_back(TcpListener::open("127.0.0.1", 0).value());
    members.push_back({"127.0.0.1", listeners.back().port()});
  }
  double seconds = 0;
  const auto rank = [&](uint32_t here) {
    const auto transport = make_tcp_transport(listeners[here], members, here, {"secret", tls}, 60000).value();
    std::vector<char> out(size_t{rows} * kRowBytes), in(out.size());
    const uint32_t to[] = {0, here == 0 ? 0 : rows, rows};
    Clock::time_point begin;
    for (int i = -kExchanges / 10; i < kExchanges; ++i) {
      if (i == 0) begin = Clock::now();
      SWITCHYARD_CHECK(transport->all_to_all(out.data(), to, in.data(), to, kRowBytes).ok());
    }
    if (here == 0) seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  };
  std::thread other(rank, 1);
  rank(0);
  other.join();
  return 1e6 * seconds / kExchanges;
}

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
  Times times;
  times.round_trip_us = 1e6 * seconds_since(begin) / kRoundTrips;

  const ConnectionPtr stream = from_server.get_future().get();
  to_come = kFrames;
  begin = Clock::now();
  const wire::Frame frame = small_frame();
  for (int i = 0; i < kFrames; ++i) stream->send(frame);
  streamed.get_future().wait();
  times.frame_us = 1e6 * seconds_since(begin) / kFrames;
  times.small_exchange_us = exchange_us(tls, 32);
  times.large_exchange_us = exchange_us(tls, 512);
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
  std::vector<net::Times> plain, secure;
  for (int round = 0; round < (argc > 1 ? std::atoi(argv[1]) : 5); ++round) {
    plain.push_back(net::measure(nullptr));
    secure.push_back(net::measure(tls));
  }
  const auto print = [&](const char* what, double net::Times::*time) {
    std::vector<double> alone, ratio;
    for (size_t i = 0; i < plain.size(); ++i) {
      alone.push_back(plain[i].*time);
      ratio.push_back(secure[i].*time / plain[i].*time);
    }
    fmt::print("{}: plain {:.2f} us, over TLS {:.2f} times as long (medians)\n", what, net::median(alone),
               net::median(ratio));
  };
  print("a frame there and back", &net::Times::round_trip_us);
  print("a small frame of a stream", &net::Times::frame_us);
  print("exchange of 32 rows of 4 KiB", &net::Times::small_exchange_us);
  print("exchange of 512 rows", &net::Times::large_exchange_us);
  return 0;
}
