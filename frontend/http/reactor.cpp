#include "frontend/http/reactor.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "common/base/result.h"
#include "frontend/http/session.h"

namespace switchyard::frontend {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// How often deadlines are looked at: a twentieth of the shortest sensible one, and nothing for 10000 connections.
constexpr std::chrono::milliseconds kSweep{100};

}  // namespace

ServerReactor::ServerReactor(const ServerOptions& options, RequestHandler& handler, const std::atomic<bool>& draining)
    : options_(options), handler_(handler), draining_(draining), io_(1), work_(io_.get_executor()), sweeper_(io_) {}

void ServerReactor::start() {
  thread_ = std::thread([this] { io_.run(); });
}

void ServerReactor::stop() {
  if (!thread_.joinable()) return;
  SWITCHYARD_CHECK(!on_thread());
  asio::post(io_, [this] {
    stopping_ = true;
    sweeper_.cancel();
    const auto sessions = sessions_;  // closing a session takes it out
    for (const auto& [id, session] : sessions) session->close();
  });
  // Not only connections hold sessions: whoever answers does for a moment, and so does what was posted to one. An
  // answer in the making holds none (its Responder is a weak handle). The thread runs until the last one is freed: it
  // must not outlive the io_context, and what is posted must find a thread.
  {
    std::unique_lock lock(mutex_);
    gone_.wait(lock, [this] { return alive_ == 0; });
  }
  work_.reset();
  thread_.join();
}

void ServerReactor::post(std::function<void()> function) { asio::post(io_, std::move(function)); }

void ServerReactor::add(asio::ip::tcp::socket socket, bool full) {
  ++connections_;
  {
    const std::lock_guard lock(mutex_);
    ++alive_;
  }
  const std::shared_ptr<Session> session(new Session(*this, std::move(socket)), [this](Session* last) {
    delete last;
    const std::lock_guard lock(mutex_);
    --alive_;
    gone_.notify_all();
  });
  asio::post(io_, [this, session, full] {
    const uint64_t id = next_id_++;
    sessions_.emplace(id, session);
    if (stopping_) return session->start_closed(id);
    session->start(id, full);
    if (!sweeping_) sweep();
  });
}

void ServerReactor::begin_drain() {
  asio::post(io_, [this] {
    const auto sessions = sessions_;
    for (const auto& [id, session] : sessions) session->drain();
  });
}

void ServerReactor::ended(uint64_t id) {
  if (sessions_.erase(id) > 0) --connections_;
}

void ServerReactor::flush_later(std::shared_ptr<Session> session) {
  if (to_flush_.empty()) asio::post(io_, [this] { flush_all(); });
  to_flush_.push_back(std::move(session));
}

void ServerReactor::flush_all() {
  std::swap(to_flush_, flushing_);
  for (const auto& session : flushing_) session->flush();
  flushing_.clear();
}

void ServerReactor::sweep() {
  sweeping_ = !sessions_.empty();  // an idle server sleeps
  if (!sweeping_) return;
  sweeper_.expires_after(kSweep);
  sweeper_.async_wait([this](const error_code& cancelled) {
    if (cancelled || stopping_) return;
    const auto now = Session::Clock::now();
    std::vector<std::shared_ptr<Session>> late;
    for (const auto& [id, session] : sessions_)
      if (session->is_late(now)) late.push_back(session);
    for (const auto& session : late) session->deadline_passed();
    sweep();
  });
}

}  // namespace switchyard::frontend
