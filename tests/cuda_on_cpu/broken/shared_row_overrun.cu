// Rotates the rows of an 8×8 tile by one. BROKEN: the last column reads the start of the next row, which exists; only
// the last row leaves the array.
extern "C" __global__ void rotate_rows(const float* x, float* out) { // x (8, 8) → out (8, 8)
  __shared__ float tile[8][8];
  tile[threadIdx.y][threadIdx.x] = x[threadIdx.y * 8 + threadIdx.x];
  __syncthreads();
#ifndef BROKEN
  const int column = (threadIdx.x + 1) % 8;
#else
  const int column = threadIdx.x + 1;
#endif
  out[threadIdx.y * 8 + threadIdx.x] = tile[threadIdx.y][column];
}
