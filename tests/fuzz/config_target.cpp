// A cluster's YAML: refused with its lines named, or read; and what is read can be written and read again.
//
// Input: the file.
#include "common/config/cluster_config.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace switchyard;
  static const fuzz::ScratchDirectory directory;
  const auto config = config::load(directory.write("cluster.yaml", fuzz::Input(data, size).rest()));
  if (!config.ok()) {
    SWITCHYARD_CHECK(config.error().message.find("cluster.yaml") != std::string::npos);
    return 0;
  }
  const std::string written = config::to_yaml(*config);
  const auto again = config::load(directory.write("again.yaml", written));
  SWITCHYARD_CHECK(again.ok());
  SWITCHYARD_CHECK(config::to_yaml(*again) == written);
  return 0;
}
