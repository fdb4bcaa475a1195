#include "worker/exchange/exchange_maker.h"

#include <utility>

namespace switchyard::worker {
namespace {

class TcpExchanges final : public ExchangeMaker {
 public:
  TcpExchanges(TcpListener listener, TcpTrust trust, uint32_t deadline_ms)
      : listener_(std::move(listener)), trust_(std::move(trust)), deadline_ms_(deadline_ms) {}

  uint16_t port() const override { return listener_.port(); }

  Result<std::unique_ptr<Exchange>> make(const std::vector<TcpMember>& members, uint32_t here,
                                         const ExchangeShape& shape, kernels::ThreadPool& pool, Epoch epoch) override {
    std::unique_ptr<Transport> transport = make_single_transport();
    if (members.size() > 1) {
      SWITCHYARD_ASSIGN(transport, make_tcp_transport(listener_, members, here, trust_, deadline_ms_, epoch));
    }
    return make_exchange(std::move(transport), shape, pool, deadline_ms_, epoch);
  }

 private:
  TcpListener listener_;
  const TcpTrust trust_;
  const uint32_t deadline_ms_;
};

}  // namespace

Result<std::unique_ptr<ExchangeMaker>> make_tcp_exchanges(const std::string& host, TcpTrust trust,
                                                          uint32_t deadline_ms) {
  SWITCHYARD_ASSIGN(TcpListener listener, TcpListener::open(host, 0));
  return std::unique_ptr<ExchangeMaker>(
      std::make_unique<TcpExchanges>(std::move(listener), std::move(trust), deadline_ms));
}

}  // namespace switchyard::worker
