// Noise written to memory, where a model reads it.
#include "common.cuh"
#include "philox.cuh"

// The raw words (E1).   out (rows, columns).   NumPy twin: rng.words
// Plan: one thread per counter, that is per four columns. Writes 4 rows · columns bytes; about 60 operations per counter.
__global__ void words(unsigned* out, unsigned rows, unsigned columns, unsigned first_row, unsigned long long seed, unsigned stream,
                      const unsigned* step_at, unsigned step) {
  const unsigned groups = (columns + 3) / 4;
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)rows * groups) return;
  const unsigned row = i / groups, group = i % groups;
  const Four four = philox(group, first_row + row, number(step_at, step), stream, seed);
  for (int j = 0; j < 4; ++j)
    if (4 * group + j < columns) out[(long long)row * columns + 4 * group + j] = four.w[j];
}

// ε ~ N(0, 1) (E3).   out (rows, columns), row r holding the noise of row first_row + r.   NumPy twin: rng.normal
// Plan: one thread per counter, that is per four columns. Writes rows · columns numbers; about 40 operations each.
template <class T>
__global__ void normal(T* out, unsigned rows, unsigned columns, unsigned first_row, unsigned long long seed, unsigned stream,
                       const unsigned* step_at, unsigned step) {
  const unsigned groups = (columns + 3) / 4;
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)rows * groups) return;
  const unsigned row = i / groups, group = i % groups;
  const Normals<T> four = normals<T>(group, first_row + row, number(step_at, step), stream, seed);
  for (int j = 0; j < 4; ++j)
    if (4 * group + j < columns) out[(long long)row * columns + 4 * group + j] = four.v[j];
}

// u in [0, 1) (E2).   out (rows, columns), row r holding the noise of row first_row + r.
// NumPy twin: rng.uniform, bit for bit
// Plan: one thread per counter, that is per four columns. Writes rows · columns numbers; about 15 operations each.
template <class T>
__global__ void uniforms(T* out, unsigned rows, unsigned columns, unsigned first_row, unsigned long long seed,
                         unsigned stream, const unsigned* step_at, unsigned step) {
  const unsigned groups = (columns + 3) / 4;
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)rows * groups) return;
  const unsigned row = i / groups, group = i % groups;
  const Four four = philox(group, first_row + row, number(step_at, step), stream, seed);
  for (int j = 0; j < 4; ++j)
    if (4 * group + j < columns) out[(long long)row * columns + 4 * group + j] = uniform<T>(four.w[j]);
}

// y = x · [u ≥ rate] · kept, kept = 1 / (1 − rate) (E73).   x, u, y (n,).   NumPy twin: dropout, dropout_backward
// Plan: one thread per V neighbours. Moves 3 n numbers; 3 operations each.
template <class T, int V> __global__ void dropout(const T* x, const T* u, T* y, T rate, T kept, long long n) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n) return;
  Pack<T, V> pack = load<V>(x + i);
  const Pack<T, V> chance = load<V>(u + i);
  for (int j = 0; j < V; ++j) pack.v[j] *= chance.v[j] >= rate ? kept : T(0);
  store(y + i, pack);
}
