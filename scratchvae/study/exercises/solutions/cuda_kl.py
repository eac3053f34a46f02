"""The divergence of each image's posterior from the prior (equation E15) as a CUDA kernel: the twin of gaussian_kl in kl.py.

A kernel is a C++ function that many threads run at once. This one is launched with B blocks of 64 threads, one block for each row
of mu and logvar. All threads get the same arguments; names that every thread finds in the kernel tell them apart:

    blockIdx.x     the number of its block, from 0: here also the number of its row
    threadIdx.x    the number of the thread within its block, from 0 to 63
    blockDim.x     how many threads a block has: 64, also called THREADS here

A variable belongs to one thread. What is declared with __shared__ is there once for the whole block, and starts with garbage:

    __shared__ float ring[8]    all threads of the block read and write these eight
    __syncthreads()             a barrier: nobody goes on before every thread of the block has come here

Nobody promises which thread runs first, or how far ahead. Only a barrier orders two threads: what was written before it may be
read after it. Every thread has to come to it, so it never stands where only some of them go.

Arrays are pointers, and no index is checked. Rows lie one after another, so mu[r * L + j] is row r, column j. L may be smaller
than a block, or larger. exp(x) is there; a float constant ends in f, as 0.1f does. Write each row's divergence to kl, and the
same bits in whatever order the threads run: no atomics.

The check needs no GPU: g++ makes each thread a function on the CPU, and the order of the threads is chosen to find mistakes. On a GPU,
CuPy compiles the same text: cupy.RawKernel(KERNEL, "gaussian_kl")((B,), (64,), (mu, logvar, kl, numpy.int32(L))).
Chapter 9 of the book (docs/09-on-a-gpu.md) tells how a GPU works and where its time goes.
"""

KERNEL = r"""
constexpr int THREADS = 64;  // in a block; the launch is made for it, so leave it

// mu, logvar (B, L), kl (B,)
extern "C" __global__ void gaussian_kl(const float* mu, const float* logvar, float* kl, int L) {
  __shared__ float part[THREADS];
  const int row = blockIdx.x, t = threadIdx.x;
  float sum = 0;
  for (int j = t; j < L; j += THREADS) {
    const float m = mu[row * L + j], lv = logvar[row * L + j];
    sum += m * m + exp(lv) - 1 - lv;
  }
  part[t] = sum;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];
    __syncthreads();
  }
  if (t == 0) kl[row] = 0.5f * part[0];
}
"""
