#include "common/checkpoint/decode.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace switchyard::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and so are the loads below");

template <typename T>
T load(const uint8_t* src) {
  T value;
  std::memcpy(&value, src, sizeof(T));
  return value;
}

std::array<float, 256> make_f8_table() {
  std::array<float, 256> table{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = (code >> 3) & 15, mantissa = code & 7;
    float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    if ((code & 127) == 127) value = std::numeric_limits<float>::quiet_NaN();
    table[static_cast<size_t>(code)] = (code & 128) != 0 ? -value : value;
  }
  return table;
}
const std::array<float, 256> kF8 = make_f8_table();

constexpr float kE2M1[16] = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                             -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};

}  // namespace

void decode_bf16(const uint8_t* src, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    out[i] = std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(src + 2 * i)) << 16);
  }
}

void decode_f16(const uint8_t* src, size_t count, float* out) {
  // The exponent is moved by a product, which is right for subnormals too; infinities and NaNs get the exponent of
  // theirs.
  const float rebias = std::bit_cast<float>(uint32_t{(127 + 112) << 23});
  for (size_t i = 0; i < count; ++i) {
    const uint32_t half = load<uint16_t>(src + 2 * i);
    const uint32_t magnitude = (half & 0x7fffU) << 13;
    uint32_t bits = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * rebias);
    bits |= magnitude >= 0x0f800000U ? 0x7f800000U : 0U;
    out[i] = std::bit_cast<float>(bits | (half & 0x8000U) << 16);
  }
}

void decode_f32(const uint8_t* src, size_t count, float* out) {
  if (count > 0) std::memcpy(out, src, count * sizeof(float));
}

void decode_f8_e4m3(const uint8_t* src, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = kF8[src[i]];
}

DecodeRow row_decoder(DataType type) {
  switch (type) {
    case DataType::kBF16: return decode_bf16;
    case DataType::kF16: return decode_f16;
    case DataType::kF32: return decode_f32;
    default: return nullptr;
  }
}

void decode_f8_scaled(const uint8_t* src, size_t count, float scale, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = kF8[src[i]] * scale;
}

void decode_mxfp4(const uint8_t* blocks, const uint8_t* scales, size_t count, float* out) {
  SWITCHYARD_CHECK(count % 32 == 0);
  for (size_t block = 0; block < count / 32; ++block) {
    const float scale = std::ldexp(1.0F, scales[block] - 127);
    float scaled[16];
    for (int code = 0; code < 16; ++code) scaled[code] = kE2M1[code] * scale;
    const uint8_t* src = blocks + 16 * block;
    float* dst = out + 32 * block;
    for (int i = 0; i < 16; ++i) {
      dst[2 * i] = scaled[src[i] & 15];
      dst[2 * i + 1] = scaled[src[i] >> 4];
    }
  }
}

}  // namespace switchyard::checkpoint
