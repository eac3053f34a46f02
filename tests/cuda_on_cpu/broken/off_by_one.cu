// Doubles every element. BROKEN: one element too many.
extern "C" __global__ void twice(float* x, int n) { // x (n)
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifndef BROKEN
  if (i < n) x[i] *= 2;
#else
  if (i <= n) x[i] *= 2;
#endif
}
