#include "common/checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "common/checkpoint/architectures/architectures.h"
#include "common/checkpoint/config_reader.h"
#include "common/checkpoint/fingerprint.h"
#include "common/checkpoint/tensor_source.h"

namespace switchyard::checkpoint {
namespace {

struct Config {
  ModelSpec spec;
  Quantization quantization;
  const Architecture* architecture = nullptr;
};

Quantization read_quantization(const ConfigReader& config, const Architecture& architecture) {
  Quantization quantization;
  const auto section = config.section("quantization_config");
  if (!section) return quantization;
  const std::string method = section->choice_or("quant_method", "", {"fp8", "mxfp4"});
  if (method == "mxfp4") {
    if (&architecture != &kGptOss)
      section->problem("quant_method", fmt::format("mxfp4 is not supported with {}", architecture.name));
    quantization.kind = Quantization::Kind::kMxfp4;
  } else if (method == "fp8") {
    section->choice_or("fmt", "e4m3", {"e4m3"});
    const auto sides = section->counts("weight_block_size");
    if (sides.size() != 2 || sides[0] == 0 || sides[1] == 0 || std::max(sides[0], sides[1]) > 1U << 20) {
      section->problem("weight_block_size", "must be two integers above 0, as in [128, 128]");
    } else {
      quantization = {Quantization::Kind::kFp8Blocks, sides[0], sides[1]};
    }
  }
  return quantization;
}

void read_tokens(const ConfigReader& config, bool first, ModelSpec& spec) {
  for (int32_t id : config.token_ids("eos_token_id")) {
    auto& ids = spec.eos_token_ids;
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  const auto bos = config.token_ids("bos_token_id");
  if (!bos.empty() && (first || spec.bos_token_id < 0)) spec.bos_token_id = bos.front();
}

// Nothing when the architecture is unknown; else as much as could be read, with the rest in problems.
Config read_config(const std::string& directory, Problems& problems) {
  Config out;
  std::error_code ec;
  if (!std::filesystem::is_directory(directory, ec)) {
    problems.add(Errc::kNotFound, fmt::format("{}: no such directory", directory));
    return out;
  }
  const auto config = ConfigReader::open(directory + "/config.json", problems);
  if (!config) return out;
  const auto names = config->texts("architectures");
  for (const std::string& name : names) {
    if (out.architecture == nullptr) out.architecture = find_architecture(name);
  }
  if (out.architecture == nullptr) {
    config->problem("architectures", fmt::format("{} is not supported; supported: {}",
                                                 names.empty() ? std::string("a model without a name")
                                                               : fmt::format("{}", fmt::join(names, ", ")),
                                                 fmt::join(supported_architectures(), ", ")));
    return out;
  }
  ModelSpec& spec = out.spec;
  spec.architecture = out.architecture->name;
  spec.model_type = config->text_or("model_type", "");
  spec.file_dtype = config->text_or({"dtype", "torch_dtype"}, "");
  out.architecture->read_spec(*config, spec);
  out.quantization = read_quantization(*config, *out.architecture);
  if (std::none_of(spec.layers.begin(), spec.layers.end(), [](const LayerSpec& layer) { return layer.experts; })) {
    spec.expert_count = spec.expert_width = spec.shared_width = 0;
    spec.shared_gate = spec.correction_bias = false;
    spec.router = {};
  }
  read_tokens(*config, true, spec);
  const std::string generation = directory + "/generation_config.json";
  if (std::filesystem::exists(generation, ec)) {
    if (const auto more = ConfigReader::open(generation, problems)) read_tokens(*more, false, spec);
  }
  // Ids outside of the vocabulary can never come; small models inherit them from a large one's config.
  const auto outside = [&](int32_t id) { return spec.vocab_size != 0 && static_cast<uint32_t>(id) >= spec.vocab_size; };
  std::erase_if(spec.eos_token_ids, outside);
  if (spec.bos_token_id >= 0 && outside(spec.bos_token_id)) spec.bos_token_id = -1;
  return out;
}

}  // namespace

struct Checkpoint::Files {
  ModelSpec spec;
  ModelTensors tensors;
  uint64_t disk_bytes = 0;
  std::vector<std::shared_ptr<const MappedFile>> mapped;
  std::string fingerprint;
};

Result<ModelSpec> Checkpoint::read_spec(const std::string& directory) {
  Problems problems;
  Config config = read_config(directory, problems);
  if (!problems.empty()) return problems.to_error(directory);
  return std::move(config.spec);
}

Result<Checkpoint> Checkpoint::open(const std::string& directory) {
  Problems problems;
  Config config = read_config(directory, problems);
  if (config.architecture == nullptr) return problems.to_error(directory);
  const bool config_sound = problems.empty();
  const TensorFiles tensor_files = TensorFiles::open(directory, problems);
  auto files = std::make_shared<Files>();
  // Without a sound config every shape would be wrong, and without a header every tensor missing.
  if (config_sound && !tensor_files.tensors().empty()) {
    TensorSource source(tensor_files, config.quantization, problems);
    config.architecture->resolve(config.spec, source, files->tensors);
    source.report_extras(config.spec.layers.size(), config.spec.prediction_layer_count);
  } else if (problems.empty()) {
    problems.add(fmt::format("{}: has no tensors", tensor_files.path()));
  }
  if (!problems.empty()) return problems.to_error(directory);
  files->spec = std::move(config.spec);
  files->disk_bytes = tensor_files.disk_bytes();
  for (const TensorEntry& tensor : tensor_files.tensors()) {
    if (tensor.file && std::find(files->mapped.begin(), files->mapped.end(), tensor.file) == files->mapped.end())
      files->mapped.push_back(tensor.file);
  }
  SWITCHYARD_ASSIGN(files->fingerprint, fingerprint_of(directory, files->mapped));
  Checkpoint checkpoint;
  checkpoint.files_ = std::move(files);
  return checkpoint;
}

const ModelSpec& Checkpoint::spec() const { return files_->spec; }
const ModelTensors& Checkpoint::tensors() const { return files_->tensors; }
uint64_t Checkpoint::disk_bytes() const { return files_->disk_bytes; }
const std::string& Checkpoint::fingerprint() const { return files_->fingerprint; }

Status Checkpoint::check_unchanged() const {
  for (const auto& file : files_->mapped) SWITCHYARD_TRY(file->check_unchanged());
  return {};
}

}  // namespace switchyard::checkpoint
