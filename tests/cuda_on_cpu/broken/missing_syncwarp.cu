// Every lane takes its left neighbour's value through shared memory. BROKEN: the lanes of a warp do not run in step. Where
// the left one happens to run first (the forward schedule) nothing is seen.
extern "C" __global__ void shift_lanes(const float* x, float* out) { // x (32·blocks) → out (32·blocks)
  __shared__ float values[32];
  const int lane = threadIdx.x, start = blockIdx.x * 32;
  values[lane] = x[start + lane];
#ifndef BROKEN
  __syncwarp();
#endif
  out[start + lane] = lane > 0 ? values[lane - 1] : 0.0f;
}
