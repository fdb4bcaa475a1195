// What every exchange over a transport has in common: who it is, the agreement of a step, its figures.
#pragma once

#include <memory>
#include <utility>

#include "common/base/clock.h"
#include "worker/exchange/exchange.h"

namespace switchyard::worker {

class TransportExchange : public Exchange {
 public:
  uint32_t rank() const override { return transport_->rank(); }
  uint32_t size() const override { return transport_->size(); }
  Status all_gather(const void* mine, size_t bytes, void* all) override {
    return transport_->all_gather(mine, bytes, all);
  }
  ExchangeStats stats() const override { return stats_; }

 protected:
  // Adds the time of its scope to a figure.
  class Timed {
   public:
    explicit Timed(double& seconds) : seconds_(seconds) {}
    ~Timed() { seconds_ += now_seconds() - start_; }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

   private:
    double& seconds_;
    const double start_ = now_seconds();
  };

  TransportExchange(std::unique_ptr<Transport> transport, const ExchangeShape& shape)
      : transport_(std::move(transport)), shape_(shape) {}

  const std::unique_ptr<Transport> transport_;
  const ExchangeShape shape_;
  ExchangeStats stats_;
};

}  // namespace switchyard::worker
