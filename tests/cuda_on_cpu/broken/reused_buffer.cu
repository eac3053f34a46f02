// Sums every column over tiles of 8 rows, reading each tile backwards. BROKEN: a fast thread loads the next tile while a
// slow one still reads this one.
extern "C" __global__ void column_sums(const float* x, float* out, int rows) { // x (rows, 8) → out (8, 8): partial sums
  __shared__ float tile[8][8];
  float sum = 0;
  for (int row = 0; row < rows; row += 8) {
    tile[threadIdx.y][threadIdx.x] = x[(row + threadIdx.y) * 8 + threadIdx.x];
    __syncthreads();
    sum += tile[7 - threadIdx.y][threadIdx.x];
#ifndef BROKEN
    __syncthreads();
#endif
  }
  out[(7 - threadIdx.y) * 8 + threadIdx.x] = sum;
}
