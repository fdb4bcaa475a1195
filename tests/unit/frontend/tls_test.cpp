// Goal: what TLS alone can go wrong with ends in a named error at the start, or in a refusal that is counted and costs
// nobody else anything. Method: OpenSSL's own client against the server on loopback.
#include "common/net/tls.h"

#include <signal.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/unit/frontend/http_client.h"
#include "tests/unit/frontend/test_server.h"

namespace switchyard::frontend {
namespace {

using net::Refusal;
using net::Tls;
using net::TlsFiles;

uint64_t count(const net::Refusals& refusals, Refusal refusal) {
  return refusals.counts()[static_cast<size_t>(refusal)];
}

template <typename Condition>
bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class TlsServer : public testing::Test {
 protected:
  // OpenSSL's own sockets, which the clients here use, write without MSG_NOSIGNAL.
  static void SetUpTestSuite() { ::signal(SIGPIPE, SIG_IGN); }

  std::unique_ptr<TestServer> serve(const std::string& client_authorities = "", ServerOptions options = {}) {
    auto tls =
        Tls::server({.certificate = own_.certificate, .private_key = own_.key, .authorities = client_authorities});
    EXPECT_TRUE(tls.ok()) << tls.error().message;
    options.tls = std::move(tls).value();
    options.refusals = refusals_;
    return std::make_unique<TestServer>(options);
  }

  // The answer to GET /echo of a client that is set up by `prepare`; "" when there is none.
  template <typename Prepare>
  static std::string get(uint16_t port, Prepare prepare) {
    struct Freed {
      SSL_CTX* context = SSL_CTX_new(TLS_client_method());
      SSL* ssl = nullptr;
      ~Freed() {
        SSL_free(ssl);
        SSL_CTX_free(context);
      }
    } made;
    prepare(made.context);
    made.ssl = SSL_new(made.context);
    RawConnection connection(port);
    SSL_set_fd(made.ssl, connection.file);
    const std::string request = request_text("GET", "/echo");
    if (SSL_connect(made.ssl) != 1 || SSL_write(made.ssl, request.data(), static_cast<int>(request.size())) <= 0)
      return "";
    std::array<char, 4096> answer{};
    const int got = SSL_read(made.ssl, answer.data(), static_cast<int>(answer.size()));
    return got > 0 ? std::string(answer.data(), static_cast<size_t>(got)) : "";
  }

  struct RawConnection {
    explicit RawConnection(uint16_t port) : file(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const timeval limit{kPatience.count(), 0};
      ::setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      SWITCHYARD_CHECK(::connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    ~RawConnection() { ::close(file); }
    void send(std::string_view bytes) const { (void)::send(file, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
    std::string read_all() const {
      std::string all;
      std::array<char, 4096> bytes{};
      for (ssize_t got; (got = ::recv(file, bytes.data(), bytes.size(), 0)) > 0;)
        all.append(bytes.data(), static_cast<size_t>(got));
      return all;
    }
    int file;
  };

  Authority authority_{"test authority"};
  Authority::Files own_ = authority_.issue("server");
  std::shared_ptr<net::Refusals> refusals_ = std::make_shared<net::Refusals>();
};

TEST_F(TlsServer, IsTrustedByWhoTrustsItsAuthorityAndSpeaksTls12And13) {
  const auto http = serve();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const std::string answer = get(http->port(), [&](SSL_CTX* context) {
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
      SSL_CTX_load_verify_file(context, authority_.file().c_str());
      SSL_CTX_set_min_proto_version(context, version);
      SSL_CTX_set_max_proto_version(context, version);
    });
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << version << answer;
  }
}

TEST_F(TlsServer, RefusesOldVersionsAndCountsThem) {
  const auto http = serve();
  EXPECT_EQ(get(http->port(),
                [](SSL_CTX* context) {
                  SSL_CTX_set_security_level(context, 0);
                  SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
                  SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
                }),
            "");
  EXPECT_TRUE(comes_true([&] { return count(*refusals_, Refusal::kBadVersion) == 1; }));
}

TEST_F(TlsServer, AClientThatKnowsNoTlsIsToldSo) {
  const auto http = serve();
  const RawConnection connection(http->port());
  connection.send(request_text("GET", "/echo"));
  const std::string answer = connection.read_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400")) << answer;
  EXPECT_NE(answer.find("https://"), std::string::npos) << answer;
  EXPECT_TRUE(comes_true([&] { return count(*refusals_, Refusal::kNotAHandshake) == 1; }));
}

TEST_F(TlsServer, RandomBytesPortScansAndHalvesOfHandshakesAreCountedAndHoldNobodyUp) {
  const auto http = serve("", {.head_timeout = std::chrono::milliseconds(300)});
  std::vector<std::unique_ptr<RawConnection>> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(std::make_unique<RawConnection>(http->port()));
  for (int i = 0; i < 20; ++i) {
    std::string bytes(200, '\0');
    for (char& c : bytes) c = static_cast<char>(rand());
    bytes[0] = 'x';  // no TLS record, so that it is refused at once
    RawConnection(http->port()).send(bytes);
    RawConnection scan(http->port());
  }
  // The first record of a handshake announces 508 bytes, and no more come.
  const RawConnection half(http->port());
  half.send(std::string_view("\x16\x03\x01\x01\xfc\x01\x00\x01\xf8\x03\x03", 11));
  EXPECT_EQ(call(http->port(), "GET", "/echo").status, 200) << "while all of these are open";
  EXPECT_TRUE(comes_true([&] { return count(*refusals_, Refusal::kTimeout) == 201; }));
  EXPECT_TRUE(comes_true(
      [&] { return count(*refusals_, Refusal::kNotAHandshake) + count(*refusals_, Refusal::kTruncated) == 40; }));
  EXPECT_EQ(half.read_all(), "") << "closed";
}

TEST_F(TlsServer, WantsCertificatesOfItsClientsAuthorityWhereOneIsGiven) {
  Authority others("other authority");
  const auto http = serve(authority_.file());
  const auto shows = [&](const Authority::Files& files) {
    return get(http->port(), [&](SSL_CTX* context) {
      SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str());
      SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM);
    });
  };
  EXPECT_TRUE(shows(authority_.issue("client")).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(count(*refusals_, Refusal::kBadProof), 0U);
  EXPECT_EQ(shows(others.issue("stranger")), "");
  EXPECT_TRUE(comes_true([&] { return count(*refusals_, Refusal::kBadProof) == 1; }));
  EXPECT_EQ(get(http->port(), [](SSL_CTX*) {}), "");
  EXPECT_TRUE(comes_true([&] { return count(*refusals_, Refusal::kBadProof) == 2; }));
}

TEST_F(TlsServer, KnowsItselfByItsOwnCertificate) {
  Authority others("other authority");
  const auto http = serve(others.file());
  EXPECT_TRUE(get(http->port(), [&](SSL_CTX* context) {
                SSL_CTX_use_certificate_chain_file(context, own_.certificate.c_str());
                SSL_CTX_use_PrivateKey_file(context, own_.key.c_str(), SSL_FILETYPE_PEM);
              }).starts_with("HTTP/1.1 200"));
}

TEST_F(TlsServer, FilesThatCannotWorkAreNamed) {
  const auto error = [](const TlsFiles& files) {
    const auto tls = Tls::server(files);
    return tls.ok() ? "" : tls.error().message;
  };
  const std::string cert = own_.certificate, key = own_.key;
  const auto other = authority_.issue("other");
  const std::string garbage = authority_.directory() + "/garbage.pem";
  std::ofstream(garbage) << "-----BEGIN CERTIFICATE-----\nAAAA\n";
  ASSERT_EQ(chmod(garbage.c_str(), 0600), 0);
  using std::string;
  const auto names = [&](const string& message, const string& field, const string& file) {
    return message.starts_with(field + ": ") && message.find(file) != string::npos;
  };
  EXPECT_PRED3(names, error({.certificate = "/no/such.pem", .private_key = key}), "ssl_certfile", "/no/such.pem");
  EXPECT_PRED3(names, error({.certificate = cert, .private_key = "/no/such.key"}), "ssl_keyfile", "/no/such.key");
  EXPECT_PRED3(names, error({.certificate = garbage, .private_key = key}), "ssl_certfile", garbage);
  EXPECT_PRED3(names, error({.certificate = cert, .private_key = garbage}), "ssl_keyfile", garbage);
  EXPECT_PRED3(names, error({.certificate = cert, .private_key = other.key}), "ssl_keyfile", other.key);
  EXPECT_NE(error({.certificate = cert, .private_key = other.key}).find("is not the key of"), string::npos);
  EXPECT_PRED3(names, error({.certificate = cert, .private_key = key, .authorities = garbage}), "ssl_ca_certs",
               garbage);
  EXPECT_PRED3(names, error({.certificate = cert, .private_key = authority_.directory()}), "ssl_keyfile", "");
  ASSERT_EQ(chmod(key.c_str(), 0644), 0);
  EXPECT_PRED3(names, error({.certificate = cert, .private_key = key}), "ssl_keyfile", "chmod 600");
  ASSERT_EQ(chmod(key.c_str(), 0640), 0);
  EXPECT_EQ(error({.certificate = cert, .private_key = key}), "");
}

}  // namespace
}  // namespace switchyard::frontend
