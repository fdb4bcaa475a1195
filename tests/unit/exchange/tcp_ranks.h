// Ranks on loopback for tests of the TCP transport: their listeners, and their meeting.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "common/net/tls.h"
#include "tests/support/certificates.h"
#include "worker/exchange/tcp_transport.h"

namespace switchyard::worker {

struct TcpRanks {
  static constexpr uint32_t kLong = 60000;

  explicit TcpRanks(uint32_t count, TcpTrust whom = {"secret"}) : trust(std::move(whom)) {
    for (uint32_t r = 0; r < count; ++r) {
      listeners.push_back(TcpListener::open("127.0.0.1", 0).value());
      members.push_back({"127.0.0.1", listeners.back().port()});
    }
  }

  // The same secret, epoch and deadline for all.
  std::vector<std::unique_ptr<Transport>> connect(uint32_t deadline_ms = kLong, Epoch epoch = {}) {
    std::vector<std::unique_ptr<Transport>> transports(members.size());
    std::vector<std::thread> threads;
    for (uint32_t r = 0; r < members.size(); ++r) {
      threads.emplace_back([&, r] {
        auto made = make_tcp_transport(listeners[r], members, r, trust, deadline_ms, epoch);
        EXPECT_TRUE(made.ok()) << made.error().message;
        if (made.ok()) transports[r] = std::move(*made);
      });
    }
    for (auto& thread : threads) thread.join();
    return transports;
  }

  TcpTrust trust;
  std::vector<TcpListener> listeners;
  std::vector<TcpMember> members;
};

inline net::TlsPtr tls_of(Authority& authority) {
  const auto files = authority.issue("member");
  return net::internal_tls(files.certificate, files.key, authority.file()).value();
}

}  // namespace switchyard::worker
