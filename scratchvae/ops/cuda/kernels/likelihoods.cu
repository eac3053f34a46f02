// Negative log-likelihoods: forward, gradient, or both in one pass. NumPy twins: ops/numpy/{likelihoods,continuous_bernoulli,logistic}.py
//
// Plan of these kernels: one block of 256 threads per image; each thread takes every 256th pack of V pixels, and the
// threads' sums meet in a fixed tree. So a batch of 128 fills 128 multiprocessors, and an image's loss does not depend on the batch.
#include "activations.cuh"
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

// Of the density a eᵃˣ / (eᵃ − 1) on [0, 1]: log((eᵃ − 1) / a) and its derivative, the mean; near a = 0 as series.
// NumPy twin: ops/numpy/continuous_bernoulli.py, from which the coefficients are.
template <class T> __device__ T horner(T a, const T* c) {
  T sum = c[6];
  for (int k = 5; k >= 0; --k) sum = sum * a * a + c[k];
  return sum * a + T(0.5);
}

template <class T> __device__ T log_normaliser(T a) {
  const T t = fabs(a);
  if (t < T(0.5)) {
    const T c[] = {T(1.0 / 24), T(-1.0 / 2880), T(1.0 / 181440), T(-1.0 / 9676800), T(1.0 / 479001600), T(-691.0 / 15692092416000), T(1.0 / 1046139494400)};
    return a * horner(a, c);
  }
  return (a < 0 ? T(0) : a) + log(-expm1(-t) / t);
}

template <class T> __device__ T mean_of(T a) {
  const T t = fabs(a);
  if (t < T(0.5)) {
    const T c[] = {T(1.0 / 12), T(-1.0 / 720), T(1.0 / 30240), T(-1.0 / 1209600), T(1.0 / 47900160), T(-691.0 / 1307674368000), T(1.0 / 74724249600)};
    return horner(a, c);
  }
  const T gone = expm1(-t), mean = (a < 0 ? gone + 1 : T(1)) / -gone - 1 / t;
  return a < 0 ? -mean : mean;
}

// Σ log((eᵃ − 1)/a) − x a and da = dnll · (mean(a) − x).   logits, x, da (B, D), dnll, nll (B,)
// NumPy twin: continuous_bernoulli_nll, continuous_bernoulli_nll_backward. Moves 2 to 3 B D numbers; about 30 operations each.
template <class T, int WHAT>
__global__ void continuous_bernoulli(const T* dnll, const T* logits, const T* x, T* nll, T* da, int D) {
  const long long row = blockIdx.x * (long long)D;
  const T of_row = WHAT & GRADIENT ? dnll[blockIdx.x] : T(0);
  T sum = 0;
#pragma unroll 1 // an image has few pixels per thread; unrolled, float64 would spill
  for (int j = threadIdx.x; j < D; j += THREADS) {
    const T a = logits[row + j];
    if (WHAT & LOSS) sum += log_normaliser(a) - x[row + j] * a;
    if (WHAT & GRADIENT) da[row + j] = of_row * (mean_of(a) - x[row + j]);
  }
  if (WHAT & LOSS) {
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) nll[blockIdx.x] = sum;
  }
}

// E[x] of each logit.   logits, out (n,)
// Plan: one thread per number. Moves 2 n numbers; about 30 operations each.
template <class T> __global__ void continuous_bernoulli_mean(const T* logits, T* out, long long n) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < n) out[i] = mean_of(logits[i]);
}

// Levels of a logistic distribution: Σ log(1 + e^−u) + log(1 + eᵛ) − log(1 − e^−δ), of the lowest level the first term alone, of the
// highest the second; and its derivatives. NumPy twin: ops/numpy/logistic.py.   mean, logscale, x, dmean, dlogscale (B, D), dnll, nll (B,)
// Moves 3 to 5 B D numbers; about 90 operations each.
template <class T, int WHAT>
__global__ void logistic(const T* dnll, const T* mean, const T* logscale, const T* x, T* nll, T* dmean, T* dlogscale, int levels, int D) {
  const long long row = blockIdx.x * (long long)D;
  const T of_row = WHAT & GRADIENT ? dnll[blockIdx.x] : T(0), h = T(1) / (levels - 1), tiny = T(1e-30);
  T sum = 0;
#pragma unroll 1 // an image has few pixels per thread; unrolled, float64 would spill
  for (int j = threadIdx.x; j < D; j += THREADS) {
    const T scale = exp(-logscale[row + j]), off = x[row + j] - mean[row + j], delta = scale * h;
    const T u = (off + h / 2) * scale, v = (off - h / 2) * scale;
    const bool lowest = x[row + j] < h / 2, highest = x[row + j] > 1 - h / 2;
    if (WHAT & LOSS) {
      const T d = delta < tiny ? tiny : delta;
      if (!lowest && !highest) sum += logscale[row + j] - log(expm1(-d) / -d) + log(T(levels - 1));
      if (!highest) sum += activate<SOFTPLUS>(-u);
      if (!lowest) sum += activate<SOFTPLUS>(v);
    }
    if (WHAT & GRADIENT) {
      const T below = highest ? T(0) : activate<SIGMOID>(-u), above = lowest ? T(0) : activate<SIGMOID>(v);
      const T within = lowest || highest ? T(0) : delta < tiny ? T(1) : delta * exp(-delta) / -expm1(-delta);
      dmean[row + j] = of_row * scale * (below - above);
      dlogscale[row + j] = of_row * (within + u * below - v * above);
    }
  }
  if (WHAT & LOSS) {
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) nll[blockIdx.x] = sum;
  }
}
