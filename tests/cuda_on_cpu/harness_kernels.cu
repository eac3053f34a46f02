// Kernels that show what the harness promises, one promise each. They are CUDA like any other: test_cuda_nvrtc.py compiles
// them with NVIDIA's compiler too.
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <mma.h>

#ifdef CUDA_ON_CPU
#define CPU_ONLY(...) __VA_ARGS__
#else
#define CPU_ONLY(...)
#endif

// ---- schedules and indices

extern "C" __global__ void turns(int* order, int* next) { // who runs first, before and after a barrier: order (2, threads)
  const int threads = blockDim.x;
  order[(*next)++] = threadIdx.x;
  __syncthreads();
  if (*next < threads) *next = threads;
  order[(*next)++] = threadIdx.x;
}

extern "C" __global__ void indices(int* out) { // out (all threads, 12), in the order of blocks and threads
  const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  int* row = out + 12 * (block * (blockDim.x * blockDim.y * blockDim.z) + thread);
  row[0] = threadIdx.x, row[1] = threadIdx.y, row[2] = threadIdx.z;
  row[3] = blockIdx.x, row[4] = blockIdx.y, row[5] = blockIdx.z;
  row[6] = blockDim.x, row[7] = blockDim.y, row[8] = blockDim.z;
  row[9] = gridDim.x, row[10] = gridDim.y, row[11] = gridDim.z;
}

// ---- shared memory

template <class T, int N> __global__ void leftovers(T* fixed, T* dynamic) { // what a block finds, before it leaves something
  __shared__ T here[N];
  extern __shared__ __align__(16) unsigned char raw[];
  T* there = reinterpret_cast<T*>(raw);
  fixed[blockIdx.x * N + threadIdx.x] = here[threadIdx.x];
  dynamic[blockIdx.x * N + threadIdx.x] = there[threadIdx.x];
  __syncthreads();
  here[threadIdx.x] = there[threadIdx.x] = T(7);
}

// ---- warps

template <class T> __global__ void shuffles(const T* x, T* out, int argument, int width) { // out (4, threads)
  const int i = threadIdx.x, n = blockDim.x;
  out[0 * n + i] = __shfl_sync(0xffffffff, x[i], argument, width);
  out[1 * n + i] = __shfl_up_sync(0xffffffff, x[i], argument, width);
  out[2 * n + i] = __shfl_down_sync(0xffffffff, x[i], argument, width);
  out[3 * n + i] = __shfl_xor_sync(0xffffffff, x[i], argument, width);
}

extern "C" __global__ void votes(const int* x, unsigned* out) { // out (3, threads)
  const int i = threadIdx.x, n = blockDim.x;
  out[i] = __ballot_sync(0xffffffff, x[i]);
  out[n + i] = __any_sync(0xffffffff, x[i]);
  out[2 * n + i] = __all_sync(0xffffffff, x[i]);
}

extern "C" __global__ void half_a_warp(const float* x, float* out) { // each half adds up its own 16 values
  const unsigned mask = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
  float sum = x[threadIdx.x];
  for (int gap = 8; gap > 0; gap /= 2) sum += __shfl_xor_sync(mask, sum, gap);
  out[threadIdx.x] = sum;
}

// ---- mistakes that must be reported

extern "C" __global__ void two_barriers() {
  if (threadIdx.x < 16) __syncthreads();
  else
    __syncthreads();
}
extern "C" __global__ void waits_for_ever() {
  if (threadIdx.x == 0) __syncwarp();
  else
    __syncthreads();
}
extern "C" __global__ void shuffle_meets_vote(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0xffffffff, x[threadIdx.x], 0);
  else
    x[threadIdx.x] = __any_sync(0xffffffff, x[threadIdx.x] > 0);
}
extern "C" __global__ void outside_its_mask(float* x) { x[threadIdx.x] = __shfl_sync(0x0000ffff, x[threadIdx.x], 0); }
extern "C" __global__ void reads_outside_the_mask(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0x0000ffff, x[threadIdx.x], 20);
}
extern "C" __global__ void writes_at(float* x, int i) { x[i] = 1; }
extern "C" __global__ void reads_at(const float* x, float* out, int i) { out[0] = x[i] + 1; }
extern "C" __global__ void loads_four(const float* x, float* out) { *out = reinterpret_cast<const float4*>(x)->w; }
extern "C" __global__ void misaligned_matrix(const float* x, int offset, int stride) {
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 8, float> f;
  nvcuda::wmma::load_matrix_sync(f, x + offset, stride, nvcuda::wmma::mem_row_major);
}

// ---- atomics

extern "C" __global__ void atomics(int* a, float* sum, unsigned* ring, int* old) { // a (7): add sub max min or and exchange
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  old[i] = atomicAdd(&a[0], i);
  atomicSub(&a[1], i), atomicMax(&a[2], i), atomicMin(&a[3], i), atomicOr(&a[4], i), atomicAnd(&a[5], ~i);
  if (i == 3) atomicExch(&a[6], 77);
  if (i == 3) atomicCAS(&a[6], 77, 78), atomicCAS(&a[6], 77, 79);
  atomicAdd(sum, 0.5f);
  atomicInc(ring, 9u);
}

