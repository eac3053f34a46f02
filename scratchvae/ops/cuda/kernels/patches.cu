// Patches of images, and the way back (E60, E61). Convolutions need none: convolution.cuh computes where they would be.
#include "convolution.cuh"

// P[b, y, x, i, j, c] = X[b, s y + i − p, t x + j − q, c], 0 outside.   x (B, H, W, C) → out (B, h, w, kh, kw, C)
// NumPy twin: patches
// Plan: one thread per V neighbours of out. Reads a pixel as often as windows hold it; nothing to compute but places.
template <class T, int V>
__global__ void patches(const T* x, T* out, int B, int H, int W, int C, int h, int w, int kh, int kw, int s, int t, int p,
                        int q) {
  const long long number = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  const int taps = kh * kw * C;
  if (number >= (long long)B * h * w * taps) return;
  const Patches<T, true> all(x, H, W, C, h, w, kw, s, t, p, q);
  const Spot<T> spot = all.find(number / taps, number % taps);
  store(out + number, spot.exists ? load<V>(spot.at) : Pack<T, V>{});
}

// dX[b, s y + i − p, t x + j − q, c] = Σ dP[b, y, x, i, j, c].   dP (B, h, w, kh, kw, C) → dX (B, H, W, C)
// NumPy twin: patches_backward
// Plan: one thread per V neighbours of dX, which asks every (i, j) for the window that holds its pixel there, in NumPy's
// order: so no number is written twice. Reads dP once.
template <class T, int V>
__global__ void patches_backward(const T* dP, T* dX, int B, int H, int W, int C, int h, int w, int kh, int kw, int s, int t,
                                 int p, int q) {
  const long long number = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (number >= (long long)B * H * W * C) return;
  const int c = number % C;
  const long long pixel = number / C, image = pixel / W / H;
  const int column = pixel % W + q, row = pixel / W % H + p;
  Pack<T, V> sum = {};
  for (int i = 0; i < kh; ++i)
    for (int j = 0; j < kw; ++j) {
      const int y = (row - i) / s, x = (column - j) / t;
      if (row < i || column < j || (row - i) % s || (column - j) % t || y >= h || x >= w) continue;
      const Pack<T, V> dp = load<V>(dP + ((((image * h + y) * w + x) * kh + i) * kw + j) * C + c);
      for (int l = 0; l < V; ++l) sum.v[l] += dp.v[l];
    }
  store(dX + number, sum);
}
