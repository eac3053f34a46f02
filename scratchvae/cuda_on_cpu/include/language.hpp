// The words that CUDA adds to C++, and the types every kernel may use.
//
//   __global__ __device__ __host__    nothing: on the CPU a kernel is an ordinary function
//   __shared__                        static: blocks run one after another, so one copy IS the running block's copy;
//                                     shared_memory.ld gathers them in one section, which shared_memory.hpp fills with NaN
//   extern __shared__ T name[];       sources.py rewrites it to CUDA_ON_CPU_DYNAMIC_SHARED(T, name)
//   asm("…" : … : …);                 sources.py rewrites it to run_ptx (ptx.hpp)
//   __constant__                      static
//   threadIdx, blockIdx …             read from the fiber that is running (scheduler.hpp)
#pragma once
#include <cstddef>
#include <cstdint>

#define CUDA_ON_CPU 1

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __forceinline__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

// Vector types carry CUDA's alignment: a float4 at an address that 16 does not divide is an error on a GPU, and here.
#define CUDA_ON_CPU_VECTORS(T, name, align2, align4)                                                                   \
  struct alignas(align2) name##2 { T x, y; };                                                                          \
  struct name##3 { T x, y, z; };                                                                                       \
  struct alignas(align4) name##4 { T x, y, z, w; };                                                                    \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                                           \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                                   \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUDA_ON_CPU_VECTORS(float, float, 8, 16)
CUDA_ON_CPU_VECTORS(double, double, 16, 16)
CUDA_ON_CPU_VECTORS(int, int, 8, 16)
CUDA_ON_CPU_VECTORS(unsigned, uint, 8, 16)
CUDA_ON_CPU_VECTORS(unsigned char, uchar, 2, 4)
CUDA_ON_CPU_VECTORS(unsigned short, ushort, 4, 8)
CUDA_ON_CPU_VECTORS(long long, longlong, 16, 16)
CUDA_ON_CPU_VECTORS(unsigned long long, ulonglong, 16, 16)
