// Whole numbers in place of measurements (E74–E76). NumPy twin: ops/numpy/categorical.py
//
// rows and labels are whole numbers of any kind (whole.cuh). One that has no row or class makes NaN, where NumPy's
// modules raise: a kernel cannot, and NaN is found by the check of the loss.
#include "common.cuh"
#include "whole.cuh"

constexpr int THREADS = 256;

// Y[n] = W[rows[n]] (E74).   rows (N,) · W (count, D) → out (N, D).   NumPy twin: embedding
// Plan: one thread per V columns. Reads N whole numbers and N D others, writes N D.
template <class T, int V>
__global__ void embedding(const void* rows, int kind, const T* W, long long count, T* out, long long N, int D) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= N * D) return;
  const long long row = whole(rows, kind, i / D);
  Pack<T, V> pack;
  for (T& value : pack.v) value = T(0) / T(0);
  if (0 <= row && row < count) pack = load<V>(W + row * D + i % D);
  store(out + i, pack);
}

// dW[v] = Σ dY[n] over the n with rows[n] = v, in their order (E74).   dY (N, D), rows (N,) → dW (count, D).
// NumPy twin: embedding_backward
// Plan: one thread per number of dW, which looks at all N rows: no atomics, and the order is NumPy's.
// A warp reads one row number for all its lanes. For batches and tables of thousands; count · D · N looks are too many
// for a million of each.
template <class T>
__global__ void embedding_backward(const T* dY, const void* rows, int kind, T* dW, long long count, long long N,
                                   int D) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= count * D) return;
  const long long v = i / D;
  const int d = i % D;
  T sum = 0;
  for (long long n = 0; n < N; ++n)
    if (whole(rows, kind, n) == v) sum += dY[n * D + d];
  dW[i] = sum;
}

// Y[n, k] = 1 where k = rows[n], else 0 (E74).   rows (N,) → out (N, K).   NumPy twin: one_hot
// Plan: one thread per number. Reads N whole numbers, writes N K.
template <class T> __global__ void one_hot(const void* rows, int kind, T* out, long long N, int K) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < N * K) out[i] = whole(rows, kind, i / K) == i % K;
}

// −log p(labels) = Σ_pixels log Σ_k e^(a_k) − a_label (E75), and p = softmax a.
// The largest logit is taken off first, so that nothing overflows.   a, p (B, P, K), labels (B, P) → out (B,)
// NumPy twin: categorical_nll
// Plan: one block per image; each thread takes every 256th pixel and walks along its K logits; their sums meet in a
// fixed tree. Reads B P K numbers, three times, of which two come out of the cache, and writes B P K; about 40
// operations each.
template <class T>
__global__ void __launch_bounds__(THREADS)
    categorical_nll(const T* logits, const void* labels, int kind, T* out, T* p, int P, int K) {
  T sum = 0;
#pragma unroll 1 // an image has few pixels per thread; unrolled, some architectures would spill
  for (int pixel = threadIdx.x; pixel < P; pixel += THREADS) {
    const long long at = (long long)blockIdx.x * P + pixel, label = whole(labels, kind, at);
    const T* const a = logits + at * K;
    T largest = a[0], total = 0;
    for (int k = 1; k < K; ++k)
      if (a[k] > largest || a[k] != a[k]) largest = a[k];
#pragma unroll 1
    for (int k = 0; k < K; ++k) total += p[at * K + k] = exp(a[k] - largest);
    for (int k = 0; k < K; ++k) p[at * K + k] /= total;
    sum += log(total) - (0 <= label && label < K ? a[label] - largest : T(0) / T(0));
  }
  sum = block_sum<THREADS>(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

// da = dnll · (p − one-hot of the label) (E76).   dnll (B,) · p, da (B, P, K) · labels (B, P).
// NumPy twin: categorical_nll_backward
// Plan: one thread per number. Moves 2 B P K numbers; 2 operations each.
template <class T>
__global__ void categorical_nll_backward(const T* dnll, const T* p, const void* labels, int kind, T* da, long long n,
                                         int P, int K) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= n) return;
  const long long pixel = i / K;
  da[i] = dnll[pixel / P] * (p[i] - T(whole(labels, kind, pixel) == i % K));
}
