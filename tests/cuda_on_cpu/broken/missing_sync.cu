// Transposes 8×8 tiles through shared memory. BROKEN: a thread reads its element before the others have written theirs.
extern "C" __global__ void transpose(const float* x, float* out, int n) { // x (n, n) → out (n, n), n a multiple of 8
  __shared__ float tile[8][9];
  const int row = blockIdx.y * 8, column = blockIdx.x * 8;
  tile[threadIdx.y][threadIdx.x] = x[(row + threadIdx.y) * n + column + threadIdx.x];
#ifndef BROKEN
  __syncthreads();
#endif
  out[(column + threadIdx.y) * n + row + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}
