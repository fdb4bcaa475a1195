#include "common/checkpoint/tensor_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/checkpoint/views.h"

namespace switchyard::checkpoint {
namespace {

constexpr std::initializer_list<DataType> kFloats = {DataType::kBF16, DataType::kF16, DataType::kF32};
constexpr std::initializer_list<DataType> kLinears = {DataType::kBF16, DataType::kF16, DataType::kF32,
                                                      DataType::kF8E4M3};

std::string type_list(std::initializer_list<DataType> types) {
  std::string text;
  for (const DataType* type = types.begin(); type != types.end(); ++type) {
    if (type != types.begin()) text += type + 1 == types.end() ? " or " : ", ";
    text += to_string(*type);
  }
  return text;
}

// N of "model.layers.N.", or -1.
int64_t layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!name.starts_with(kPrefix)) return -1;
  int64_t layer = -1;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return error == std::errc() && end != name.data() + name.size() && *end == '.' ? layer : -1;
}

}  // namespace

TensorSource::TensorSource(const TensorFiles& files, const Quantization& quantization, Problems& problems)
    : files_(files), quantization_(quantization), problems_(problems), used_(files.tensors().size()) {}

const TensorEntry* TensorSource::require(const std::string& name, const std::vector<uint64_t>& shape,
                                         std::initializer_list<DataType> types) {
  const auto at = files_.find(name);
  if (!at) {
    problems_.add(fmt::format("{}: tensor {} is missing; expected {} of shape {}", files_.path(), name,
                              type_list(types), shape_text(shape)));
    return nullptr;
  }
  used_[*at] = true;
  const TensorEntry& tensor = files_.tensors()[*at];
  if (tensor.damaged) return nullptr;
  const bool type_fits = std::find(types.begin(), types.end(), tensor.type) != types.end();
  if (!type_fits || tensor.shape != shape) {
    problems_.add(fmt::format("{}: is {} {}; expected {} of shape {}", place(tensor), tensor.type_name,
                              shape_text(tensor.shape), type_list(types), shape_text(shape)));
    return nullptr;
  }
  return &tensor;
}

TensorView TensorSource::vector(const std::string& name, uint32_t count) {
  const TensorEntry* tensor = require(name, {count}, kFloats);
  return tensor != nullptr ? rows_view(*tensor, 1, count, 0, count) : TensorView{};
}

TensorView TensorSource::matrix(const std::string& name, uint32_t rows, uint32_t columns) {
  const TensorEntry* tensor = require(name, {rows, columns}, kFloats);
  return tensor != nullptr ? rows_view(*tensor, rows, columns, 0, columns) : TensorView{};
}

TensorView TensorSource::linear(const std::string& name, uint32_t rows, uint32_t columns) {
  if (quantization_.kind != Quantization::Kind::kFp8Blocks) return matrix(name, rows, columns);
  const TensorEntry* tensor = require(name, {rows, columns}, kLinears);
  if (tensor == nullptr) {
    ignore(name + "_scale_inv");  // its shape hangs on a weight that has been reported
    return {};
  }
  if (tensor->type != DataType::kF8E4M3) return rows_view(*tensor, rows, columns, 0, columns);
  const uint32_t block_rows = quantization_.block_rows, block_columns = quantization_.block_columns;
  const TensorEntry* scales =
      require(name + "_scale_inv",
              {(rows + block_rows - 1) / block_rows, (columns + block_columns - 1) / block_columns}, kFloats);
  if (scales == nullptr) return {};
  return f8_block_view(*tensor, *scales, rows, columns, block_rows, block_columns);
}

void TensorSource::ignore(const std::string& name) {
  if (const auto at = files_.find(name)) used_[*at] = true;
}

void TensorSource::report_extras(size_t layer_count, size_t prediction_layer_count) {
  for (size_t i = 0; i < used_.size(); ++i) {
    const TensorEntry& tensor = files_.tensors()[i];
    if (used_[i] || tensor.damaged) continue;
    const int64_t layer = layer_of(tensor.name);
    if (layer >= static_cast<int64_t>(layer_count) &&
        layer < static_cast<int64_t>(layer_count + prediction_layer_count)) {
      continue;
    }
    if (tensor.name.ends_with("rotary_emb.inv_freq")) continue;
    problems_.add(
        fmt::format("{}: {} {} is not part of this model", place(tensor), tensor.type_name, shape_text(tensor.shape)));
  }
}

}  // namespace switchyard::checkpoint
