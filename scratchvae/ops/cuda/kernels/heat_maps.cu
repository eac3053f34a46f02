// Where a joint is, as a picture, and back. NumPy twin: ops/numpy/heat_maps.py
#include "common.cuh"
#include "whole.cuh"

// out = exp(−((w − x)² + (h − y)²) / 2σ²), times 0 where a joint is not seen.
// points (B, J, 2), in pixels of an image of which a map's are `stride` wide · seen (B, J), whole numbers, or null →
// out (B, H, W, J).   NumPy twin: heat_maps
// Plan: one thread per number. Writes B H W J numbers; about 50 operations each.
template <class T>
__global__ void heat_maps(const T* points, const void* seen, int kind, T half_over_variance, T stride, T* out,
                          long long n, int H, int W, int J) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= n) return;
  const int j = i % J;
  const long long pixel = i / J, image = pixel / W / H, at = image * J + j;
  T made = seen ? T(whole(seen, kind, at)) : T(1);
  for (int axis = 0; axis < 2; ++axis) {
    const T place = (points[2 * at + axis] + T(0.5)) / stride - T(0.5);
    const T apart = T(axis ? int(pixel / W % H) : int(pixel % W)) - place;
    made *= exp(-apart * apart * half_over_variance);
  }
  out[i] = made;
}

// Where each map is highest, the first of several places, moved a quarter of a pixel towards the higher neighbour on
// each axis.
// maps (N, H, W, J) → out (N, J, 2), x and y.   NumPy twin: peaks
// Plan: one thread per map; neighbours read neighbouring joints. Reads N H W J numbers.
template <class T> __global__ void peaks(const T* maps, double* out, int N, int H, int W, int J) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)N * J) return;
  const T* const map = maps + i / J * H * W * J + i % J;
  int highest = 0;
  T best = map[0];
  for (int place = 1; place < H * W; ++place) {
    const T value = map[(long long)place * J];
    if (value > best || (value != value && best == best)) best = value, highest = place; // a NaN is, as for np.argmax
  }
  for (int axis = 0; axis < 2; ++axis) {
    const int at = axis ? highest / W : highest % W, size = axis ? H : W;
    const long long step = axis ? (long long)W * J : J;
    double moved = at;
    if (at > 0 && at < size - 1) {
      const T* const here = map + (long long)highest * J;
      const T rise = here[step] - here[-step];
      moved += rise != rise ? double(rise) : 0.25 * ((rise > 0) - (rise < 0));
    }
    out[2 * i + axis] = moved;
  }
}
