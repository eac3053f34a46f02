// Convolution as a product whose first factor nobody writes down: where a number of a patch is, is computed (E60, E64).
// NumPy twin: ops/numpy/convolution.py, patches.py and blocks.py
//
// The tiles are those of dense layers (tile_fma.cuh, tile_tf32.cuh); only the operands differ. Images are (B, H, W, C),
// kernels (kh, kw, I, O), from I channels of the larger image (H × W) to O of the smaller (h × w).
//   look    Y = patches(X) W      rows: outputs (b, y, x) · columns: o · k: taps (i, j, c)
//   spread  X = patches(Y) W′     rows: blocks (b, m, n) of s × t pixels · columns: pixel, channel · k: taps (i, j, o)
//   dW      dW = patches(X)ᵀ Y    rows: taps (i, j, c) · columns: o · k: outputs (b, y, x)
// W′ is the kernel taken apart by the stride and mirrored (blocks.py), also computed on the way. A convolution looks, and
// its gradient dX is spread; a transposed one spreads, and its dX is looked at.
#pragma once
#include "common.cuh"
#include "operand.cuh"
#include "split_k.cuh"

// Quotients by a number that is the same for all threads, as products: a division takes a GPU some twenty instructions.
struct Divisor {
  int by;
  unsigned factor; // 2³² / by, rounded down: so for 0 ≤ n < 2³¹, n · factor / 2³² is the quotient or one less
  __device__ explicit Divisor(int by) : by(by), factor(0xffffffffu / unsigned(by)) {}
  // → the remainder; n becomes the quotient
  __device__ int cut(int& n) const {
    int quotient = __umulhi(unsigned(n), factor), rest = n - quotient * by;
    if (rest >= by) ++quotient, rest -= by;
    n = quotient;
    return rest;
  }
};

// Sizes of a convolution, and what E64 makes of them.
struct Sizes {
  int B, H, W, I, h, w, O, kh, kw, s, t, p, q;
  __device__ int outputs() const { return B * h * w; }
  __device__ int taps() const { return kh * kw * I; }
  // Blocks of s × t pixels: how many meet the image, and from how many outputs either way one is reached.
  __device__ int rows() const { return (p + H - 1) / s - p / s + 1; }
  __device__ int columns() const { return (q + W - 1) / t - q / t + 1; }
  __device__ int down() const { return (kh + s - 1) / s; }
  __device__ int across() const { return (kw + t - 1) / t; }
};

// Every patch of an image: (window, tap), or (tap, window) for the product with the transposed.
template <class T, bool K_FASTEST_> struct Patches {
  static constexpr bool K_FASTEST = K_FASTEST_;
  const T* from;
  int H, W, s, t, p, q;
  Divisor h, w, kw, C;
  __device__ Patches(const T* x, int H, int W, int C, int h, int w, int kw, int s, int t, int p, int q)
      : from(x), H(H), W(W), s(s), t(t), p(p), q(q), h(h), w(w), kw(kw), C(C) {}
  __device__ Spot<T> find(int outer, int k) const {
    int image = K_FASTEST ? outer : k, i = K_FASTEST ? k : outer;
    const int c = C.cut(i), j = kw.cut(i), x = w.cut(image), y = h.cut(image);
    const int row = s * y + i - p, column = t * x + j - q;
    const bool exists = unsigned(row) < unsigned(H) && unsigned(column) < unsigned(W);
    return {from + (((long long)image * H + row) * W + column) * C.by + c, exists};
  }
};
template <bool K_FASTEST, class T> __device__ Patches<T, K_FASTEST> patches_of_image(const T* x, const Sizes& z) {
  return {x, z.H, z.W, z.I, z.h, z.w, z.kw, z.s, z.t, z.p, z.q};
}
template <class T> __device__ Patches<T, true> patches_of_outputs(const T* y, const Sizes& z) {
  const int above = z.down() - 1 - z.p / z.s, before = z.across() - 1 - z.q / z.t;
  return {y, z.h, z.w, z.O, z.rows(), z.columns(), z.across(), 1, 1, above, before};
}

