// Normalisation (E71, E72): x minus its mean, over its standard deviation, then scaled and shifted.
// NumPy twin: ops/numpy/normalisation.py
//
// x is (R, P, G, D): R rows of P pixels of C = G D channels; a mean is taken over the P D numbers of a row's group.
// Sums take two steps. First along the pixels, channel by channel, since channels are what lies side by side: in S
// stretches, so that there are blocks enough. Then over the stretches and the channels of a group. Where pixels are
// few, the second step takes them as they are, S = P. So batch, layer and group norm are sums of the same kind, and so are
// the gradients of scale and shift, of a view (1, R S, C, 1).
#include "common.cuh"

constexpr int THREADS = 256;

// n numbers: their mean, and the sum of their squared distances from it.
template <class T> struct Moments {
  T n, mean, squares;
  // Chan et al. (1979): no digits are lost where the mean is large, as they are in E x² − mean².
  __device__ void add(const Moments& b) {
    if (b.n == 0) return;
    const T total = n + b.n, apart = b.mean - mean;
    mean += apart * (b.n / total);
    squares += b.squares + apart * apart * (n * b.n / total);
    n = total;
  }
  __device__ Moments from_lane_above(int gap) const {
    return {__shfl_down_sync(0xffffffffu, n, gap), __shfl_down_sync(0xffffffffu, mean, gap),
            __shfl_down_sync(0xffffffffu, squares, gap)};
  }
};

template <class T> struct Sums {
  T a, b;
  __device__ void add(const Sums& other) { a += other.a, b += other.b; }
  __device__ Sums from_lane_above(int gap) const {
    return {__shfl_down_sync(0xffffffffu, a, gap), __shfl_down_sync(0xffffffffu, b, gap)};
  }
};

// Where a stretch of the P pixels begins.
__device__ inline int begin_of(int stretch, int stretches, int P) { return (long long)P * stretch / stretches; }

// For each row, stretch and channel: take(part, place in x) for every pixel, then give(part, place in (R, S, C)).
// One block per row, stretch and `width` channels: its threads are `width` channels by as many pixels at once as there
// is room for.
template <class Part, class Take, class Give>
__device__ void columns(int P, int C, int S, int width, Take take, Give give) {
  __shared__ Part parts[THREADS];
  const int tiles = (C + width - 1) / width, at_once = THREADS / width;
  const int tile = blockIdx.x % tiles, s = blockIdx.x / tiles % S, r = blockIdx.x / tiles / S;
  const int c = tile * width + threadIdx.x % width, lane = threadIdx.x / width;
  Part mine = {};
  if (lane < at_once && c < C)
    for (int p = begin_of(s, S, P) + lane; p < begin_of(s + 1, S, P); p += at_once)
      take(mine, ((long long)r * P + p) * C + c);
  parts[threadIdx.x] = mine;
  for (int n = at_once, half; n > 1; n = half) {
    half = (n + 1) / 2;
    __syncthreads(); // the level before is written
    if (lane + half < n) parts[threadIdx.x].add(parts[threadIdx.x + half * width]);
  }
  if (lane == 0 && c < C) give(parts[threadIdx.x], ((long long)r * S + s) * C + c);
}

// take(part, stretch, place in (R, S, G, D)) for each stretch and channel of a group, one warp per row and group, in a
// fixed tree; its lane 0 has the result, for number `of` of (R, G), or −1 if there is none.
template <class Part, class Take>
__device__ Part of_group(int R, int S, int G, int D, Take take, long long* of) {
  const long long group = blockIdx.x * (THREADS / 32LL) + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  Part part = {};
  *of = group < (long long)R * G && lane == 0 ? group : -1;
  if (group >= (long long)R * G) return part; // a whole warp at a time
  for (int i = lane; i < S * D; i += 32) take(part, i / D, ((group / G * S + i / D) * G + group % G) * D + i % D);
  for (int gap = 16; gap > 0; gap /= 2) part.add(part.from_lane_above(gap));
  return part;
}

// The mean of each channel over each stretch, and the sum of squared distances from it.
// x (R, P, C) → means, squares (R, S, C)
// NumPy twin: the first half of normalise
// Plan: as above. Reads R P C numbers, once; about 8 operations each.
template <class T>
__global__ void channel_moments(const T* x, T* means, T* squares, int P, int C, int S, int width) {
  const auto take = [&](Moments<T>& part, long long at) {
    part.n += 1;
    const T apart = x[at] - part.mean;
    part.mean += apart / part.n;
    part.squares += apart * (x[at] - part.mean);
  };
  const auto give = [&](const Moments<T>& part, long long at) { means[at] = part.mean, squares[at] = part.squares; };
  columns<Moments<T>>(P, C, S, width, take, give);
}

