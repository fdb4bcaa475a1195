#include "common/net/tls.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace switchyard::net {
namespace {

// Of TLS 1.2, for clients that do not speak 1.3, whose own are all fit.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

// A socket as OpenSSL's own BIO of sockets is, but without SIGPIPE.
int file_of(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto count = ::send(file_of(bio), data, static_cast<size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(count);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto count = ::recv(file_of(bio), data, static_cast<size_t>(size), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_read(bio);
  if (count == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(count);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* socket_method() {
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    SWITCHYARD_CHECK(method != nullptr);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
  }();
  return kMethod;
}

std::string take_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  return tls_failure(code).text;
}

// Where the Tls of a context lies, for verify().
int tls_index() {
  static const int kIndex = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return kIndex;
}

// The part of a stat() that says why a file is of no use; "" = it can be read.
Status check_file(const std::string& key, const std::string& file, bool is_private) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0)
    return Error{Errc::kIo, fmt::format("{}: {}: {}", key, file, std::strerror(errno))};
  // Its group may read a private key: that is how Debian hands them to services (ssl-cert).
  if (is_private && (status.st_mode & 027) != 0) {
    return Error{Errc::kInvalid, fmt::format("{}: {}: mode {:04o} lets others at it; chmod 600 {}", key, file,
                                             status.st_mode & 07777, file)};
  }
  return {};
}

bool is_address(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

TlsFailure tls_failure(unsigned long code) {
  if (code == 0) return {Refusal::kTruncated, "the connection ended"};
  const char* reason = ERR_reason_error_string(code);
  const std::string text = reason == nullptr ? "TLS failed" : reason;
  switch (ERR_GET_REASON(code)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE: return {Refusal::kBadProof, text};
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_VERSION_TOO_LOW: return {Refusal::kBadVersion, text};
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return {Refusal::kTruncated, text};
    default: return {Refusal::kNotAHandshake, text};
  }
}

std::string channel_binding(SSL* ssl) {
  constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  std::string binding(32, '\0');
  const int done =
      SSL_export_keying_material(ssl, reinterpret_cast<unsigned char*>(binding.data()), binding.size(), kLabel.data(),
                                 kLabel.size(), reinterpret_cast<const unsigned char*>(""), 0, 1);
  SWITCHYARD_CHECK(done == 1);
  return binding;
}

Tls::Tls(Check check) : check_(check), context_(SSL_CTX_new(TLS_method())) {
  SSL_CTX* context = context_.get();
  SWITCHYARD_CHECK(context != nullptr && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
                   SSL_CTX_set_cipher_list(context, kCiphers) == 1 && SSL_CTX_set_ex_data(context, tls_index(), this));
  // HTTP says itself where its messages end, and clients close without a word.
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // A connection without traffic gives its buffers back: 34 KB each.
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  constexpr std::string_view kName = "switchyard";
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kName.data()), kName.size());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

Status Tls::load(const TlsFiles& files) {
  SSL_CTX* context = context_.get();
  ERR_clear_error();
  if (!files.certificate.empty()) {
    const std::string& cert = files.certificate;
    const std::string& key = files.private_key;
    SWITCHYARD_TRY(check_file(files.keys[0], cert, false));
    SWITCHYARD_TRY(check_file(files.keys[1], key, true));
    if (SSL_CTX_use_certificate_chain_file(context, cert.c_str()) != 1) {
      return Error{Errc::kInvalid, fmt::format("{}: {}: no certificate in PEM form can be read from it ({})",
                                               files.keys[0], cert, take_error())};
    }
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
      const bool other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
                         ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH;
      const std::string why = take_error();
      return Error{Errc::kInvalid,
                   other ? fmt::format("{}: {} is not the key of the certificate in {}", files.keys[1], key, cert)
                         : fmt::format("{}: {}: no private key in PEM form, without a passphrase, can be read from it "
                                       "({})",
                                       files.keys[1], key, why)};
    }
    if (SSL_CTX_check_private_key(context) != 1) {
      ERR_clear_error();
      return Error{Errc::kInvalid,
                   fmt::format("{}: {} is not the key of the certificate in {}", files.keys[1], key, cert)};
    }
    own_.reset(SSL_CTX_get0_certificate(context));
    X509_up_ref(own_.get());
  }
  if (!files.authorities.empty()) {
    const std::string& file = files.authorities;
    SWITCHYARD_TRY(check_file(files.keys[2], file, false));
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file.c_str());
    if (names == nullptr || SSL_CTX_load_verify_file(context, file.c_str()) != 1) {
      return Error{Errc::kInvalid, fmt::format("{}: {}: no certificates in PEM form can be read from it ({})",
                                               files.keys[2], file, take_error())};
    }
    SSL_CTX_set_client_CA_list(context, names);
  } else {
    SSL_CTX_set_default_verify_paths(context);
  }
  return {};
}

// A peer that shows our own certificate, and so has its key, is ourselves.
int Tls::verify(int good, X509_STORE_CTX* store) {
  if (good == 1) return 1;
  const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* tls = static_cast<const Tls*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_index()));
  X509* shown = X509_STORE_CTX_get0_cert(store);
  if (tls->own_ == nullptr || shown == nullptr || X509_cmp(shown, tls->own_.get()) != 0) return 0;
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

