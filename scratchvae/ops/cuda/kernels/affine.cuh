// A dense layer as three matrix products, with everything that stands around them fused in (E4–E12).
// NumPy twin: ops/numpy/affine.py and ops/numpy/activations.py
//
// Tile says how a product is computed (tile_fma.cuh, tile_tf32.cuh); an epilogue, what happens to each number of the result on
// its way from registers to memory. Grid: (columns / BN, rows / BM, splits of k) of the result; one tile per block.
// A product of M × K by K × N does 2 M N K operations and moves at least M K + K N + M N numbers; with tiles, about
// M N K (1/BM + 1/BN) numbers come out of the L2 cache.
#pragma once
#include "activations.cuh"
#include "common.cuh"
#include "split_k.cuh"

template <class T, int ACT> struct BiasAndActivation {
  static constexpr bool COLUMN_SUMS = false;
  const T* b;
  T *pre, *out; // pre: x W + b before the activation, or null when nobody needs it
  int pitch;
  template <int V> __device__ void finish(Pack<T, V> y, int row, int column) const {
    const Pack<T, V> bias = load<V>(b + column);
    const long long at = (long long)row * pitch + column;
    for (int i = 0; i < V; ++i) y.v[i] += bias.v[i];
    if (pre) store(pre + at, y);
    for (int i = 0; i < V; ++i) y.v[i] = activate<ACT>(y.v[i]);
    store(out + at, y);
  }
};

template <class T, int ACT> struct TimesSlope {
  static constexpr bool COLUMN_SUMS = false;
  const T* kept;
  T* out;
  int pitch;
  template <int V> __device__ void finish(Pack<T, V> y, int row, int column) const {
    const long long at = (long long)row * pitch + column;
    if constexpr (ACT != NONE) {
      const Pack<T, V> from = load<V>(kept + at);
      for (int i = 0; i < V; ++i) y.v[i] *= slope<ACT>(from.v[i]);
    }
    store(out + at, y);
  }
};

template <class T> struct WithColumnSums {
  static constexpr bool COLUMN_SUMS = true;
  T *out, *sums;
  int pitch;
  template <int V> __device__ void finish(Pack<T, V> y, int row, int column) const { store(out + (long long)row * pitch + column, y); }
  __device__ void finish_sum(int column, T sum) const { sums[column] = sum; }
};

// Y = act(X W + b) (E4, E6–E12).   x (B, I) · W (I, O) · b (O,) → pre, y (B, O).   NumPy twin: affine, then relu …
// Plan: tiles of Y; bias and activation touch each number while it is still in a register.
template <class T, template <class> class Tile, int ACT, int V>
__global__ void __launch_bounds__(Tile<T>::THREADS, Tile<T>::BLOCKS)
    affine(const T* x, const T* W, const T* b, T* pre, T* y, int B, int I, int O, T* partials, unsigned* tickets) {
  Tile<T>::template run<true, false, V>(x, W, B, O, I, Splits<T>{partials, tickets}, BiasAndActivation<T, ACT>{b, pre, y, O});
}

// dX = (dY Wᵀ) ⊙ act′ (E5, E6–E12), where act made x, this layer's input: so dX is already the gradient at the layer below.
// dY (B, O) · W (I, O) · kept (B, I) → dX (B, I).   NumPy twin: affine_backward, then relu_backward … of the layer below
// Plan: tiles of dX. Taken on the way out, act′ is computed once per number; taken on the way in, once for each of I / BN tiles.
template <class T, template <class> class Tile, int ACT, int V>
__global__ void __launch_bounds__(Tile<T>::THREADS, Tile<T>::BLOCKS)
    affine_dX(const T* dY, const T* W, const T* kept, T* dX, int B, int I, int O, T* partials, unsigned* tickets) {
  Tile<T>::template run<true, true, V>(dY, W, B, I, O, Splits<T>{partials, tickets}, TimesSlope<T, ACT>{kept, dX, I});
}

// dW = Xᵀ dY,  db = Σ_rows dY (E5).   x (B, I) · dY (B, O) → dW (I, O), db (O,).   NumPy twin: affine_backward
// Plan: tiles of dW; the blocks of the first row of tiles also add up the columns of dY that pass through their shared memory.
template <class T, template <class> class Tile, int V>
__global__ void __launch_bounds__(Tile<T>::THREADS, Tile<T>::BLOCKS)
    affine_dW(const T* x, const T* dY, T* dW, T* db, int B, int I, int O, T* partials, unsigned* tickets) {
  Tile<T>::template run<false, false, V>(x, dY, I, O, B, Splits<T>{partials, tickets}, WithColumnSums<T>{dW, db, O});
}
