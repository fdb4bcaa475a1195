// The worker ranks as a frontend sees them: learns from the coordinator where they are, keeps one connection to each
// live one, sends every sequence where it costs least (rank_choice.h: the beginning of its prompt is cached, or nobody
// is less loaded; ties go round), hands the outputs to whoever asked. The coordinator may be away: the last routing
// table stays in force.
//
// A sequence outlives its rank: when that is lost, or refuses it because it is on its way out, another one goes on with
// it (sequences.h), and its outputs pause meanwhile. When no rank can, it waits for one, for at most
// frontend.recovery_timeout_ms; so does a sequence whose rank is there, but in a group that has too few for all
// experts. New requests are refused while no group serves; before the coordinator has said so, they wait as well.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/cluster_config.h"
#include "common/net/net.h"
#include "common/wire/switchyard.pb.h"
#include "frontend/http/http.h"
#include "frontend/routing/sequences.h"
#include "frontend/routing/waiting_room.h"

namespace switchyard::frontend {

struct Ticket {
  uint64_t id = 0;    // 0: none
  int64_t rank = -1;  // the first; -1 while it waits for one
  uint64_t epoch = 0;
};

class RankPool {
 public:
  // Sums over live ranks; kv_usage is the fullest rank's share.
  struct Load {
    uint32_t live_ranks = 0;
    uint32_t running = 0;
    uint32_t waiting = 0;
    double kv_usage = 0;
    uint64_t replays = 0;  // since the start: sequences that a second rank, a third, ... went on with
  };
  struct Report {
    uint32_t requests_running = 0;
    uint32_t connections = 0;
    std::vector<wire::KeyUse> key_uses;
  };
  // What another frontend's clients took of their keys' limits. On the net thread.
  using OnKeyUses = std::function<void(const wire::KeyUses&)>;
  // On the reactor that generate() was given; must not block; may move from the output. The last one has a finish; when
  // no rank can go on with the sequence that is FINISH_ERROR with status 503. The outputs of a frame reach a reactor in
  // one message, however many they are; what waits there is bounded by what the admitted requests may still generate.
  using OnOutput = Sequences::OnOutput;

  // Connects in the background. http_port: as the coordinator shall show it. report: called every heartbeat on the net
  // thread. on_drain: the coordinator asks the frontend to drain; on the net thread.
  static std::unique_ptr<RankPool> start(const config::ClusterConfig& config, std::unique_ptr<net::Service> net,
                                         uint16_t http_port, std::function<Report()> report, OnKeyUses on_key_uses = {},
                                         std::function<void()> on_drain = {});
  virtual ~RankPool() = default;  // stops

  // Sends a sequence to a rank, under a request_id of its own. kUnavailable: no live rank, and none to be waited for.
  // Any thread; never blocks.
  // reactor must outlive the pool's last callback: stop() the pool before it goes.
  virtual Result<Ticket> generate(wire::Generate request, Reactor& reactor, OnOutput on_output) = 0;
  // Its rank frees the sequence; its callback is not called any more, but for what is on its way to the reactor. Any
  // thread.
  virtual void cancel(uint64_t ticket) = 0;

  // Ends every sequence with FINISH_ERROR, status 503 and this reason. Any thread.
  virtual void end_all(const std::string& why) = 0;

  // Whether a request of this priority had better not be sent now (waiting_room.h). comes_again: it was refused before.
  // Any thread.
  virtual std::optional<WaitingRoom::Refusal> turn_away(int32_t priority, bool comes_again) = 0;

  virtual Load load() const = 0;
  // "" when requests can be served.
  virtual std::string why_not_ready() const = 0;
  // After a refusal: when the client may come again.
  virtual uint32_t retry_after_seconds() const { return 1; }
  // No callbacks run after it. Not from the net thread.
  virtual void stop() = 0;
};

}  // namespace switchyard::frontend
