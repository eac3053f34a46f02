// A dense layer as three matrix products, with everything that stands around them fused in (E4–E12).
// NumPy twin: ops/numpy/affine.py and ops/numpy/activations.py
//
// Tile says how a product is computed (tile_fma.cuh, tile_tf32.cuh); an epilogue, what happens to each number of the result on
// its way from registers to memory. One block per tile and split of k (split_k.cuh).
// A product of M × K by K × N does 2 M N K operations and moves at least M K + K N + M N numbers; with tiles, about
// M N K (1/BM + 1/BN) numbers come out of the L2 cache.
#pragma once
#include "activations.cuh"
#include "common.cuh"
#include "operand.cuh"
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
__global__ void __launch_bounds__(Tile<T>::THREADS, V > 1 ? Tile<T>::BLOCKS : Tile<T>::NARROW_BLOCKS)
    affine(const T* x, const T* W, const T* b, T* pre, T* y, int B, int I, int O, int splits, T* partials, unsigned* tickets) {
  const Place place = Place::of<Tile<T>>(blockIdx.x, B, O, splits);
  Tile<T>::template run<V>(Matrix<T, true>{x, I}, Matrix<T, false>{W, O}, B, O, I, place, Scratch<T>{partials, tickets}, BiasAndActivation<T, ACT>{b, pre, y, O});
}

// dW = Xᵀ dY,  db = Σ_rows dY (E5);  dX = (dY Wᵀ) ⊙ act′ (E5, E6–E12), where act made x, this layer's input: so dX is already
// the gradient at the layer below.   x, kept (B, I) · dY (B, O) · W (I, O) → dW (I, O), db (O,), dX (B, I)
// NumPy twin: affine_backward, then relu_backward … of the layer below
// Plan: both products in one launch, which together fill the GPU better than one after the other: first the tiles of dW, then those
// of dX (none if nobody asks for dX). The blocks of dW's first row of tiles also add up the columns of dY that pass through their
// shared memory. Taken on the way out, act′ is computed once per number; on the way in it would be once per tile.
template <class T, template <class> class Tile, int ACT, int V>
__global__ void __launch_bounds__(Tile<T>::THREADS, V > 1 ? Tile<T>::BLOCKS : Tile<T>::NARROW_BLOCKS)
    affine_backward(const T* dY, const T* x, const T* W, const T* kept, T* dX, T* dW, T* db, int B, int I, int O, int splits_W, int splits_X,
                    T* partials, unsigned* tickets) {
  const int tiles = Place::count<Tile<T>>(I, O), blocks = tiles * splits_W;
  const int block = blockIdx.x;
  if (block < blocks) {
    const Place place = Place::of<Tile<T>>(block, I, O, splits_W);
    Tile<T>::template run<V>(Matrix<T, false>{x, I}, Matrix<T, false>{dY, O}, I, O, B, place, Scratch<T>{partials, tickets}, WithColumnSums<T>{dW, db, O});
  } else {
    const Place place = Place::of<Tile<T>>(block - blocks, B, I, splits_X);
    if (splits_W > 1) partials += (long long)blocks * (Tile<T>::NUMBERS + 1) * Tile<T>::THREADS, tickets += tiles; // behind those of dW
    Tile<T>::template run<V>(Matrix<T, true>{dY, O}, Matrix<T, true>{W, O}, B, I, O, place, Scratch<T>{partials, tickets}, TimesSlope<T, ACT>{kept, dX, I});
  }
}
