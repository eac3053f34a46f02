// CUDA's arithmetic intrinsics in plain C++.
//
// The "fast" ones (__expf, __logf …) are computed exactly here: what they lose on a GPU is not seen on the CPU.
// The "_rn" ones promise one rounding and no fusing into a multiply-add; an empty asm statement keeps g++ to that.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

using std::max;
using std::min;
using std::isfinite;
using std::isinf;
using std::isnan;

#define CUDA_ON_CPU_PI 3.14159265358979323846

// ---- bits
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __mulhi(int a, int b) { return int(int64_t(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return unsigned((uint64_t(high) << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }

// ---- conversions
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __int2float_rn(int x) { return float(x); }
inline int __float2int_rn(float x) { return int(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline unsigned __float2uint_rn(float x) { return unsigned(std::nearbyint(x)); }
inline unsigned __float2uint_rz(float x) { return unsigned(x); }

// ---- one rounding each
template <class T> inline T cuda_on_cpu_rounded(T x) {
  asm volatile("" : "+x"(x));
  return x;
}
inline float __fadd_rn(float a, float b) { return cuda_on_cpu_rounded(a + b); }
inline float __fsub_rn(float a, float b) { return cuda_on_cpu_rounded(a - b); }
inline float __fmul_rn(float a, float b) { return cuda_on_cpu_rounded(a * b); }
inline float __fdiv_rn(float a, float b) { return cuda_on_cpu_rounded(a / b); }
inline float __frcp_rn(float a) { return cuda_on_cpu_rounded(1.0f / a); }
inline float __fsqrt_rn(float a) { return cuda_on_cpu_rounded(std::sqrt(a)); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return cuda_on_cpu_rounded(a + b); }
inline double __dmul_rn(double a, double b) { return cuda_on_cpu_rounded(a * b); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }

// ---- functions
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline void __sincosf(float x, float* s, float* c) { *s = sinf(x), *c = cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; } // NaN gives 0, as on a GPU
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float fdividef(float a, float b) { return a / b; }
inline float sinpif(float x) { return float(std::sin(CUDA_ON_CPU_PI * x)); }
inline float cospif(float x) { return float(std::cos(CUDA_ON_CPU_PI * x)); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x), *c = cospif(x); }
inline double sinpi(double x) { return std::sin(CUDA_ON_CPU_PI * x); }
inline double cospi(double x) { return std::cos(CUDA_ON_CPU_PI * x); }
inline void sincospi(double x, double* s, double* c) { *s = sinpi(x), *c = cospi(x); }

// ---- loads and stores with a cache hint
template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> void __stcg(T* p, T v) { *p = v; }
template <class T> void __stcs(T* p, T v) { *p = v; }
