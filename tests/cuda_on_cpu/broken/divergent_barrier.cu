// Reverses each block's part of x, of which the last may be short. BROKEN: threads beyond the end never reach the barrier.
extern "C" __global__ void reverse_blocks(const float* x, float* out, int n) { // x (n) → out (n), blocks of 32
  __shared__ float part[32];
  const int start = blockIdx.x * 32, i = start + threadIdx.x, last = min(start + 32, n) - 1;
#ifndef BROKEN
  if (i < n) part[threadIdx.x] = x[i];
  __syncthreads();
  if (i < n) out[i] = part[last - i];
#else
  if (i < n) {
    part[threadIdx.x] = x[i];
    __syncthreads();
    out[i] = part[last - i];
  }
#endif
}
