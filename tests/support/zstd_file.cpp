#include "tests/support/zstd_file.h"

#include <zstd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

namespace switchyard::testing {

std::string read_zstd_file(const std::string& path) {
  constexpr size_t kBytesMax = 256 << 20;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot open");
  const std::string packed((std::istreambuf_iterator<char>(file)), {});
  ZSTD_DCtx* context = ZSTD_createDCtx();
  std::string out;
  std::vector<char> piece(ZSTD_DStreamOutSize());
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  size_t left = 1;
  while (left != 0 && !ZSTD_isError(left) && out.size() < kBytesMax) {
    ZSTD_outBuffer to{piece.data(), piece.size(), 0};
    left = ZSTD_decompressStream(context, &to, &in);
    out.append(piece.data(), to.pos);
    if (to.pos == 0 && in.pos == in.size) break;
  }
  ZSTD_freeDCtx(context);
  if (left != 0) throw std::runtime_error(path + ": not a whole zstd file");
  return out;
}

}  // namespace switchyard::testing
