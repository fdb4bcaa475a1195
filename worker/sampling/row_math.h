// Passes over one row of logits: the parts of sampling whose cost is the vocabulary.
//
// Thread: any, on data of its own. Same bits on every machine: own exponential, no fused products, every sum in a
// stated order.
#pragma once

#include <cstddef>
#include <span>

namespace switchyard::worker {

// Weights below 2^-80 of the largest count as 0: a million of them would not move the last bit of a double sum, which
// is at least 1.
inline constexpr double kLogWeightFloor = -55.451774444795625;  // -80 ln 2

// Entries that exp_block() takes at most.
inline constexpr size_t kRowBlock = 256;

// The largest entry, NaN left out; -inf for a row with nothing else. May be +inf.
float row_max(std::span<const float> row);
// The smallest entry above -inf, NaN left out; +inf for a row with nothing else.
float row_min_finite(std::span<const float> row);
// The lowest index of the largest entry; 0 for a row of -inf and NaN. One pass.
size_t row_argmax(std::span<const float> row);
// How many entries are larger than `value`.
size_t count_above(std::span<const float> row, float value);

// weights[i] = exp((row[i] - max) * scale), 0 where the exponent is below kLogWeightFloor or NaN. At most kRowBlock
// entries; max finite and not below any entry; scale > 0. Relative error < 1e-15; exp(0) is exactly 1.
void exp_block(std::span<const float> row, double max, double scale, double* weights);

// The sum of those weights, in kSumLanes running sums: entry i goes to sum i mod kSumLanes, in ascending order of i,
// and the sums are added in ascending order. At most kRowBlock entries.
inline constexpr size_t kSumLanes = 8;
double exp_block_sum(std::span<const float> row, double max, double scale);

// The sum of the weights of a row of any length: of its blocks of kRowBlock entries, in ascending order.
double exp_sum(std::span<const float> row, double max, double scale);

// out[i] = row[i], -inf for NaN. `out` may be `row`.
void copy_without_nan(std::span<const float> row, float* out);
// Sets to -inf what has (row[i] - max) * scale < floor.
void drop_below(std::span<float> row, double max, double scale, double floor);

}  // namespace switchyard::worker
