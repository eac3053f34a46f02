// Two sets of channels side by side, and taken apart again. NumPy twin: ops/numpy/joining.py
#include "common.cuh"

// both = (channels of a, then of b), or with APART the other way.   a (n, C), b (n, D), both (n, C + D).
// NumPy twin: concat, concat_backward
// Plan: one thread per V neighbours of `both`. Moves 2 n (C + D) numbers.
template <class T, int V, bool APART> __global__ void join(T* a, T* b, T* both, long long n, int C, int D) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n * (C + D)) return;
  const long long row = i / (C + D);
  const int c = i % (C + D);
  T* const part = c < C ? a + row * C + c : b + row * D + (c - C);
  if constexpr (APART) store(part, load<V>(both + i));
  else store(both + i, load<V>(part));
}
