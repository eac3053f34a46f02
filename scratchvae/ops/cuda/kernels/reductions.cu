// Sums in a fixed order, without atomics: the same numbers give the same bits.
#include "common.cuh"

constexpr int THREADS = 256;

// out = Σ_columns x, added up in float64 (a metric must not depend on the batch's size).   x (rows, n) → out (rows,)
// NumPy twin: x.sum(axis=1). So one launch adds up all terms of a loss.
// Plan: one block per row; thread t takes elements t, t + 256, …; then a fixed tree. Reads rows · n numbers.
template <class T> __global__ void __launch_bounds__(THREADS) total(const T* x, long long n, double* out) {
  double sum = 0;
  for (long long i = threadIdx.x; i < n; i += THREADS) sum += double(x[blockIdx.x * n + i]);
  sum = block_sum<THREADS>(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

// parts[b] = Σ g² over every gridDim.x-th stretch of 256, in float64.   g (n,) → parts (gridDim.x,)
// Plan: the grid is a constant, not a function of the device, so the order of the sum is the same everywhere. Reads n numbers.
template <class T> __global__ void __launch_bounds__(THREADS) squares(const T* g, long long n, double* parts) {
  double sum = 0;
  for (long long i = blockIdx.x * (long long)THREADS + threadIdx.x; i < n; i += (long long)gridDim.x * THREADS) sum += double(g[i]) * double(g[i]);
  sum = block_sum<THREADS>(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// factor = min(1, clip / ‖g‖) (E38).   parts (count,) → factor (1,).   NumPy twin: the clip in training/step.py
// Plan: one block. The update multiplies by it on load, so clipping costs no pass over g of its own.
template <class T> __global__ void __launch_bounds__(THREADS) clip_factor(const double* parts, int count, double clip, T* factor) {
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += THREADS) sum += parts[i];
  sum = block_sum<THREADS>(sum);
  if (threadIdx.x == 0) *factor = sum > clip * clip ? T(clip / sqrt(sum)) : T(1);
}

// out = a + b: where two paths meet, and, with out = a, one joint of the tree over shards.   a, b, out (n,).
// NumPy twin: plus
// Plan: one thread per V neighbours. Moves 3 n numbers; one operation each.
template <class T, int V> __global__ void add(const T* a, const T* b, T* out, long long n) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n) return;
  Pack<T, V> sum = load<V>(a + i);
  const Pack<T, V> more = load<V>(b + i);
  for (int j = 0; j < V; ++j) sum.v[j] += more.v[j];
  store(out + i, sum);
}

// out = Σ_splits parts, more_out = Σ_splits more.   parts (splits, n), more (splits, m) → out (n,), more_out (m,)
// NumPy twin: parts.sum(axis=0)
// Plan: one thread per number, so two arrays take one launch. Reads splits (n + m) numbers.
template <class T>
__global__ void sum_parts(const T* parts, const T* more, T* out, T* more_out, long long n, int m, int splits) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= n + m) return;
  const T* from = i < n ? parts + i : more + (i - n);
  const long long pitch = i < n ? n : m;
  T sum = *from;
  for (int split = 1; split < splits; ++split) sum += from[split * pitch];
  *(i < n ? out + i : more_out + (i - n)) = sum;
}
