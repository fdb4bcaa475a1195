// TLS for any port, HTTP's or internal: certificates read once (Tls), and connections over them (TlsSession here,
// MaybeTlsStream in maybe_tls_stream.h for Asio's operations).
//
// From TLS 1.2 on, with forward secrecy and authenticated encryption; without compression and renegotiation.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/net/refusals.h"

namespace switchyard::net {

// PEM files; "" = none.
struct TlsFiles {
  std::string certificate = {};  // the own one first, then those that signed it
  std::string private_key = {};
  std::string authorities = {};  // who signs the peers' certificates
  // What errors call them: the configuration's keys.
  std::array<const char*, 3> keys = {"ssl_certfile", "ssl_keyfile", "ssl_ca_certs"};
};

// What a TLS connection is made with. Thread: any, once made.
class Tls {
 public:
  // A port for clients: certificate and key; with authorities, clients must show a certificate signed by one.
  static Result<std::shared_ptr<const Tls>> server(const TlsFiles& files);
  // A client of such a port. Without authorities, the system's are trusted. verify: the server's certificate and name
  // are checked.
  static Result<std::shared_ptr<const Tls>> client(const TlsFiles& files, bool verify);
  // A client that trusts one certificate, the first of a file, whatever it says of names and times, and shows it itself
  // with its key: for a process that talks to itself.
  static Result<std::shared_ptr<const Tls>> self(const TlsFiles& files);
  // Both ends of internal connections: TLS 1.3, and each shows a certificate signed by an authority of the file. Names
  // are not looked at: that the peer knows the cluster's secret on this very connection says more (handshake.h).
  static Result<std::shared_ptr<const Tls>> mutual(const TlsFiles& files);

  // A connection's state; freed by the caller. host: whose certificate is expected, an address or a name.
  SSL* accept() const;
  SSL* connect(const std::string& host) const;

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  struct FreeCertificate {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  enum class Check { kNone, kSigned, kSignedAndNamed };

  explicit Tls(Check check);
  Status load(const TlsFiles& files);
  static int verify(int good, X509_STORE_CTX* store);

  const Check check_;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
  std::unique_ptr<X509, FreeCertificate> own_;
};

using TlsPtr = std::shared_ptr<const Tls>;

// mutual() of the configuration's section tls; null where it names no files.
Result<TlsPtr> internal_tls(const std::string& cert_file, const std::string& key_file, const std::string& ca_file);

// What this connection alone has: both ends compute the same 32 bytes, and nobody in between can make two connections
// have the same (RFC 9266, tls-exporter). For after the handshake.
std::string channel_binding(SSL* ssl);

// Why an operation failed, by OpenSSL's code for it (0: the connection ended).
struct TlsFailure {
  Refusal refusal;
  std::string text;
};
TlsFailure tls_failure(unsigned long code);

// One connection over a file that never blocks. The handshake is made by the first reads and writes. SIGPIPE is not
// raised. The file must stay open as long as it.
//
// Thread: one at a time.
class TlsSession {
 public:
  enum class Moved { kSome, kWantsRead, kWantsWrite, kEnded, kFailed };
  struct Step {
    Moved moved;
    size_t count = 0;
  };

  // Takes the SSL of Tls::accept() or connect().
  TlsSession(SSL* ssl, int file);

  // Into a buffer of at least 16 KiB (a record), so that nothing that has come is left in here.
  Step read(void* to, size_t size);
  Step write(const void* from, size_t size);
  Step shake_hands();
  bool established() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  // Tells the peer that nothing more will be sent.
  void end();
  // After kFailed.
  TlsFailure failure() const { return tls_failure(failure_); }
  // The first bytes were those of an HTTP request: a client that does not know of TLS.
  bool met_plain_http() const { return ERR_GET_REASON(failure_) == SSL_R_HTTP_REQUEST; }
  SSL* ssl() const { return ssl_.get(); }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  Step step_of(int done, size_t count);

  std::unique_ptr<SSL, Free> ssl_;
  bool failed_ = false;
  unsigned long failure_ = 0;  // OpenSSL's code
};

}  // namespace switchyard::net
