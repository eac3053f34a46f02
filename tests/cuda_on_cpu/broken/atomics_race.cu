// Counts how often each of 8 values occurs. BROKEN: two blocks may read the same count, and one of them is lost.
extern "C" __global__ void histogram(const int* values, int* counts, int n) { // values (n) in 0 … 7 → counts (8)
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
#ifndef BROKEN
  atomicAdd(&counts[values[i]], 1);
#else
  counts[values[i]] += 1;
#endif
}
