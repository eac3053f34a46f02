// A ladder of matrix products, for study: C = A B, each rung with the one idea that it adds to the rung below.
// A (M, K) · B (K, N) → C (M, N), rows contiguous.   NumPy twin of every rung: np.matmul(A, B, out=C)
//
// Every rung does 2 M N K operations and must move M K + K N + M N numbers between memory and multiprocessors at the very least.
// How much it really moves is what the rungs differ in; each states its own traffic, in numbers. Each walks k in order, so
// results differ between rungs by rounding only (products and sums may be fused), or by TF32's rounding on the fifth.
#include "affine.cuh"
#include "tile_fma.cuh"

// Rung 1, naive: one thread per number of C, straight from the formula. Asks memory (mostly the caches) for 2 M N K numbers.
template <class T> __global__ void naive(const T* A, const T* B, T* C, int M, int N, int K) {
  const int row = blockIdx.y * blockDim.y + threadIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= M || column >= N) return;
  T sum = 0;
  for (int k = 0; k < K; ++k) sum += A[(long long)row * K + k] * B[(long long)k * N + column];
  C[(long long)row * N + column] = sum;
}

// Rung 2, shared tiles: a block brings 16 × 16 parts of A and B to shared memory, and each number serves 16 threads there.
// Asks memory for 2 M N K / 16 numbers; shared memory still for 2 M N K.
template <class T> __global__ void shared_tiles(const T* A, const T* B, T* C, int M, int N, int K) {
  constexpr int SIDE = 16;
  __shared__ T As[SIDE][SIDE], Bs[SIDE][SIDE];
  const int row = blockIdx.y * SIDE + threadIdx.y, column = blockIdx.x * SIDE + threadIdx.x;
  T sum = 0;
  for (int k0 = 0; k0 < K; k0 += SIDE) {
    const int ka = k0 + threadIdx.x, kb = k0 + threadIdx.y;
    As[threadIdx.y][threadIdx.x] = row < M && ka < K ? A[(long long)row * K + ka] : T(0);
    Bs[threadIdx.y][threadIdx.x] = kb < K && column < N ? B[(long long)kb * N + column] : T(0);
    __syncthreads();
    for (int k = 0; k < SIDE; ++k) sum += As[threadIdx.y][k] * Bs[k][threadIdx.x];
    __syncthreads(); // before the next parts replace these
  }
  if (row < M && column < N) C[(long long)row * N + column] = sum;
}

// Rung 3, register tiles: a block's tile is 64 × 64 and each thread's 4 × 4 of it, so that 8 numbers out of shared memory
// serve 16 products. Asks memory for 2 M N K / 64 numbers, shared memory for 2 M N K / 4.
template <class T> __global__ void __launch_bounds__(256) register_tiles(const T* A, const T* B, T* C, int M, int N, int K) {
  constexpr int SIDE = 64, BK = 16, EACH = 4, THREADS = 256;
  __shared__ T As[BK][SIDE + 1], Bs[BK][SIDE]; // + 1: As is written down its columns, which would else share a bank
  const int row0 = blockIdx.y * SIDE, column0 = blockIdx.x * SIDE, ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  T sums[EACH][EACH] = {};
  for (int k0 = 0; k0 < K; k0 += BK) {
    for (int i = threadIdx.x; i < SIDE * BK; i += THREADS) {
      const int row = row0 + i / BK, ka = k0 + i % BK, kb = k0 + i / SIDE, column = column0 + i % SIDE;
      As[i % BK][i / BK] = row < M && ka < K ? A[(long long)row * K + ka] : T(0);
      Bs[i / SIDE][i % SIDE] = kb < K && column < N ? B[(long long)kb * N + column] : T(0);
    }
    __syncthreads();
    for (int k = 0; k < BK; ++k)
#pragma unroll
      for (int i = 0; i < EACH; ++i)
#pragma unroll
        for (int j = 0; j < EACH; ++j) sums[i][j] += As[k][ty + 16 * i] * Bs[k][tx + 16 * j];
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < EACH; ++i)
#pragma unroll
    for (int j = 0; j < EACH; ++j) {
      const int row = row0 + ty + 16 * i, column = column0 + tx + 16 * j;
      if (row < M && column < N) C[(long long)row * N + column] = sums[i][j];
    }
}

// Rung 4, vectorised and double buffered: 16 bytes per access, and the next parts are on their way while this one is multiplied.
// The tiles are rung 3's; this is the product that dense layers use (tile_fma.cuh).
template <class T, int V>
__global__ void __launch_bounds__(Medium<T>::THREADS) double_buffered(const T* A, const T* B, T* C, int M, int N, int K) {
  const Place place = Place::of<Medium<T>>(blockIdx.x, M, N, 1);
  Medium<T>::template run<V>(Matrix<T, true>{A, K}, Matrix<T, false>{B, N}, M, N, K, place, Scratch<T>{}, TimesSlope<T, NONE>{nullptr, C, N});
}
