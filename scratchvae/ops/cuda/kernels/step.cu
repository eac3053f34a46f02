// What stands between two training steps: the metrics, and the numbers that the next step reads.
#include "common.cuh"

constexpr int THREADS = 256;

// window[k] += Σ term_k, and window[K] += 1 if the window is finite: so it counts the steps before the first NaN or infinity.
// Then the next step begins: counters = (step, update, batch) += 1, and rate = rates[batch].
// term0 … (n,) each, K of them · window (K + 1,) float64 · counters (3,) · rates (batches + 1,) · rate (1,)
// NumPy twin: the sums in TrainingStep.__call__, and the loop of Trainer.run
// Plan: one block, the last launch of a step, since all others read the counters. A graph of many steps so runs without the host:
// it looks at the window once per log line. Reads K n numbers.
template <class T>
__global__ void __launch_bounds__(THREADS)
    end_of_step(const T* term0, const T* term1, const T* term2, const T* term3, const T* term4, const T* term5, const T* term6,
                const T* term7, int K, long long n, double* window, unsigned* counters, const T* rates, T* rate) {
  const T* const terms[] = {term0, term1, term2, term3, term4, term5, term6, term7};
  bool finite = true;
#pragma unroll // so that terms[k] is a register, and no table in memory
  for (int k = 0; k < 8; ++k) {
    if (k >= K) break;
    double sum = 0;
    for (long long i = threadIdx.x; i < n; i += THREADS) sum += double(terms[k][i]);
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) {
      sum += window[k];
      window[k] = sum;
      finite = finite && sum - sum == 0;
    }
  }
  if (threadIdx.x > 0) return;
  if (finite) window[K] += 1;
  for (int i = 0; i < 3; ++i) counters[i] += 1;
  *rate = rates[counters[2]];
}

// out = Σ x, added up in float64.   x (n,) → out (1,).   NumPy twin: x.sum()
// Plan: one block; thread t takes elements t, t + 256, …; then a fixed tree. Reads n numbers. For the gradient of one shared number.
template <class T> __global__ void __launch_bounds__(THREADS) sum_all(const T* x, long long n, T* out) {
  double sum = 0;
  for (long long i = threadIdx.x; i < n; i += THREADS) sum += double(x[i]);
  sum = block_sum<THREADS>(sum);
  if (threadIdx.x == 0) *out = T(sum);
}
