// __half as the compiler's own 16-bit float.
#pragma once
using __half = _Float16;
using half = __half;
inline float __half2float(__half x) { return float(x); }
inline __half __float2half(float x) { return __half(x); }
inline __half __float2half_rn(float x) { return __half(x); }