Result<TlsPtr> Tls::server(const TlsFiles& files) {
  const bool asks = !files.authorities.empty();
  std::shared_ptr<Tls> tls(new Tls(asks ? Check::kSigned : Check::kNone));
  SWITCHYARD_TRY(tls->load(files));
  if (asks) SSL_CTX_set_verify(tls->context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify);
  return TlsPtr(std::move(tls));
}

Result<TlsPtr> Tls::client(const TlsFiles& files, bool verifies) {
  std::shared_ptr<Tls> tls(new Tls(verifies ? Check::kSignedAndNamed : Check::kNone));
  SWITCHYARD_TRY(tls->load(files));
  // A certificate that the user trusts need not be an authority's: one that signed itself, or one of a chain.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls->context_.get()), X509_V_FLAG_PARTIAL_CHAIN);
  if (verifies) SSL_CTX_set_verify(tls->context_.get(), SSL_VERIFY_PEER, nullptr);
  return TlsPtr(std::move(tls));
}

Result<TlsPtr> Tls::self(const TlsFiles& files) {
  std::shared_ptr<Tls> tls(new Tls(Check::kSigned));
  TlsFiles own = files;
  own.authorities.clear();
  SWITCHYARD_TRY(tls->load(own));
  // Trusts what the callback knows, and no authority of the system's.
  SSL_CTX_set_cert_store(tls->context_.get(), X509_STORE_new());
  SSL_CTX_set_verify(tls->context_.get(), SSL_VERIFY_PEER, verify);
  return TlsPtr(std::move(tls));
}

Result<TlsPtr> Tls::mutual(const TlsFiles& files) {
  std::shared_ptr<Tls> tls(new Tls(Check::kSigned));
  SWITCHYARD_TRY(tls->load(files));
  SSL_CTX* context = tls->context_.get();
  // Both ends are ours. Ranks exchange gigabytes: the faster of the two AES ciphers first.
  SWITCHYARD_CHECK(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_ciphersuites(context,
                                            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                            "TLS_CHACHA20_POLY1305_SHA256") == 1);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // A certificate serves both ends, whichever of the two uses it was issued for.
  X509_VERIFY_PARAM_set_purpose(SSL_CTX_get0_param(context), X509_PURPOSE_ANY);
  // Connections last: nobody comes back with a ticket, and a server's first bytes are an answer to a frame.
  SSL_CTX_set_num_tickets(context, 0);
  return TlsPtr(std::move(tls));
}

Result<TlsPtr> internal_tls(const std::string& cert_file, const std::string& key_file, const std::string& ca_file) {
  if (cert_file.empty()) return TlsPtr();
  return Tls::mutual({cert_file, key_file, ca_file, {"tls.cert_file", "tls.key_file", "tls.ca_file"}});
}

SSL* Tls::accept() const {
  SSL* ssl = SSL_new(context_.get());
  SWITCHYARD_CHECK(ssl != nullptr);
  SSL_set_accept_state(ssl);
  return ssl;
}

SSL* Tls::connect(const std::string& host) const {
  SSL* ssl = SSL_new(context_.get());
  SWITCHYARD_CHECK(ssl != nullptr);
  SSL_set_connect_state(ssl);
  const bool address = is_address(host);
  if (!address && !host.empty()) SSL_set_tlsext_host_name(ssl, host.c_str());
  if (check_ == Check::kSignedAndNamed) {
    if (address)
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
    else
      SSL_set1_host(ssl, host.c_str());
  }
  return ssl;
}

TlsSession::TlsSession(SSL* ssl, int file) : ssl_(ssl) {
  BIO* bio = BIO_new(socket_method());
  SWITCHYARD_CHECK(bio != nullptr);
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(file)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
}

TlsSession::Step TlsSession::step_of(int done, size_t count) {
  if (done > 0) return {Moved::kSome, count};
  switch (SSL_get_error(ssl_.get(), done)) {
    case SSL_ERROR_WANT_READ: return {Moved::kWantsRead};
    case SSL_ERROR_WANT_WRITE: return {Moved::kWantsWrite};
    case SSL_ERROR_ZERO_RETURN:
      if (established()) return {Moved::kEnded};
      break;
    default: break;
  }
  failed_ = true;
  failure_ = ERR_peek_error();
  ERR_clear_error();
  return {Moved::kFailed};
}

TlsSession::Step TlsSession::read(void* to, size_t size) {
  ERR_clear_error();
  size_t count = 0;
  const int done = SSL_read_ex(ssl_.get(), to, size, &count);
  return step_of(done, count);
}

TlsSession::Step TlsSession::write(const void* from, size_t size) {
  ERR_clear_error();
  size_t count = 0;
  const int done = SSL_write_ex(ssl_.get(), from, size, &count);
  return step_of(done, count);
}

TlsSession::Step TlsSession::shake_hands() {
  ERR_clear_error();
  return step_of(SSL_do_handshake(ssl_.get()), 0);
}

void TlsSession::end() {
  if (failed_ || !established()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

}  // namespace switchyard::net
