#include "launch/verify.h"

#include <cstdio>

#include "common/base/machine.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/checksums.h"

namespace switchyard::launch {

Status run_verify(const VerifyOptions& options) {
  const size_t threads = machine_cores().size();
  // What cannot be a model is not worth hashing.
  SWITCHYARD_ASSIGN(const auto checkpoint, checkpoint::Checkpoint::open(options.model));
  if (options.write) {
    SWITCHYARD_TRY(checkpoint::write_checksums(options.model, threads));
    std::printf("%s/SHA256SUMS: written\n", options.model.c_str());
    return {};
  }
  return checkpoint::verify_checksums(options.model, threads, [](const checkpoint::CheckedFile& file) {
    std::printf("%s: %s\n", file.given.file.c_str(),
                file.problem.empty() ? "OK" : (file.given.sha256.empty() ? "NO CHECKSUM" : "FAILED"));
    std::fflush(stdout);
  });
}

}  // namespace switchyard::launch