// ---- arithmetic

extern "C" __global__ void integers(const unsigned* a, const unsigned* b, unsigned* out, int n) { // out (6, n)
  const int i = threadIdx.x;
  out[i] = __umulhi(a[i], b[i]);
  out[n + i] = __popc(a[i]);
  out[2 * n + i] = __clz(int(a[i]));
  out[3 * n + i] = __ffs(int(a[i]));
  out[4 * n + i] = __funnelshift_l(a[i], b[i], 13);
  out[5 * n + i] = __float_as_uint(__uint_as_float(a[i] >> 9));
}
extern "C" __global__ void roundings(const float* a, const float* b, const float* c, float* out, int n) { // out (2, n)
  const int i = threadIdx.x;
  out[i] = __fadd_rn(__fmul_rn(a[i], b[i]), c[i]); // two roundings
  out[n + i] = __fmaf_rn(a[i], b[i], c[i]);        // one
}
extern "C" __global__ void angles(const float* x, float* out, int n) { // out (2, n): sin πx, cos πx
  sincospif(x[threadIdx.x], &out[threadIdx.x], &out[n + threadIdx.x]);
}

// ---- tensor cores

extern "C" __global__ void to_tf32(const float* x, float* out) {
#if defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800
  out[threadIdx.x] = nvcuda::wmma::__float_to_tf32(x[threadIdx.x]);
#endif
}

template <bool by_rows> struct LayoutOf;
template <> struct LayoutOf<true> {
  using type = nvcuda::wmma::row_major;
};
template <> struct LayoutOf<false> {
  using type = nvcuda::wmma::col_major;
};
template <bool by_rows> using Layout = typename LayoutOf<by_rows>::type;

// D = A B + C, one warp. A (16, K), B (K, 16) in the layouts given; C, D (16, 16) by rows.
template <class T, class Element, int K, bool A_BY_ROWS, bool B_BY_ROWS>
__global__ void warp_product(const Element* A, const Element* B, const float* C, float* D) {
#if defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800
  using namespace nvcuda::wmma;
  fragment<matrix_a, 16, 16, K, T, Layout<A_BY_ROWS>> a;
  fragment<matrix_b, 16, 16, K, T, Layout<B_BY_ROWS>> b;
  fragment<accumulator, 16, 16, K, float> d;
  load_matrix_sync(a, A, A_BY_ROWS ? K : 16);
  load_matrix_sync(b, B, B_BY_ROWS ? 16 : K);
  load_matrix_sync(d, C, 16, mem_row_major);
  mma_sync(d, a, b, d);
  store_matrix_sync(D, d, 16, mem_row_major);
#endif
}

// The same through PTX: A (16, 8) by rows, B (8, 8) by columns, C, D (16, 8).
extern "C" __global__ void ptx_product(const float* A, const float* B, const float* C, float* D) {
  const int group = threadIdx.x / 4, place = threadIdx.x % 4;
  unsigned a[4], b[2];
  float c[4], d[4];
  for (int i = 0; i < 4; ++i) a[i] = __float_as_uint(A[(group + i % 2 * 8) * 8 + place + i / 2 * 4]);
  for (int i = 0; i < 2; ++i) b[i] = __float_as_uint(B[group * 8 + place + i * 4]);
  for (int i = 0; i < 4; ++i) c[i] = C[(group + i / 2 * 8) * 8 + place * 2 + i % 2];
#if defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
#else
  for (int i = 0; i < 4; ++i) d[i] = c[i] + a[i] + b[i % 2];
#endif
  for (int i = 0; i < 4; ++i) D[(group + i / 2 * 8) * 8 + place * 2 + i % 2] = d[i];
}

// ---- asynchronous copies

extern "C" __global__ void two_groups(const float* x, float* out) { // x (8) → out (3, 4): after waiting for one group, for both, with zeros
  __shared__ __align__(16) float first[4], second[4], padded[4];
  __pipeline_memcpy_async(first, x, 16);
  __pipeline_commit();
  __pipeline_memcpy_async(second, x + 4, 16);
  __pipeline_memcpy_async(padded, x, 16, 8); // the last 8 bytes become 0
  __pipeline_commit();
  __pipeline_wait_prior(1);
  for (int i = 0; i < 4; ++i) out[i] = first[i];
  CPU_ONLY(for (int i = 0; i < 4; ++i) out[12 + i] = second[i];) // not there yet
  __pipeline_wait_prior(0);
  for (int i = 0; i < 4; ++i) out[4 + i] = second[i], out[8 + i] = padded[i];
}

// ---- alignment of the kernels' own types

template <class T, int V> struct alignas(sizeof(T) * V) Neighbours {
  T v[V];
};
template <class T, int V> __global__ void alignments(int* out) {
  __shared__ alignas(16) char nearby[3];
  nearby[0] = 0;
  out[0] = alignof(Neighbours<T, V>), out[1] = sizeof(Neighbours<T, V>), out[2] = alignof(float4), out[3] = alignof(float2);
  out[4] = int(reinterpret_cast<unsigned long long>(nearby) % 16);
}
