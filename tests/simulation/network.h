// The simulated network: streams between processes that keep their order, and the faults that real ones have. Nothing
// is lost while a stream lives, as in TCP: while two machines cannot reach each other what is sent waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/wire/switchyard.pb.h"
#include "tests/simulation/world.h"

namespace switchyard::simulation {

struct Message {
  enum class Kind { kOpen, kOpened, kFrame, kBytes, kEnd };
  Kind kind = Kind::kEnd;
  std::shared_ptr<wire::Frame> frame;
  std::vector<std::byte> bytes;
};

class Stream;
using StreamPtr = std::shared_ptr<Stream>;

// One end of a stream. Called in its process.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  // kEnd: the other end has closed, or is gone; nothing comes after it.
  virtual void arrived(Message& message) = 0;
};

// What takes new streams at an address.
using Accept = std::function<std::shared_ptr<Endpoint>(const StreamPtr& stream)>;

class Network {
 public:
  Network(World& world, Random random, uint32_t slots);

  World& world() { return world_; }

  void listen(const ProcessPtr& process, const std::string& host, uint16_t port, Accept accept);
  void stop_listening(const std::string& host, uint16_t port);
  // A stream from a process to an address of a machine; kEnd when nobody listens there.
  StreamPtr connect(const ProcessPtr& process, const std::string& host, uint16_t port, std::shared_ptr<Endpoint> from);
  // Hosts are names of processes' lives; this says on which machine they are.
  void name_host(const std::string& host, uint32_t slot) { slot_of_host_[host] = slot; }

  // --- faults
  // The process is no more. `told`: its machine says so to the other ends; else it is gone as well, until somebody
  // lives there again (revive).
  void gone(const ProcessPtr& process, bool told);
  void revive(uint32_t slot) { down_[slot] = false; }
  void part(uint32_t a, uint32_t b);
  void heal(uint32_t a, uint32_t b);
  // A stream that has two living ends breaks, one of those there are: both ends see it, or only one.
  bool cut(Random& random, bool both);

  // Every frame on its way out: how many of it are sent. Tests of the tests send none, or two.
  std::function<int(const Process& from, uint32_t to_slot, wire::Frame& frame)> on_send;
  // Every frame that has arrived: whether its process gets to see it.
  std::function<bool(const Process& at, uint32_t from_slot, const wire::Frame& frame)> on_arrival;

 private:
  friend class Stream;
  struct Listener {
    ProcessPtr process;
    Accept accept;
  };
  bool parted(uint32_t a, uint32_t b) const { return cuts_[a * slots_ + b] > 0; }
  void prune();

  World& world_;
  Random random_;
  const uint32_t slots_;
  uint64_t streams_made_ = 0;
  std::vector<int> cuts_;   // (slots, slots): how many faults part them
  std::vector<bool> down_;  // (slots)
  std::map<std::pair<std::string, uint16_t>, Listener> listeners_;
  std::map<std::string, uint32_t> slot_of_host_;
  std::vector<std::weak_ptr<Stream>> streams_;
};

// Ends are 0, which connected, and 1.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(Network& network, Random random) : network_(network), random_(random) {}

  void send(int end, Message message);
  // This end takes nothing any more.
  void leave(int end) { ends_[end].endpoint.reset(); }
  const Process& process(int end) const { return *ends_[end].process; }
  uint32_t slot(int end) const { return ends_[end].slot; }

 private:
  friend class Network;
  struct End {
    uint32_t slot = 0;
    ProcessPtr process;
    std::weak_ptr<Endpoint> endpoint;
    bool gone = false;  // what comes is answered by its machine: there is no such stream
    bool told = false;  // that the other one is gone
  };
  struct Direction {
    std::deque<Message> under_way;
    Time last{};         // when the latest of them arrives
    size_t stalled = 0;  // that had arrived but for a parted network
  };
  bool living() const { return !ends_[0].gone && !ends_[1].gone && ends_[1].process != nullptr; }
  void schedule(int to);
  void arrive(int to);
  void deliver(int to, Message message);
  void open(Message& message);
  void break_off(int end);   // it sees the stream end
  void probe(int gone_end);  // the other one, in the end, learns of it
  void resume_stalled();

  Network& network_;
  Random random_;
  std::pair<std::string, uint16_t> address_;
  End ends_[2];
  Direction to_[2];
};

}  // namespace switchyard::simulation
