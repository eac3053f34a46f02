// Each element minus its left neighbour, in shared memory of blockDim.x + 1 floats. BROKEN: it is shifted one too far.
extern "C" __global__ void differences(const float* x, float* out, int n) { // x (n) → out (n), one block of n threads
  extern __shared__ float padded[]; // (n + 1)
#ifndef BROKEN
  const int shift = 1;
#else
  const int shift = 2;
#endif
  if (threadIdx.x < shift) padded[threadIdx.x] = 0;
  padded[threadIdx.x + shift] = x[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = padded[threadIdx.x + shift] - padded[threadIdx.x + shift - 1];
}
