// Copies four elements a thread. BROKEN: what is left over when 4 does not divide n is never written.
extern "C" __global__ void copy_by_four(const float* x, float* out, int n) { // x (n) → out (n)
  const int i = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
  if (i + 4 <= n)
    for (int j = i; j < i + 4; ++j) out[j] = x[j];
#ifndef BROKEN
  else
    for (int j = i; j < n; ++j) out[j] = x[j];
#endif
}
