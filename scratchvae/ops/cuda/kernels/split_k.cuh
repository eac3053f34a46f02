// Split-K: several blocks (blockIdx.z) share one tile of the result, each adding up its own stretch of k. It fills the GPU when
// the result has few tiles. Each block writes its part; the one that takes the tile's last ticket adds all parts in
// the order of k, whoever comes last, so the sum repeats bit for bit. The ticket is an integer: no float is ever added by an atomic.
#pragma once

template <class T> struct Splits {
  T* partials;       // VALUES · threads numbers per tile and split
  unsigned* tickets; // one per tile: 0 before the launch, and 0 again after it
};

// `each` calls a function for every number (by reference) that this thread holds, with its index below VALUES.
// Returns whether this block now holds the whole sum; the others are done.
template <int VALUES, class T, class Each> __device__ bool holds_the_whole_sum(Splits<T> splits, Each each) {
  if (gridDim.z == 1) return true;
  __shared__ bool last;
  const long long tile = blockIdx.y * gridDim.x + blockIdx.x, tiles = (long long)gridDim.x * gridDim.y, threads = blockDim.x;
  const auto part = [&](unsigned split) { return splits.partials + (split * tiles + tile) * VALUES * threads + threadIdx.x; };
  T* mine = part(blockIdx.z);
  each([&](T& value, int index) { mine[index * threads] = value; });
  __threadfence(); // what this thread wrote stands in memory before its block takes a ticket
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(splits.tickets + tile, 1u) == gridDim.z - 1;
    if (last) splits.tickets[tile] = 0;
  }
  __syncthreads();
  if (!last) return false;
  __threadfence();
  const T* first = part(0);
  each([&](T& value, int index) { value = __ldcg(first + index * threads); });
  for (unsigned split = 1; split < gridDim.z; ++split) {
    const T* next = part(split);
    each([&](T& value, int index) { value += __ldcg(next + index * threads); });
  }
  return true;
}

// The stretch of k that is this block's, in whole tiles of BK.
struct Stretch {
  int begin, end;
};
template <int BK> __device__ Stretch stretch_of_k(int K) {
  const long long tiles = (K + BK - 1) / BK;
  const int begin = tiles * blockIdx.z / gridDim.z * BK, end = tiles * (blockIdx.z + 1) / gridDim.z * BK;
  return {begin, end < K ? end : K};
}
