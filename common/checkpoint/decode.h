// Bytes on disk to float32, exactly: every type here is a subset of float32.
//
// Thread: any. Plain loops over contiguous elements, compiled so that they vectorise (>= 1 GB/s of disk bytes a
// thread).
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/checkpoint/safetensors.h"

namespace switchyard::checkpoint {

// count elements at src (no alignment needed) into out.
using DecodeRow = void (*)(const uint8_t* src, size_t count, float* out);

void decode_bf16(const uint8_t* src, size_t count, float* out);
void decode_f16(const uint8_t* src, size_t count, float* out);
void decode_f32(const uint8_t* src, size_t count, float* out);
// float8_e4m3fn: bias 7, no infinities, 0x7f and 0xff are NaN.
void decode_f8_e4m3(const uint8_t* src, size_t count, float* out);
// Null for types that are not decoded by themselves.
DecodeRow row_decoder(DataType type);

// FP8 with one factor for all: out = value * scale.
void decode_f8_scaled(const uint8_t* src, size_t count, float scale, float* out);
// MXFP4 (OCP Microscaling 1.0): count elements (a multiple of 32), two a byte, low nibble first; one scale of 2^(byte -
// 127) per 32 elements.
void decode_mxfp4(const uint8_t* blocks, const uint8_t* scales, size_t count, float* out);

}  // namespace switchyard::checkpoint