// mean and rstd = 1/√(variance + ε) of each row and group (E71).
// means, squares (R, S, G, D), squares null for 0 → mean, rstd (R, G)
// NumPy twin: the second half of normalise's sums
// Plan: one warp per row and group. Reads 2 R S G D numbers; about 10 operations each.
template <class T>
__global__ void __launch_bounds__(THREADS)
    group_moments(const T* means, const T* squares, T* mean, T* rstd, int R, int P, int S, int G, int D, T eps) {
  const auto take = [&](Moments<T>& part, int s, long long at) {
    part.add({T(begin_of(s + 1, S, P) - begin_of(s, S, P)), means[at], squares ? squares[at] : T(0)});
  };
  long long of;
  const Moments<T> part = of_group<Moments<T>>(R, S, G, D, take, &of);
  if (of < 0) return;
  mean[of] = part.mean;
  rstd[of] = 1 / sqrt(part.squares / part.n + eps);
}

// Σ dY and Σ dY x̂ of each channel over each stretch.   dY, xhat (R, P, C) → sums, products (R, S, C)
// NumPy twin: a part of the sums of normalise_backward
// Plan: as above. Reads 2 R P C numbers; 3 operations each.
template <class T>
__global__ void __launch_bounds__(THREADS)
    channel_sums(const T* dY, const T* xhat, T* sums, T* products, int P, int C, int S, int width) {
  const auto take = [&](Sums<T>& part, long long at) { part.add({dY[at], dY[at] * xhat[at]}); };
  const auto give = [&](const Sums<T>& part, long long at) { sums[at] = part.a, products[at] = part.b; };
  columns<Sums<T>>(P, C, S, width, take, give);
}

// Σ and Σ products of each row and group, each channel times its weight.
// sums, products (R, S, G, D) · weight (G, D), null for 1
// → sum, product (R, G). Of dY and x̂ themselves if xhat is given in place of products. product may be null.
// NumPy twin: sums of normalise_backward: `level` and `along` with the scale, dshift and dscale without
// Plan: one warp per row and group. Reads 2 to 3 R S G D numbers.
template <class T>
__global__ void __launch_bounds__(THREADS)
    group_sums(const T* sums, const T* products, const T* xhat, const T* weight, T* sum, T* product, int R, int S,
               int G, int D) {
  const int C = G * D;
  const auto take = [&](Sums<T>& part, int, long long at) {
    const T w = weight ? weight[at % C] : T(1);
    part.add({w * sums[at], w * (xhat ? sums[at] * xhat[at] : products[at])});
  };
  long long of;
  const Sums<T> part = of_group<Sums<T>>(R, S, G, D, take, &of);
  if (of < 0) return;
  sum[of] = part.a;
  if (product) product[of] = part.b;
}

// x̂ = (x − mean) · rstd,  y = scale · x̂ + shift (E71).   x, xhat, y (n,), as rows of PC numbers · scale, shift (C,)
// Channel c of row r has its mean and rstd at r · of_row + c / run.
// NumPy twin: standardise, and the end of normalise
// Plan: one thread per V channels. Moves 3 n numbers; 4 operations each.
template <class T, int V>
__global__ void standardise(const T* x, const T* mean, const T* rstd, const T* scale, const T* shift, T* y, T* xhat,
                            long long n, long long PC, int C, int of_row, int run) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n) return;
  const int c = i % C;
  const long long row = i / PC * of_row;
  Pack<T, V> pack = load<V>(x + i), made;
  for (int l = 0; l < V; ++l) {
    const long long at = row + (c + l) / run;
    pack.v[l] = (pack.v[l] - mean[at]) * rstd[at];
    made.v[l] = pack.v[l] * scale[c + l] + shift[c + l];
  }
  store(xhat + i, pack);
  store(y + i, made);
}

// dX = rstd · (dx̂ − level / N − x̂ · along / N),  dx̂ = dY · scale (E72), without level and along if these are null.
// Level and along stand where rstd does; inverse is 1/N.   dY, xhat, dX (n,) · scale (C,)
// NumPy twin: the end of normalise_backward and standardise_backward
// Plan: one thread per V channels. Moves 2 to 3 n numbers; 7 operations each.
template <class T, int V>
__global__ void standardise_backward(const T* dY, const T* xhat, const T* rstd, const T* scale, const T* level,
                                     const T* along, T inverse, T* dX, long long n, long long PC, int C, int of_row, int run) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n) return;
  const int c = i % C;
  const long long row = i / PC * of_row;
  Pack<T, V> pack = load<V>(dY + i), of_x;
  if (along) of_x = load<V>(xhat + i);
  for (int l = 0; l < V; ++l) {
    const long long at = row + (c + l) / run;
    pack.v[l] *= scale[c + l];
    if (along) pack.v[l] -= of_x.v[l] * (along[at] * inverse);
    if (level) pack.v[l] -= level[at] * inverse;
    pack.v[l] *= rstd[at];
  }
  store(dX + i, pack);
}

// What running statistics fall by: pull · (r − that of the batch), whose variance is 1/rstd² − ε.   all (C,).
// NumPy twin: follow
// Plan: one thread per channel. Moves 6 C numbers.
template <class T>
__global__ void follow(const T* mean, const T* rstd, const T* running_mean, const T* running_variance, T pull, T eps,
                       T* dmean, T* dvariance, int C) {
  const long long c = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (c >= C) return;
  dmean[c] = pull * (running_mean[c] - mean[c]);
  dvariance[c] = pull * (running_variance[c] - (1 / (rstd[c] * rstd[c]) - eps));
}
