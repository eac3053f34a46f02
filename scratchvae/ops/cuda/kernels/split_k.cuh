// Which tile of which product a block computes; and split-K: several blocks share one tile of the result, each adding up its
// own stretch of k. It fills the GPU when the result has few tiles.
//
// Each block of a tile writes its part; the one that takes the tile's last ticket adds all parts in the order of k, whoever comes
// last, so the sum repeats bit for bit. The ticket is an integer: no float is ever added by an atomic.
#pragma once

template <class T> struct Scratch {
  T* partials;       // as many per tile and split as the tile has numbers, and one more per thread
  unsigned* tickets; // one per tile: 0 before the launch, and 0 again after it
};

// Instead of a Scratch: each block's part is a result of its own, and the epilogue says where it goes.
struct Apart {};

// A block's part of one product: tile (m, n) of `tiles`, and the stretch of k numbered `split` of `splits`.
struct Place {
  int m, n, split, splits, tile, tiles;

  // The blocks of a product are numbered from 0: all tiles, row by row, for the first stretch of k, then for the second …
  template <class Tile> static __device__ Place of(int block, int rows, int columns, int splits) {
    const int across = (columns + Tile::BN - 1) / Tile::BN, tiles = count<Tile>(rows, columns), tile = block % tiles;
    return {tile / across, tile % across, block / tiles, splits, tile, tiles};
  }
  template <class Tile> static __device__ int count(int rows, int columns) {
    return (rows + Tile::BM - 1) / Tile::BM * ((columns + Tile::BN - 1) / Tile::BN);
  }
};

// The stretch of k that is this block's, in whole steps of BK.
struct Stretch {
  int begin, end;
};
template <int BK> __device__ Stretch stretch_of_k(Place place, int K) {
  const long long steps = (K + BK - 1) / BK;
  const int begin = steps * place.split / place.splits * BK, end = steps * (place.split + 1) / place.splits * BK;
  return {begin, end < K ? end : K};
}

// `each` calls a function for every number (by reference) that this thread holds, with its index; there are VALUES.
// Returns whether this block now holds the whole sum; the others are done.
template <int VALUES, class T, class Each> __device__ bool holds_the_whole_sum(Place place, Scratch<T> scratch, Each each) {
  if (place.splits == 1) return true;
  __shared__ bool last;
  const long long threads = blockDim.x;
  const auto part = [&](long long split) { return scratch.partials + (split * place.tiles + place.tile) * VALUES * threads + threadIdx.x; };
  T* mine = part(place.split);
  each([&](T& value, int index) { mine[index * threads] = value; });
  __threadfence(); // what this thread wrote stands in memory before its block takes a ticket
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(scratch.tickets + place.tile, 1u) == place.splits - 1;
    if (last) scratch.tickets[place.tile] = 0;
  }
  __syncthreads();
  if (!last) return false;
  __threadfence();
  const T* first = part(0);
  each([&](T& value, int index) { value = __ldcg(first + index * threads); });
  for (int split = 1; split < place.splits; ++split) {
    const T* next = part(split);
    each([&](T& value, int index) { value += __ldcg(next + index * threads); });
  }
  return true;
}
template <int VALUES, class Each> __device__ bool holds_the_whole_sum(Place, Apart, Each) { return true; }
