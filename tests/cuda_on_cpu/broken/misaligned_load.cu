// One thread sums one row, four elements at a time where the row's start allows it. BROKEN: everywhere.
extern "C" __global__ void row_sums(const float* x, float* out, int rows, int columns) { // x (rows, columns) → out (rows)
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const float* from = x + row * columns;
  float sum = 0;
  int column = 0;
#ifndef BROKEN
  if (columns % 4 == 0)
#endif
    for (; column + 4 <= columns; column += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + column);
      sum += four.x + four.y + four.z + four.w;
    }
  for (; column < columns; ++column) sum += from[column];
  out[row] = sum;
}
