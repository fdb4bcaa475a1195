// Vector functions shared by the fast tables' ops: exp, sigmoid. Written over the words of simd_*.h.

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

// e^x to about 1e-7 relative; exactly 1 at 0, exactly 0 below -87.3; x above 88 counts as 88. A NaN stays.
// x = n ln 2 + r, |r| <= ln 2 / 2; Taylor's series to r^7, whose rest is below r^8 / 8! = 5e-9.
inline F exp(F x) {
  const F lowest = broadcast(-87.3F);
  const F clamped = max(lowest, min(broadcast(88.0F), x));
  const F n = round_nearest(mul(clamped, broadcast(1.44269504088896341F)));
  // ln 2 in two parts: n times the first (9 bits) is exact.
  F r = fma(n, broadcast(-0.693359375F), clamped);
  r = fma(n, broadcast(2.12194440e-4F), r);
  F p = broadcast(1.0F / 5040.0F);
  p = fma(p, r, broadcast(1.0F / 720.0F));
  p = fma(p, r, broadcast(1.0F / 120.0F));
  p = fma(p, r, broadcast(1.0F / 24.0F));
  p = fma(p, r, broadcast(1.0F / 6.0F));
  p = fma(p, r, broadcast(0.5F));
  p = fma(p, r, broadcast(1.0F));
  p = fma(p, r, broadcast(1.0F));
  return zero_below(mul(p, power_of_two(n)), lowest, x);
}

inline F negative(F x) { return sub(zero(), x); }
// x / (1 + e^-x), of a separate exponent where it is scaled.
inline F gated_by_sigmoid(F x, F exponent) { return div(x, add(broadcast(1.0F), exp(negative(exponent)))); }

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
