#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/net/net.h"

namespace switchyard::net {
namespace {

constexpr size_t kSecretBytesMax = 4096;

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

std::string make_secret() {
  std::array<unsigned char, 32> bytes{};
  SWITCHYARD_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  std::string out;
  for (const unsigned byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

Result<std::string> read_private_file(const std::string& what, const std::string& file, size_t bytes_max) {
  const auto failure = [&](Errc code, const std::string& why) {
    return Error{code, fmt::format("{} {}: {}", what, file, why)};
  };
  // Checked on the open file, so that nobody can put another one in its place in between.
  const Descriptor in{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status {};
  if (in.fd < 0 || ::fstat(in.fd, &status) != 0) return failure(Errc::kIo, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return failure(Errc::kInvalid, "not a regular file");
  if ((status.st_mode & 077) != 0) {
    return failure(Errc::kInvalid,
                   fmt::format("mode {:04o} lets others at it; chmod 600 {}", status.st_mode & 07777, file));
  }
  std::string text(std::min<size_t>(static_cast<size_t>(status.st_size), bytes_max) + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(in.fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(Errc::kIo, std::strerror(errno));
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > bytes_max) return failure(Errc::kInvalid, fmt::format("more than {} bytes", bytes_max));
  text.resize(size);
  return text;
}

Result<std::string> load_secret(const std::string& file) {
  SWITCHYARD_ASSIGN(std::string text, read_private_file("secret file", file, kSecretBytesMax));
  const auto last = text.find_last_not_of(" \t\r\n");
  text.resize(last == std::string::npos ? 0 : last + 1);
  if (text.empty()) return Error{Errc::kInvalid, fmt::format("secret file {}: empty", file)};
  return text;
}

std::string digest_of(std::string_view text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace switchyard::net
