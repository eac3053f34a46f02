// The mean of each column, as a norm takes it: many rows at once, then a tree over them. BROKEN: a fast thread adds what a slow one has
// not written yet.
extern "C" __global__ void column_means(const float* x, float* out, int rows) { // x (rows, 8) → out (8,)
  __shared__ float parts[16][8];
  float sum = 0;
  for (int row = threadIdx.y; row < rows; row += 16) sum += x[row * 8 + threadIdx.x];
  parts[threadIdx.y][threadIdx.x] = sum;
  for (int half = 8; half > 0; half /= 2) {
#ifndef BROKEN
    __syncthreads();
#endif
    if (threadIdx.y < half) parts[threadIdx.y][threadIdx.x] += parts[threadIdx.y + half][threadIdx.x];
  }
  if (threadIdx.y == 0) out[threadIdx.x] = parts[0][threadIdx.x] / rows;
}
