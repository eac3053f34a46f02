// Activations on their own, for models that do not fuse them into a product (affine.cuh does).
#include "activations.cuh"
#include "common.cuh"

// y = act(x) (E6–E12).   x, y (n,).   NumPy twin: relu … silu
// Plan: one thread per V neighbours. Moves 2 n numbers; 1 to about 30 operations each.
template <class T, int ACT, int V> __global__ void activation(const T* x, T* y, long long n) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n) return;
  Pack<T, V> pack = load<V>(x + i);
  for (T& value : pack.v) value = activate<ACT>(value);
  store(y + i, pack);
}

// dX = dY ⊙ act′ (E6–E12), where kept is y, or x for GELU and SiLU.   dY, kept, dX (n,).   NumPy twin: relu_backward …
// Plan: one thread per V neighbours. Moves 3 n numbers; 2 to about 40 operations each.
template <class T, int ACT, int V> __global__ void activation_backward(const T* dY, const T* kept, T* dX, long long n) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n) return;
  Pack<T, V> gradient = load<V>(dY + i);
  const Pack<T, V> from = load<V>(kept + i);
  for (int j = 0; j < V; ++j) gradient.v[j] *= slope<ACT>(from.v[j]);
  store(dX + i, gradient);
}

// y = least + softplus(x − least).   x, y (n,).   NumPy twin: soft_floor
// Plan: one thread per number. Moves 2 n numbers; about 30 operations each.
template <class T> __global__ void soft_floor(const T* x, T* y, T least, long long n) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < n) y[i] = least + activate<SOFTPLUS>(x[i] - least);
}

// dX = dY · sigmoid(x − least).   dY, x, dX (n,).   NumPy twin: soft_floor_backward
// Plan: one thread per number. Moves 3 n numbers; about 20 operations each.
template <class T> __global__ void soft_floor_backward(const T* dY, const T* x, T* dX, T least, long long n) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < n) dX[i] = dY[i] * activate<SIGMOID>(x[i] - least);
}
