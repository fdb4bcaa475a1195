#include "tests/support/certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

#include "common/base/result.h"

namespace switchyard {
namespace {

EVP_PKEY* new_key() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  SWITCHYARD_CHECK(key != nullptr);
  return key;
}

void add(X509* certificate, X509* issuer, int extension, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, extension, value);
  SWITCHYARD_CHECK(made != nullptr && X509_add_ext(certificate, made, -1) == 1);
  X509_EXTENSION_free(made);
}

X509* certificate_of(const std::string& name, EVP_PKEY* key, long serial) {
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

void write(const std::string& file, X509* certificate) {
  FILE* out = std::fopen(file.c_str(), "w");
  SWITCHYARD_CHECK(out != nullptr && PEM_write_X509(out, certificate) == 1 && std::fclose(out) == 0);
}

}  // namespace

Authority::Authority(const std::string& name) : key_(new_key()), certificate_(certificate_of(name, key_, 1)) {
  directory_ = (std::filesystem::temp_directory_path() / "switchyard-certificates-XXXXXX").string();
  SWITCHYARD_CHECK(mkdtemp(directory_.data()) != nullptr);
  X509_set_issuer_name(certificate_, X509_get_subject_name(certificate_));
  add(certificate_, certificate_, NID_basic_constraints, "critical,CA:TRUE");
  add(certificate_, certificate_, NID_key_usage, "critical,keyCertSign,cRLSign");
  add(certificate_, certificate_, NID_subject_key_identifier, "hash");
  SWITCHYARD_CHECK(X509_sign(certificate_, key_, EVP_sha256()) > 0);
  file_ = directory_ + "/authority.pem";
  write(file_, certificate_);
}

Authority::~Authority() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Authority::Files Authority::issue(const std::string& name) {
  EVP_PKEY* key = new_key();
  X509* certificate = certificate_of(name, key, ++serial_);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate_));
  add(certificate, certificate_, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  add(certificate, certificate_, NID_authority_key_identifier, "keyid");
  SWITCHYARD_CHECK(X509_sign(certificate, key_, EVP_sha256()) > 0);
  const Files files{directory_ + "/" + name + ".pem", directory_ + "/" + name + ".key"};
  write(files.certificate, certificate);
  FILE* out = std::fopen(files.key.c_str(), "w");
  SWITCHYARD_CHECK(out != nullptr && chmod(files.key.c_str(), 0600) == 0 &&
                   PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr) == 1 && std::fclose(out) == 0);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

}  // namespace switchyard
