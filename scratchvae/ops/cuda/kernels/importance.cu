// Several draws of z for each image, weighted by importance (E48). NumPy twins: ops/numpy/importance.py
#include "common.cuh"

// Each row of x (B, row) K times, one after the other → y (B K, row).   NumPy twin: repeat_rows
// Plan: one thread per number of y. Moves 2 B K row numbers.
template <class T> __global__ void repeat_rows(const T* x, T* y, int B, int K, int row) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < (long long)B * K * row) y[i] = x[i / row / K * row + i % row];
}

// Σ of the K copies of a row: dY (B K, row) → dX (B, row).   NumPy twin: repeat_rows_backward
// Plan: one thread per number of dX adds its K in order. Moves B (K + 1) row numbers.
template <class T> __global__ void repeat_rows_backward(const T* dY, T* dX, int B, int K, int row) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)B * row) return;
  T sum = 0;
  for (int k = 0; k < K; ++k) sum += dY[(i / row * K + k) * row + i % row];
  dX[i] = sum;
}

// ½ Σ z² − ε² − log σ².   z, eps (N, L), logvar with rows `stride` apart → kl (N,).   NumPy twin: sampled_kl
// Plan: one warp per row, its lanes L / 32 columns each, then a fixed tree. Reads 3 N L numbers; 6 operations each.
template <class T> __global__ void sampled_kl(const T* z, const T* eps, const T* logvar, int stride, T* kl, int N, int L) {
  const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= N) return; // a whole warp at a time
  T sum = 0;
  for (int j = lane; j < L; j += 32) {
    const long long i = (long long)row * L + j;
    sum += z[i] * z[i] - eps[i] * eps[i] - logvar[(long long)row * stride + j];
  }
  sum = warp_sum(sum);
  if (lane == 0) kl[row] = T(0.5) * sum;
}

// −log (1/K) Σ_k e^(−nll_k − kl_k), and the normalised weights.   nll, kl (B K) → loss (B,), w (B, K).   NumPy twin: importance_loss
// Plan: one warp per image; its lanes find the least, then add up. Moves 4 B K numbers; about 30 operations each.
template <class T> __global__ void importance_loss(const T* nll, const T* kl, T* loss, T* w, int B, int K) {
  const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= B) return; // a whole warp at a time
  const long long first = (long long)row * K;
  T least = nll[first] + kl[first];
  for (int k = lane; k < K; k += 32) {
    const T here = nll[first + k] + kl[first + k];
    least = here < least ? here : least;
  }
  for (int gap = 16; gap > 0; gap /= 2) {
    const T other = __shfl_down_sync(0xffffffffu, least, gap);
    least = other < least ? other : least;
  }
  least = __shfl_sync(0xffffffffu, least, 0);
  T sum = 0;
  for (int k = lane; k < K; k += 32) sum += w[first + k] = exp(least - nll[first + k] - kl[first + k]);
  sum = __shfl_sync(0xffffffffu, warp_sum(sum), 0);
  for (int k = lane; k < K; k += 32) w[first + k] /= sum;
  if (lane == 0) loss[row] = least - log(sum / K);
}

// dloss · w.   dloss (B,), w (B, K) → out (B K).   NumPy twin: importance_loss_backward
// Plan: one thread per number. Moves 2 B K numbers.
template <class T> __global__ void importance_loss_backward(const T* dloss, const T* w, T* out, int B, int K) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < (long long)B * K) out[i] = dloss[i / K] * w[i];
}

// What meets at μ and log σ² of each draw; w may be null.   dz, z, eps, std (N, L), dkl, w (N,) → dmu, dlogvar, rows `stride` apart
// Plan: one thread per number. Moves 6 N L numbers; about 10 operations each. NumPy twin: importance_backward
template <class T>
__global__ void importance_backward(const T* dz, const T* dkl, const T* w, const T* z, const T* eps, const T* std, T* dmu, T* dlogvar,
                                    int stride, int N, int L, int path) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)N * L) return;
  const long long row = i / L, to = row * stride + i % L;
  const T factor = w ? w[row] : T(1), c = dkl[row];
  const T mean = (path ? z[i] - eps[i] / std[i] : z[i]) * c + dz[i];
  dmu[to] = mean * factor;
  dlogvar[to] = T(0.5) * (mean * eps[i] * std[i] - (path ? T(0) : c)) * factor;
}
