// Leaves out every number whose place, multiplied, has an odd leading bit: a mask as a function of the place. BROKEN: of the thread within
// its block, so every block leaves out the same.
extern "C" __global__ void leave_out(const float* x, float* out, int n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef BROKEN
  const unsigned place = threadIdx.x;
#else
  const unsigned place = i;
#endif
  if (i < n) out[i] = place * 0x9E3779B9u >> 31 ? 0 : x[i];
}
