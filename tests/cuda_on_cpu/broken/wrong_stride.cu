// One thread for one element of Y = X W. BROKEN: X is read as if its rows were as long as those of Y.
extern "C" __global__ void product(const float* X, const float* W, float* Y, int rows, int inner, int columns) {
  const int row = blockIdx.y * blockDim.y + threadIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows || column >= columns) return;
#ifndef BROKEN
  const int stride = inner;
#else
  const int stride = columns;
#endif
  float sum = 0;
  for (int k = 0; k < inner; ++k) sum += X[row * stride + k] * W[k * columns + column];
  Y[row * columns + column] = sum;
}
