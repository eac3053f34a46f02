// Smaller and larger images without weights (E67–E70). Images are (B, H, W, C); windows of kh × kw pixels, the next one
// s × t further, h × w of them. NumPy twin: ops/numpy/pooling.py
//
// Plan of all: one block of 128 threads per row of pixels that is written; each thread takes every 128th pack of V
// channels. Whoever writes a pixel gathers all that comes to it, in NumPy's order: nothing is added to from two sides,
// and nothing needs to be 0 before.
#include "common.cuh"

constexpr int THREADS = 128;

// y = the largest number of each window (E67); a NaN is larger than all, as in np.maximum.
// x (B, H, W, C) → y (B, h, w, C)
// NumPy twin: max_pool
// Plan: as above. Reads kh kw numbers for one that it writes.
template <class T, int V>
__global__ void max_pool(const T* x, T* y, int H, int W, int C, int h, int w, int kh, int kw, int s, int t) {
  const int packs = C / V;
  const T* const corner = x + ((long long)(blockIdx.x / h) * H + blockIdx.x % h * s) * W * C;
  for (int j = threadIdx.x; j < w * packs; j += THREADS) {
    const int column = j / packs, c = j % packs * V;
    const T* const window = corner + (long long)column * t * C + c;
    Pack<T, V> best = load<V>(window);
    for (int i = 0; i < kh; ++i)
      for (int k = 0; k < kw; ++k) {
        const Pack<T, V> pack = load<V>(window + ((long long)i * W + k) * C);
        for (int l = 0; l < V; ++l)
          if (pack.v[l] > best.v[l] || pack.v[l] != pack.v[l]) best.v[l] = pack.v[l];
      }
    store(y + ((long long)blockIdx.x * w + column) * C + c, best);
  }
}

// dX = the sum of dY over the windows whose largest number this pixel is, the first of several that are equal (E67).
// dY, y (B, h, w, C) · x, dX (B, H, W, C).   NumPy twin: max_pool_backward
// Plan: as above. A pixel asks each window that holds it whether an earlier place has the largest number too: kh kw / 2
// reads a window.
template <class T, int V>
__global__ void max_pool_backward(const T* dY, const T* x, const T* y, T* dX, int H, int W, int C, int h, int w, int kh,
                                  int kw, int s, int t) {
  const int packs = C / V, image = blockIdx.x / H, row = blockIdx.x % H;
  for (int j = threadIdx.x; j < W * packs; j += THREADS) {
    const int column = j / packs, c = j % packs * V;
    const long long at = ((long long)blockIdx.x * W + column) * C + c;
    const Pack<T, V> mine = load<V>(x + at);
    Pack<T, V> sum = {};
    for (int i = row % s; i < kh && i <= row; i += s)
      for (int k = column % t; k < kw && k <= column; k += t) {
        const int m = (row - i) / s, n = (column - k) / t;
        if (m >= h || n >= w) continue; // behind the last window
        const long long from = (((long long)image * h + m) * w + n) * C + c;
        const Pack<T, V> largest = load<V>(y + from), dy = load<V>(dY + from);
        const T* const window = x + (((long long)image * H + m * s) * W + n * t) * C + c;
        Pack<bool, V> first;
        for (int l = 0; l < V; ++l) first.v[l] = mine.v[l] == largest.v[l];
        for (int e = 0; e < i * kw + k; ++e) {
          const Pack<T, V> before = load<V>(window + ((long long)(e / kw) * W + e % kw) * C);
          for (int l = 0; l < V; ++l) first.v[l] = first.v[l] && before.v[l] != largest.v[l];
        }
        for (int l = 0; l < V; ++l)
          if (first.v[l]) sum.v[l] += dy.v[l];
      }
    store(dX + at, sum);
  }
}

// y = factor · the sum of each window (E68, E69).   x (B, H, W, C) → y (B, h, w, C)
// NumPy twin: average_pool, where factor is 1 / (kh kw); upsample_nearest_backward, where it is 1 and windows lie side
// by side
// Plan: as above. Reads kh kw numbers for one that it writes.
template <class T, int V>
__global__ void window_sums(const T* x, T* y, int H, int W, int C, int h, int w, int kh, int kw, int s, int t,
                            T factor) {
  const int packs = C / V;
  const T* const corner = x + ((long long)(blockIdx.x / h) * H + blockIdx.x % h * s) * W * C;
  for (int j = threadIdx.x; j < w * packs; j += THREADS) {
    const int column = j / packs, c = j % packs * V;
    Pack<T, V> sum = {};
    for (int i = 0; i < kh; ++i)
      for (int k = 0; k < kw; ++k) {
        const Pack<T, V> pack = load<V>(corner + ((long long)i * W + column * t + k) * C + c);
        for (int l = 0; l < V; ++l) sum.v[l] += pack.v[l];
      }
    for (int l = 0; l < V; ++l) sum.v[l] *= factor;
    store(y + ((long long)blockIdx.x * w + column) * C + c, sum);
  }
}

