// A warp's sum by shuffles. BROKEN: lanes beyond the end have left, and the others wait for them.
extern "C" __global__ void warp_sum(const float* x, float* out, int n) { // x (n), n ≤ 32 → out (1)
#ifndef BROKEN
  float sum = threadIdx.x < n ? x[threadIdx.x] : 0.0f;
#else
  if (threadIdx.x >= n) return;
  float sum = x[threadIdx.x];
#endif
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffff, sum, offset);
  if (threadIdx.x == 0) out[0] = sum;
}
