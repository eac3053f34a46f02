// One thread sums one column. BROKEN: the sum starts with whatever the register held.
extern "C" __global__ void columns_summed(const float* x, float* out, int rows, int columns) { // x (rows, columns) → out (columns)
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  if (column >= columns) return;
#ifndef BROKEN
  float sum = 0;
#else
  float sum;
#endif
  for (int row = 0; row < rows; ++row) sum += x[row * columns + column];
  out[column] = sum;
}
