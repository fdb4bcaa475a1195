#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

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

Result<std::string> load_secret(const std::string& file) {
  // Checked on the open file, so that nobody can put another one in its place in between.
  const Descriptor in{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status {};
  if (in.fd < 0 || ::fstat(in.fd, &status) != 0) {
    return Error{Errc::kIo, fmt::format("secret file {}: {}", file, std::strerror(errno))};
  }
  if (!S_ISREG(status.st_mode)) return Error{Errc::kInvalid, fmt::format("secret file {}: not a regular file", file)};
  if ((status.st_mode & 077) != 0) {
    return Error{Errc::kInvalid, fmt::format("secret file {}: mode {:04o} lets others at it; chmod 600 {}", file,
                                             status.st_mode & 07777, file)};
  }
  std::string text(kSecretBytesMax + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(in.fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error{Errc::kIo, fmt::format("secret file {}: {}", file, std::strerror(errno))};
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > kSecretBytesMax) {
    return Error{Errc::kInvalid, fmt::format("secret file {}: more than {} bytes", file, kSecretBytesMax)};
  }
  text.resize(size);
  const auto last = text.find_last_not_of(" \t\r\n");
  text.resize(last == std::string::npos ? 0 : last + 1);
  if (text.empty()) return Error{Errc::kInvalid, fmt::format("secret file {}: empty", file)};
  return text;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace switchyard::net
