// Certificates made for a test: an authority, and what it signs, as PEM files in a directory that goes with it.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <string>

namespace switchyard {

class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  struct Files {
    std::string certificate, key;
  };
  // A certificate for localhost and 127.0.0.1, and its key (mode 0600).
  Files issue(const std::string& name);
  const std::string& file() const { return file_; }  // the authority's own certificate
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
  std::string file_;
  EVP_PKEY* key_;
  X509* certificate_;
  long serial_ = 1;
};

}  // namespace switchyard
