// Each thread copies four floats to shared memory without passing them through registers, and back. BROKEN: it reads
// them before the copy has arrived.
extern "C" __global__ void through_shared(const float* x, float* out) { // x (4·threads) → out (4·threads)
  __shared__ __align__(16) float part[4 * 32];
  const int start = 4 * threadIdx.x;
  __pipeline_memcpy_async(&part[start], &x[start], 16);
  __pipeline_commit();
#ifndef BROKEN
  __pipeline_wait_prior(0);
#endif
  for (int i = start; i < start + 4; ++i) out[i] = part[i];
}
