#include <utility>

#include "frontend/http/errors.h"
#include "frontend/http/reactor.h"
#include "frontend/http/session.h"

namespace switchyard::frontend {
namespace {

class SessionResponder final : public Responder {
 public:
  SessionResponder(const std::shared_ptr<Session>& session, uint64_t request)
      : session_(session), reactor_(session->reactor()), request_(request) {}

  ~SessionResponder() override {
    if (answered_) return;
    const auto session = session_.lock();
    if (!session || session->is_closed()) return;
    // Nothing else runs after this on behalf of the request; a stream that was begun is cut off, which the client sees.
    Session* raw = session.get();
    session->post([raw, request = request_, headers = std::move(headers_)]() mutable {
      HttpResponse response = error_response(internal_error("The request was dropped."), raw->error_form());
      response.headers = std::move(headers);
      raw->respond(request, response);
      if (raw->answering(request)) raw->close();
    });
  }

  void add_header(std::string name, std::string value) override {
    headers_.emplace_back(std::move(name), std::move(value));
  }

  void respond(HttpResponse response) override {
    answered_ = true;
    for (auto& header : headers_) response.headers.push_back(header);
    if (const auto session = session_.lock()) session->respond(request_, response);
  }

  void begin_stream(std::string content_type) override {
    if (const auto session = session_.lock()) session->begin_stream(request_, content_type, headers_);
  }

  void write(std::string_view data) override {
    if (const auto session = session_.lock()) session->write_stream(request_, data);
  }

  void end_stream() override {
    answered_ = true;
    if (const auto session = session_.lock()) session->end_stream(request_);
  }

  void on_disconnect(std::function<void()> callback) override {
    if (const auto session = session_.lock())
      session->on_disconnect(request_, std::move(callback));
    else
      callback();
  }

  void post(std::function<void()> function) override {
    if (const auto session = session_.lock()) session->post(std::move(function));
  }

  Reactor& reactor() const override { return reactor_; }

 private:
  const std::weak_ptr<Session> session_;
  ServerReactor& reactor_;
  const uint64_t request_;
  std::vector<std::pair<std::string, std::string>> headers_;
  bool answered_ = false;
};

}  // namespace

ResponderPtr make_responder(const std::shared_ptr<Session>& session, uint64_t request) {
  return std::make_shared<SessionResponder>(session, request);
}

}  // namespace switchyard::frontend
