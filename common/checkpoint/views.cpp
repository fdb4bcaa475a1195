#include "common/checkpoint/views.h"

#include <algorithm>
#include <vector>

#include "common/checkpoint/decode.h"

namespace switchyard::checkpoint {
namespace {

// Below this, page faults cost less than the calls that avoid them.
constexpr uint64_t kAdviseBytesMin = 128 << 10;

// Bytes [begin, end) of a file while they are decoded.
class Span {
 public:
  Span(const MappedFile& file, const uint8_t* begin, const uint8_t* end, bool prefetch = true, bool release = true)
      : file_(file), begin_(begin), end_(end), release_(release) {
    if (prefetch && large()) file_.prefetch(begin_, end_);
  }
  ~Span() {
    if (release_ && large()) file_.release(begin_, end_);
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  bool large() const { return static_cast<uint64_t>(end_ - begin_) >= kAdviseBytesMin; }
  const MappedFile& file_;
  const uint8_t* begin_;
  const uint8_t* end_;
  bool release_;
};

TensorView view_of(const TensorEntry& tensor, uint32_t rows, uint32_t columns) {
  TensorView view;
  view.name = tensor.name;
  view.rows = rows;
  view.columns = columns;
  view.disk_bytes = uint64_t{rows} * columns * element_bytes(tensor.type);
  return view;
}

void check_range(uint32_t begin, uint32_t end, uint32_t rows) { SWITCHYARD_CHECK(begin <= end && end <= rows); }

}  // namespace

TensorView rows_view(const TensorEntry& tensor, uint32_t rows, uint32_t columns, uint64_t first, uint64_t row_stride) {
  const DecodeRow decode = row_decoder(tensor.type);
  SWITCHYARD_CHECK(decode != nullptr);
  const uint64_t element = element_bytes(tensor.type);
  const uint8_t* base = tensor.data() + first * element;
  TensorView view = view_of(tensor, rows, columns);
  view.read = [file = tensor.file, base, decode, rows, columns, step = row_stride * element, element,
               dense = row_stride == columns](uint32_t begin, uint32_t end, float* out) {
    check_range(begin, end, rows);
    if (begin == end) return;
    const uint8_t* src = base + begin * step;
    const Span span(*file, src, base + (end - 1) * step + columns * element);
    if (dense) {
      decode(src, size_t{end - begin} * columns, out);
    } else {
      for (uint32_t r = begin; r < end; ++r, src += step, out += columns) decode(src, columns, out);
    }
  };
  return view;
}

TensorView strided_vector_view(const TensorEntry& tensor, uint32_t count, uint64_t first, uint64_t stride) {
  const DecodeRow decode = row_decoder(tensor.type);
  SWITCHYARD_CHECK(decode != nullptr);
  const uint64_t element = element_bytes(tensor.type);
  const uint8_t* base = tensor.data() + first * element;
  TensorView view = view_of(tensor, 1, count);
  view.read = [file = tensor.file, base, decode, count, step = stride * element](uint32_t begin, uint32_t end,
                                                                                 float* out) {
    check_range(begin, end, 1);
    if (begin == end) return;
    for (uint32_t i = 0; i < count; ++i) decode(base + i * step, 1, out + i);
  };
  return view;
}

TensorView transposed_view(const TensorEntry& tensor, uint32_t rows, uint32_t columns, uint64_t first,
                           uint64_t row_stride, uint64_t column_stride) {
  const DecodeRow decode = row_decoder(tensor.type);
  SWITCHYARD_CHECK(decode != nullptr);
  const uint64_t element = element_bytes(tensor.type);
  const uint8_t* base = tensor.data() + first * element;
  TensorView view = view_of(tensor, rows, columns);
  view.read = [file = tensor.file, base, decode, rows, columns, row_stride, column_step = column_stride * element,
               element](uint32_t begin, uint32_t end, float* out) {
    check_range(begin, end, rows);
    if (begin == end || columns == 0) return;
    // A tile of columns on disk (rows of the view contiguous) is decoded, then turned over in L2: 128 columns x 64 rows
    // x 2 x 4 bytes, and a stride between columns that is no power of two, so that they do not share cache sets.
    constexpr uint32_t kTileColumns = 128, kTileRows = 64;
    const size_t tile_stride = kTileRows * row_stride + 16;
    std::vector<float> tile(kTileColumns * tile_stride);
    // Each call touches nearly all pages of the matrix: they are fetched by the first and released by the last.
    const uint64_t run_bytes = ((rows - 1) * row_stride + 1) * element;
    const Span span(*file, base, base + (columns - 1) * column_step + run_bytes, begin == 0, end == rows);
    for (uint32_t r0 = begin; r0 < end; r0 += kTileRows) {
      const uint32_t tile_rows = std::min(kTileRows, end - r0);
      const size_t run = (tile_rows - 1) * row_stride + 1;
      for (uint32_t c0 = 0; c0 < columns; c0 += kTileColumns) {
        const uint32_t tile_columns = std::min(kTileColumns, columns - c0);
        for (uint32_t c = 0; c < tile_columns; ++c) {
          decode(base + (c0 + c) * column_step + r0 * row_stride * element, run, tile.data() + c * tile_stride);
        }
        for (uint32_t r = 0; r < tile_rows; ++r) {
          float* to = out + size_t{r0 - begin + r} * columns + c0;
          const float* from = tile.data() + r * row_stride;
          for (uint32_t c = 0; c < tile_columns; ++c) to[c] = from[c * tile_stride];
        }
      }
    }
  };
  return view;
}

TensorView f8_block_view(const TensorEntry& tensor, const TensorEntry& scales, uint32_t rows, uint32_t columns,
                         uint32_t block_rows, uint32_t block_columns) {
  const DecodeRow decode_scale = row_decoder(scales.type);
  SWITCHYARD_CHECK(tensor.type == DataType::kF8E4M3 && decode_scale != nullptr);
  const uint32_t scale_columns = (columns + block_columns - 1) / block_columns;
  TensorView view = view_of(tensor, rows, columns);
  view.disk_bytes += scales.bytes;
  view.read = [file = tensor.file, scale_file = scales.file, base = tensor.data(), scale_base = scales.data(),
               scale_bytes = uint64_t{element_bytes(scales.type)} * scale_columns, decode_scale, rows, columns,
               block_rows, block_columns, scale_columns](uint32_t begin, uint32_t end, float* out) {
    check_range(begin, end, rows);
    if (begin == end) return;
    const Span span(*file, base + uint64_t{begin} * columns, base + uint64_t{end} * columns);
    std::vector<float> factors(scale_columns);
    for (uint32_t r = begin; r < end; ++r, out += columns) {
      if (r == begin || r % block_rows == 0) {
        decode_scale(scale_base + (r / block_rows) * scale_bytes, scale_columns, factors.data());
      }
      const uint8_t* src = base + uint64_t{r} * columns;
      for (uint32_t c = 0; c < columns; c += block_columns) {
        decode_f8_scaled(src + c, std::min(block_columns, columns - c), factors[c / block_columns], out + c);
      }
    }
  };
  return view;
}

TensorView mxfp4_view(const TensorEntry& blocks, const TensorEntry& scales, uint32_t rows, uint32_t columns,
                      uint64_t first_row, uint64_t row_stride) {
  SWITCHYARD_CHECK(columns % 32 == 0);
  TensorView view = view_of(blocks, rows, columns);
  view.disk_bytes = uint64_t{rows} * columns / 32 * 17;
  view.read = [file = blocks.file, scale_file = scales.file, base = blocks.data() + first_row * (columns / 2),
               scale_base = scales.data() + first_row * (columns / 32), rows, columns,
               row_stride](uint32_t begin, uint32_t end, float* out) {
    check_range(begin, end, rows);
    if (begin == end) return;
    const uint64_t step = row_stride * (columns / 2), scale_step = row_stride * (columns / 32);
    const Span span(*file, base + begin * step, base + (end - 1) * step + columns / 2);
    for (uint32_t r = begin; r < end; ++r, out += columns) {
      decode_mxfp4(base + r * step, scale_base + r * scale_step, columns, out);
    }
  };
  return view;
}

}  // namespace switchyard::checkpoint
