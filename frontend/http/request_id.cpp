#include "frontend/http/request_id.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>

#include "common/base/result.h"

namespace switchyard::frontend {
namespace {

constexpr size_t kBytesMax = 128;

}  // namespace

std::string random_id() {
  unsigned char bytes[16];
  SWITCHYARD_CHECK(RAND_bytes(bytes, sizeof bytes) == 1);
  std::string id;
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

std::string request_id_of(std::string sent) {
  const bool fit = !sent.empty() && sent.size() <= kBytesMax &&
                   std::all_of(sent.begin(), sent.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  return fit ? sent : random_id();
}

}  // namespace switchyard::frontend
