#include "common/checkpoint/architectures/architectures.h"

namespace switchyard::checkpoint {
namespace {

constexpr const Architecture* kArchitectures[] = {
    &kDeepseekV2, &kDeepseekV3, &kGlm4Moe, &kGptOss, &kLlama, &kMixtral, &kQwen2, &kQwen2Moe, &kQwen3, &kQwen3Moe,
};

}  // namespace

std::span<const Architecture* const> architectures() { return kArchitectures; }

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture* architecture : kArchitectures) {
    if (architecture->name == name) return architecture;
  }
  return nullptr;
}

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Architecture* architecture : kArchitectures) names.emplace_back(architecture->name);
  return names;
}

}  // namespace switchyard::checkpoint
