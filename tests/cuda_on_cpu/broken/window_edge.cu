// The largest number of each window of 2 × 2, the last of which end at the image's edge. BROKEN: they go on into the next row, and the
// last one out of the image.
extern "C" __global__ void largest(const float* x, float* out, int side) { // x (side, side) → out (⌈side/2⌉, ⌈side/2⌉)
  const int row = 2 * threadIdx.y, column = 2 * threadIdx.x;
  float best = x[row * side + column];
  for (int i = 0; i < 2 && row + i < side; ++i)
    for (int j = 0; j < 2; ++j) {
#ifndef BROKEN
      if (column + j >= side) continue;
#endif
      const float value = x[(row + i) * side + column + j];
      if (value > best) best = value;
    }
  out[threadIdx.y * blockDim.x + threadIdx.x] = best;
}