// dX = factor · the sum of dY over the windows that hold the pixel (E68, E69): the adjoint.
// dY (B, h, w, C) → dX (B, H, W, C)
// NumPy twin: average_pool_backward; upsample_nearest
// Plan: as above. Reads about kh kw / (s t) numbers for one that it writes.
template <class T, int V>
__global__ void window_spread(const T* dY, T* dX, int H, int W, int C, int h, int w, int kh, int kw, int s, int t,
                              T factor) {
  const int packs = C / V, image = blockIdx.x / H, row = blockIdx.x % H;
  for (int j = threadIdx.x; j < W * packs; j += THREADS) {
    const int column = j / packs, c = j % packs * V;
    Pack<T, V> sum = {};
    for (int i = row % s; i < kh && i <= row; i += s)
      for (int k = column % t; k < kw && k <= column; k += t) {
        const int m = (row - i) / s, n = (column - k) / t;
        if (m >= h || n >= w) continue; // behind the last window
        const Pack<T, V> dy = load<V>(dY + (((long long)image * h + m) * w + n) * C + c);
        for (int l = 0; l < V; ++l) sum.v[l] += factor * dy.v[l];
      }
    store(dX + ((long long)blockIdx.x * W + column) * C + c, sum);
  }
}

// Of f rows made of one, row i lies d = (2 i + 1 − f) / 2 f rows of the small image below it: there stand its two
// shares.
struct Line {
  int own, other; // rows of the small image; the same where there is no neighbour
  __device__ Line(int row, int f, int rows) : own(row / f), other(own) {
    const int twice = 2 * (row % f) + 1 - f;
    if (twice > 0 && own < rows - 1) ++other;
    if (twice < 0 && own > 0) --other;
  }
  template <class T> static __device__ T share(int row, int f) { // of the other: |d|
    const int twice = 2 * (row % f) + 1 - f;
    return T(twice < 0 ? -twice : twice) / T(2 * f);
  }
};

// y: straight lines between the centres of pixels, down the columns, then along the rows (E70).
// x (B, H, W, C) → y (B, f H, g W, C)
// NumPy twin: upsample_bilinear, in two passes
// Plan: as above. Reads 4 numbers for one that it writes.
template <class T, int V> __global__ void upsample_bilinear(const T* x, T* y, int H, int W, int C, int f, int g) {
  const int packs = C / V, row = blockIdx.x % (f * H), wide = g * W;
  const Line down(row, f, H);
  const T d = Line::share<T>(row, f);
  const T* const image = x + (long long)(blockIdx.x / (f * H)) * H * W * C;
  const T* const near = image + (long long)down.own * W * C;
  const T* const far = image + (long long)down.other * W * C;
  for (int j = threadIdx.x; j < wide * packs; j += THREADS) {
    const int column = j / packs, c = j % packs * V;
    const Line along(column, g, W);
    const T e = Line::share<T>(column, g);
    Pack<T, V> made[2];
    for (int side = 0; side < 2; ++side) {
      const int n = side ? along.other : along.own;
      const Pack<T, V> a = load<V>(near + (long long)n * C + c), b = load<V>(far + (long long)n * C + c);
      for (int l = 0; l < V; ++l) made[side].v[l] = a.v[l] + d * (b.v[l] - a.v[l]);
    }
    for (int l = 0; l < V; ++l) made[0].v[l] += e * (made[1].v[l] - made[0].v[l]);
    store(y + ((long long)blockIdx.x * wide + column) * C + c, made[0]);
  }
}

// What row m of `rows` has given to row `row` of the f times as many: 1 − |d|, |d|, 1 at an edge, or 0.
template <class T> __device__ T given(int m, int row, int f, int rows) {
  const Line line(row, f, rows);
  const T d = Line::share<T>(row, f);
  return (line.own == m ? 1 - d : T(0)) + (line.other == m ? d : T(0));
}

// The adjoint: a pixel gets the gradients of all that it gave to, with the shares it gave (E70).
// dY (B, f H, g W, C) → dX (B, H, W, C)
// NumPy twin: upsample_bilinear_backward
// Plan: as above. Reads about 4 f g numbers for one that it writes.
template <class T, int V>
__global__ void upsample_bilinear_backward(const T* dY, T* dX, int H, int W, int C, int f, int g) {
  const int packs = C / V, m = blockIdx.x % H, tall = f * H, wide = g * W;
  const T* const image = dY + (long long)(blockIdx.x / H) * tall * wide * C;
  const int top = max(0, f * m - f / 2), bottom = min(tall, f * m + f + f / 2);
  for (int j = threadIdx.x; j < W * packs; j += THREADS) {
    const int n = j / packs, c = j % packs * V;
    const int left = max(0, g * n - g / 2), right = min(wide, g * n + g + g / 2);
    Pack<T, V> sum = {};
    for (int row = top; row < bottom; ++row) {
      const T of_row = given<T>(m, row, f, H);
      for (int column = left; column < right; ++column) {
        const T share = of_row * given<T>(n, column, g, W);
        const Pack<T, V> dy = load<V>(image + ((long long)row * wide + column) * C + c);
        for (int l = 0; l < V; ++l) sum.v[l] += share * dy.v[l];
      }
    }
    store(dX + ((long long)blockIdx.x * W + n) * C + c, sum);
  }
}