// W′ at k (i, j, o) and column (a, b, c): W[s (k − 1 − i) + a, t (k′ − 1 − j) + b, c, o], and 0 where the kernel has ended.
template <class T> struct Mirrored {
  static constexpr bool K_FASTEST = true;
  const T* from;
  int kh, kw, s, last_i, last_j;
  Divisor across, O, t, I;
  __device__ Mirrored(const T* W, const Sizes& z)
      : from(W), kh(z.kh), kw(z.kw), s(z.s), last_i(z.down() - 1), last_j(z.across() - 1), across(z.across()), O(z.O),
        t(z.t), I(z.I) {}
  __device__ Spot<T> find(int outer, int k) const {
    int a = outer, i = k;
    const int c = I.cut(a), b = t.cut(a), o = O.cut(i), j = across.cut(i);
    const int row = s * (last_i - i) + a, column = t.by * (last_j - j) + b;
    return {from + (((long long)row * kw + column) * I.by + c) * O.by + o, row < kh && column < kw};
  }
};

template <class T> struct WithBias {
  static constexpr bool COLUMN_SUMS = false;
  const T* b; // or null
  T* out;
  int pitch;
  template <int V> __device__ void finish(Pack<T, V> y, int row, int column) const {
    if (b) {
      const Pack<T, V> bias = load<V>(b + column);
      for (int i = 0; i < V; ++i) y.v[i] += bias.v[i];
    }
    store(out + (long long)row * pitch + column, y);
  }
};

// Blocks of s × t pixels, put together to images; what is padding is left out.
template <class T> struct Joined {
  static constexpr bool COLUMN_SUMS = false;
  const T* b; // or null
  T* out;
  int H, W, s, top, left;
  Divisor rows, columns, t, I;
  __device__ Joined(const T* b, T* out, const Sizes& z)
      : b(b), out(out), H(z.H), W(z.W), s(z.s), top(z.p % z.s), left(z.q % z.t), rows(z.rows()), columns(z.columns()),
        t(z.t), I(z.I) {}
  template <int V> __device__ void finish(Pack<T, V> x, int block, int place) const {
    const int c = I.cut(place), column = t.cut(place), n = columns.cut(block), m = rows.cut(block);
    const int at_row = s * m + place - top, at_column = t.by * n + column - left;
    if (unsigned(at_row) >= unsigned(H) || unsigned(at_column) >= unsigned(W)) return;
    if (b) {
      const Pack<T, V> bias = load<V>(b + c);
      for (int i = 0; i < V; ++i) x.v[i] += bias.v[i];
    }
    store(out + (((long long)block * H + at_row) * W + at_column) * I.by + c, x);
  }
};

// One tile of Y = patches(X) W + b, and of the way back X = patches(Y) W′ + b.
template <class Tile, int V, class T>
__device__ void look(const T* x, const T* W, const T* b, T* y, const Sizes& z, int block) {
  const Place place = Place::of<Tile>(block, z.outputs(), z.O, 1);
  Tile::template run<V>(patches_of_image<true>(x, z), Matrix<T, false>{W, z.O}, z.outputs(), z.O, z.taps(), place, Apart{},
                        WithBias<T>{b, y, z.O});
}
template <class Tile, int V, class T>
__device__ void spread(const T* y, const T* W, const T* b, T* x, const Sizes& z, int block) {
  const int blocks = z.B * z.rows() * z.columns(), numbers = z.s * z.t * z.I, taps = z.down() * z.across() * z.O;
  const Place place = Place::of<Tile>(block, blocks, numbers, 1);
  Tile::template run<V>(patches_of_outputs(y, z), Mirrored<T>(W, z), blocks, numbers, taps, place, Apart{},
                        Joined<T>(b, x, z));
}

