// The diagonal Gaussian posterior (E13–E16). NumPy twin: ops/numpy/gaussian.py
//
// mu and logvar are often the two halves of one (B, 2L) array, so rows of theirs (and of their gradients) lie `stride`
// numbers apart; every other array is contiguous. All of it is small (B · L numbers): what counts is one launch instead of five.
#include "common.cuh"

// z = μ + σ ε,  σ = exp(logvar / 2) (E13).   all (B, L).   NumPy twin: reparameterise
// Plan: one thread per element. Moves 5 B L numbers; about 20 operations each.
template <class T>
__global__ void reparameterise(const T* mu, const T* logvar, int stride, const T* eps, T* z, T* std, int B, int L) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)B * L) return;
  const long long from = i / L * stride + i % L;
  const T sigma = exp(T(0.5) * logvar[from]);
  std[i] = sigma;
  z[i] = mu[from] + sigma * eps[i];
}

// dμ = dz,  dlogvar = dz ε σ / 2 (E14).   all (B, L).   NumPy twin: reparameterise_backward
// Plan: one thread per element. Moves 5 B L numbers; 3 operations each.
template <class T>
__global__ void reparameterise_backward(const T* dz, const T* eps, const T* std, T* dmu, T* dlogvar, int stride, int B, int L) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)B * L) return;
  const long long to = i / L * stride + i % L;
  dmu[to] = dz[i];
  dlogvar[to] = dz[i] * eps[i] * std[i] * T(0.5);
}

// KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ_latents (μ² + σ² − 1 − logvar) (E15).   mu, logvar (B, L) → kl (B,).   NumPy twin: gaussian_kl
// Plan: one warp per row, its lanes L / 32 columns each, then a fixed tree. Reads 2 B L numbers; about 20 operations each.
template <class T> __global__ void gaussian_kl(const T* mu, const T* logvar, int stride, T* kl, int B, int L) {
  const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= B) return; // a whole warp at a time
  T sum = 0;
  for (int j = lane; j < L; j += 32) {
    const long long from = (long long)row * stride + j;
    sum += mu[from] * mu[from] + (expm1(logvar[from]) - logvar[from]);
  }
  sum = warp_sum(sum);
  if (lane == 0) kl[row] = T(0.5) * sum;
}

// dμ = dkl · μ,  dlogvar = dkl · ½ (σ² − 1) (E16).   dkl (B,), all others (B, L).   NumPy twin: gaussian_kl_backward
// Plan: one thread per element. Moves 4 B L numbers; about 20 operations each. The inputs' rows lie stride_in apart.
template <class T>
__global__ void gaussian_kl_backward(const T* dkl, const T* mu, const T* logvar, int stride_in, T* dmu, T* dlogvar, int stride, int B, int L) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)B * L) return;
  const long long from = i / L * stride_in + i % L, to = i / L * stride + i % L;
  const T of_row = dkl[i / L];
  dmu[to] = of_row * mu[from];
  dlogvar[to] = T(0.5) * of_row * expm1(logvar[from]);
}

// z = μ + σ ε and the KL of each row, in one pass (E13, E15).   mu, logvar, eps → z, std (B, L), kl (B,)
// NumPy twin: sample_posterior
// Plan: one warp per row, its lanes L / 32 columns each, then a fixed tree. Moves 5 B L numbers; about 40 operations each.
template <class T>
__global__ void sample_posterior(const T* mu, const T* logvar, int stride, const T* eps, T* z, T* std, T* kl, int B, int L) {
  const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= B) return; // a whole warp at a time
  T sum = 0;
  for (int j = lane; j < L; j += 32) {
    const long long from = (long long)row * stride + j, to = (long long)row * L + j;
    const T m = mu[from], lv = logvar[from], sigma = exp(T(0.5) * lv);
    std[to] = sigma;
    z[to] = m + sigma * eps[to];
    sum += m * m + (expm1(lv) - lv);
  }
  sum = warp_sum(sum);
  if (lane == 0) kl[row] = T(0.5) * sum;
}

// Both gradients that meet at μ and logvar (E14 + E16): dμ = dz + dkl μ,  dlogvar = ½ (dz ε σ + dkl (σ² − 1)).   dkl (B,), all others
// (B, L).   NumPy twin: posterior_backward
// Plan: one thread per element. Moves 7 B L numbers; about 25 operations each.
template <class T>
__global__ void posterior_backward(const T* dz, const T* dkl, const T* mu, const T* logvar, int stride_in, const T* eps, const T* std,
                                   T* dmu, T* dlogvar, int stride, int B, int L) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)B * L) return;
  const long long from = i / L * stride_in + i % L, to = i / L * stride + i % L;
  const T of_row = dkl[i / L];
  dmu[to] = dz[i] + of_row * mu[from];
  dlogvar[to] = T(0.5) * (dz[i] * eps[i] * std[i] + of_row * expm1(logvar[from]));
}
