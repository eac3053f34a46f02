// Negative log-likelihoods (E17–E22): forward, gradient, or both in one pass. NumPy twin: ops/numpy/likelihoods.py
//
// Plan of all three kernels: one block of 256 threads per image; each thread takes every 256th pack of V pixels, and the
// threads' sums meet in a fixed tree. So a batch of 128 fills 128 multiprocessors, and an image's loss does not depend on the batch.
#include "common.cuh"

enum What { LOSS = 1, GRADIENT = 2 };
constexpr int THREADS = 256;

// −log p(x) = Σ log(1 + eᵃ) − x a (E17) and da = dnll · (sigmoid(a) − x) (E18).   logits, x, da (B, D), dnll, nll (B,)
// NumPy twin: bernoulli_nll, bernoulli_nll_backward. One e^−|a| serves both. Moves 2 to 3 B D numbers; one of the two takes about 30 operations each.
template <class T, int V, int WHAT>
__global__ void bernoulli(const T* dnll, const T* logits, const T* x, T* nll, T* da, int D) {
  const long long row = blockIdx.x * (long long)D;
  const T of_row = WHAT & GRADIENT ? dnll[blockIdx.x] : T(0);
  T sum = 0;
#pragma unroll 1 // an image has few packs per thread; unrolled, float64 would spill
  for (int j = threadIdx.x * V; j < D; j += THREADS * V) {
    const Pack<T, V> as = load<V>(logits + row + j), xs = load<V>(x + row + j);
    Pack<T, V> gradient;
    for (int i = 0; i < V; ++i) {
      const T a = as.v[i], t = exp(a > 0 ? -a : a); // e^−|a|: nothing overflows
      if (WHAT & LOSS) sum += log(1 + t) + (a < 0 ? T(0) : a) - xs.v[i] * a;
      if (WHAT & GRADIENT) gradient.v[i] = of_row * ((a > 0 ? T(1) : t) / (1 + t) - xs.v[i]);
    }
    if (WHAT & GRADIENT) store(da + row + j, gradient);
  }
  if (WHAT & LOSS) {
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) nll[blockIdx.x] = sum;
  }
}

// −log p(x) = ½ Σ (x − m)²/σ² + logvar + log 2π (E19), dm = dnll (m − x)/σ² and dlogvar = dnll ½ (1 − (x − m)²/σ²) (E20).
// mean, x, dmean, dlogvar (B, D), dnll, nll (B,); logvar broadcasts: element (r, c) stands at r · row_stride + c · column_stride.
// NumPy twin: gaussian_nll, gaussian_nll_backward. Moves 2 to 5 B D numbers; about 25 operations each.
template <class T, int WHAT>
__global__ void gaussian(const T* dnll, const T* mean, const T* logvar, int row_stride, int column_stride, const T* x, T* nll, T* dmean,
                         T* dlogvar, int D) {
  const long long row = blockIdx.x * (long long)D;
  const T of_row = WHAT & GRADIENT ? dnll[blockIdx.x] : T(0);
  T sum = 0;
#pragma unroll 1 // an image has few packs per thread; unrolled, float64 would spill
  for (int j = threadIdx.x; j < D; j += THREADS) {
    const T lv = logvar[blockIdx.x * (long long)row_stride + j * (long long)column_stride];
    const T inverse = exp(T(-0.5) * lv), ratio = (mean[row + j] - x[row + j]) * inverse; // (m − x) / σ
    if (WHAT & LOSS) sum += ratio * ratio + lv + T(1.8378770664093453); // log 2π
    if (WHAT & GRADIENT) {
      dmean[row + j] = of_row * ratio * inverse;
      dlogvar[row + j] = T(0.5) * of_row * (1 - ratio * ratio);
    }
  }
  if (WHAT & LOSS) {
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) nll[blockIdx.x] = T(0.5) * sum;
  }
}

// Σ (y − x)² (E21) and dy = derror · 2 (y − x) (E22).   y, x, dy (B, D), derror, error (B,)
// NumPy twin: squared_error, squared_error_backward. Moves 2 to 3 B D numbers; 4 operations each.
template <class T, int V, int WHAT>
__global__ void squared(const T* derror, const T* y, const T* x, T* error, T* dy, int D) {
  const long long row = blockIdx.x * (long long)D;
  const T of_row = WHAT & GRADIENT ? derror[blockIdx.x] : T(0);
  T sum = 0;
#pragma unroll 1 // an image has few packs per thread; unrolled, float64 would spill
  for (int j = threadIdx.x * V; j < D; j += THREADS * V) {
    const Pack<T, V> ys = load<V>(y + row + j), xs = load<V>(x + row + j);
    Pack<T, V> gradient;
    for (int i = 0; i < V; ++i) {
      const T difference = ys.v[i] - xs.v[i];
      if (WHAT & LOSS) sum += difference * difference;
      if (WHAT & GRADIENT) gradient.v[i] = 2 * of_row * difference;
    }
    if (WHAT & GRADIENT) store(dy + row + j, gradient);
  }
  if (WHAT & LOSS) {
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) error[blockIdx.x] = sum;
  }
}
