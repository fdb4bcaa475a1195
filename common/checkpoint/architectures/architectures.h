// The list of architectures that can be read. A new one: its file here, its declaration below, its entry in
// architectures.cpp.
//
// An architecture turns config.json into a ModelSpec, and a ModelSpec into the tensors that the model needs. Problems
// go to the reader's and the source's list; nothing is returned.
#pragma once

#include <span>
#include <string_view>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/config_reader.h"
#include "common/checkpoint/tensor_source.h"

namespace switchyard::checkpoint {

struct Architecture {
  const char* name;  // as in config.json's "architectures"
  void (*read_spec)(const ConfigReader& config, ModelSpec& spec);
  // Called with a spec without problems only.
  void (*resolve)(const ModelSpec& spec, TensorSource& source, ModelTensors& tensors);
};

std::span<const Architecture* const> architectures();
// Null when there is none of that name.
const Architecture* find_architecture(std::string_view name);

extern const Architecture kDeepseekV2;
extern const Architecture kDeepseekV3;
extern const Architecture kGlm4Moe;
extern const Architecture kGptOss;
extern const Architecture kLlama;
extern const Architecture kMixtral;
extern const Architecture kQwen2;
extern const Architecture kQwen2Moe;
extern const Architecture kQwen3;
extern const Architecture kQwen3Moe;

}  // namespace switchyard::checkpoint
