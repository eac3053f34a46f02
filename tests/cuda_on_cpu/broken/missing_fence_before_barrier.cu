// Each thread sums its part; the last block to arrive adds all parts up. BROKEN: the block's barrier orders its own threads, and tells
// the other blocks nothing: what these threads wrote need not be visible to them when the block announces itself.
extern "C" __global__ void grid_sum_of_threads(const float* x, float* parts, unsigned* arrived, float* out, int n) {
  __shared__ bool last;
  const int threads = gridDim.x * blockDim.x, me = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = 0;
  for (int i = me; i < n; i += threads) sum += x[i];
  parts[me] = sum;
#ifndef BROKEN
  __threadfence();
#endif
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(arrived, 1u) == gridDim.x - 1;
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  float total = 0;
  for (int i = 0; i < threads; ++i) total += parts[i];
  out[0] = total;
}