// Σ_rows of a stretch of x (rows, C) → out (C,): lines of C threads take every so many rows, then a tree adds up the lines.
template <int THREADS, class T> __device__ void column_sums(const T* x, long long begin, long long end, int C, T* out) {
  __shared__ T of_thread[THREADS];
  for (int first = 0; first < C; first += THREADS) {
    const int across = min(THREADS, C - first), line = threadIdx.x / across, column = threadIdx.x % across;
    int lines = THREADS / across;
    T sum = 0;
    if (line < lines)
      for (long long row = begin + line; row < end; row += lines) sum += x[row * C + first + column];
    for (__syncthreads(), of_thread[threadIdx.x] = sum; lines > 1; lines = (lines + 1) / 2) {
      __syncthreads();
      if (line < lines / 2) of_thread[threadIdx.x] += of_thread[threadIdx.x + (lines + 1) / 2 * across];
    }
    __syncthreads();
    if (line == 0) out[first + column] = of_thread[threadIdx.x];
  }
}

// Y = patches(X) W + b (E62), or if TRANSPOSED X = patches(Y) W′ + b (E65).   X (B, H, W, I) · Y (B, h, w, O)
// NumPy twin: conv2d; conv_transpose2d
// Plan: tiles of the result, each number of a patch found when it is wanted. Reads a pixel as often as windows hold it, from
// the caches; does 2 · outputs · taps · O operations, and TRANSPOSED those of the zeros that fill a kernel up to whole strides.
template <class T, template <class> class Tile, bool TRANSPOSED, int V>
__global__ void __launch_bounds__(Tile<T>::THREADS, V > 1 ? Tile<T>::BLOCKS : Tile<T>::NARROW_BLOCKS)
    convolution(const T* from, const T* kernel, const T* b, T* to, int B, int H, int W, int I, int h, int w, int O, int kh,
                int kw, int s, int t, int p, int q) {
  const Sizes z{B, H, W, I, h, w, O, kh, kw, s, t, p, q};
  if constexpr (TRANSPOSED) spread<Tile<T>, V>(from, kernel, b, to, z, blockIdx.x);
  else look<Tile<T>, V>(from, kernel, b, to, z, blockIdx.x);
}

// dW = patches(X)ᵀ Y (E63, E66), db = Σ_pixels dY, and dX as the other direction of the same convolution.
// given, what forward was given, and dY are X and Y, or if TRANSPOSED Y and X
//   → dW (splits, kh, kw, I, O), db (splits, channels of dY), dX as given
// NumPy twin: conv2d_backward; conv_transpose2d_backward
// Plan: all in one launch: first the tiles of dW, for each of `splits` stretches of outputs, of which there are many, while
// taps are few; then a block for each stretch of db; then the tiles of dX (none if nobody asks for it). sum_parts adds up.
template <class T, template <class> class Tile, bool TRANSPOSED, int V>
__global__ void __launch_bounds__(Tile<T>::THREADS, V > 1 ? Tile<T>::BLOCKS : Tile<T>::NARROW_BLOCKS)
    convolution_backward(const T* dY, const T* given, const T* kernel, T* dX, T* dW, T* db, int B, int H, int W, int I, int h,
                         int w, int O, int kh, int kw, int s, int t, int p, int q, int splits) {
  const Sizes z{B, H, W, I, h, w, O, kh, kw, s, t, p, q};
  const int taps = z.taps(), tiles = Place::count<Tile<T>>(taps, O) * splits, block = blockIdx.x;
  if (block < tiles) {
    const T *image = TRANSPOSED ? dY : given, *outputs = TRANSPOSED ? given : dY;
    const Place place = Place::of<Tile<T>>(block, taps, O, splits);
    T* part = dW + (long long)place.split * taps * O;
    Tile<T>::template run<V>(patches_of_image<false>(image, z), Matrix<T, false>{outputs, O}, taps, O, z.outputs(), place,
                             Apart{}, WithBias<T>{nullptr, part, O});
  } else if (block < tiles + splits) {
    const int split = block - tiles, channels = TRANSPOSED ? I : O;
    const long long pixels = TRANSPOSED ? (long long)B * H * W : z.outputs();
    T* part = db + (long long)split * channels;
    column_sums<Tile<T>::THREADS>(dY, pixels * split / splits, pixels * (split + 1) / splits, channels, part);
  } else if constexpr (TRANSPOSED) look<Tile<T>, V>(dY, kernel, (const T*)nullptr, dX, z, block - tiles - splits);
  else spread<Tile<T>, V>(dY, kernel, (const T*)nullptr, dX, z, block - tiles - splits);
}
