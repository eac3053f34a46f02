// One tile of C = A B on the tensor cores: factors rounded to TF32 (10 of 23 fraction bits), sums in FP32. Needs sm_80.
//
// A block computes BM × BN of C, walking along k in steps of BK through a ring of STAGES pairs of parts in shared memory:
// while it multiplies one pair, the next STAGES − 1 arrive by cp.async, which needs no registers. Each warp computes
// WM × WN of C out of mma.sync products of 16 × 8 by 8, whose operands the lanes hold as the PTX manual draws them:
// with g = lane / 4 and p = lane % 4, a lane holds of A rows g, g+8 and k = p, p+4; of B k = p, p+4 and column g; of C rows
// g, g+8 and columns 2p, 2p+1.
#pragma once
#include "common.cuh"
#include "operand.cuh"
#include "split_k.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "TF32 tensor cores need a GPU of compute capability 8.0 or higher: choose precision fp32"
#endif

// ---- three instructions that C++ has no name for --------------------------------------------------------------------

// BYTES from global to shared memory, arriving later; zeros if the source does not exist.
template <int BYTES> __device__ void copy_async(float* to, const float* from, bool exists) {
  const unsigned shared = __cvta_generic_to_shared(to);
  const int bytes = exists ? BYTES : 0;
  if constexpr (BYTES == 16) asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(bytes) : "memory");
  else asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared), "l"(from), "r"(bytes) : "memory");
}
__device__ inline void end_of_group() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int N> __device__ void wait_until_groups_under_way() { // at most N of the latest are left
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
// The nearest TF32 number, ties away from zero. Without this the hardware would cut the lower bits off, which is a bias.
__device__ inline unsigned to_tf32(float x) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}
// C (16 × 8) += A (16 × 8) B (8 × 8), by one warp.
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ---- the tile -------------------------------------------------------------------------------------------------------

// OUTER × BK of an operand in shared memory, stored as it is in global memory: k fastest, or outer fastest.
// The pitch makes the 32 addresses of a fragment (8 outer × 4 k) fall on 32 banks.
template <int OUTER, int BK, bool K_FASTEST> struct Part {
  static constexpr int PITCH = K_FASTEST ? BK + 4 : OUTER + 8;
  static constexpr int SIZE = K_FASTEST ? OUTER * PITCH : BK * PITCH;
  static __device__ int at(int outer, int k) { return K_FASTEST ? outer * PITCH + k : k * PITCH + outer; }

  template <int THREADS, int V, class Operand>
  static __device__ void copy(float* to, const Operand& from, int outer0, int outer_end, int k0, int k_end) {
    constexpr int PER_LINE = (K_FASTEST ? BK : OUTER) / V, PACKS = OUTER * BK / V / THREADS;
    static_assert(PACKS * V * THREADS == OUTER * BK, "every thread carries the same");
#pragma unroll (V > 1 ? PACKS : 1)
    for (int i = 0; i < PACKS; ++i) {
      const int pack = threadIdx.x + i * THREADS, fast = pack % PER_LINE * V, slow = pack / PER_LINE;
      const int outer = K_FASTEST ? slow : fast, k = K_FASTEST ? fast : slow;
      const Spot<float> spot = from.find(outer0 + outer, k0 + k);
      const bool exists = outer0 + outer < outer_end && k0 + k < k_end && spot.exists;
      copy_async<V * 4>(to + at(outer, k), exists ? spot.at : from.from, exists);
    }
  }
};

template <int BM_, int BN_, int BK, int WM, int WN, int STAGES> struct TensorTile {
  static constexpr int BM = BM_, BN = BN_, THREADS = BM / WM * (BN / WN) * 32;
  static constexpr int ROWS = WM / 16, COLUMNS = WN / 8, NUMBERS = ROWS * COLUMNS * 4; // numbers of the result per thread
  static constexpr int BLOCKS = THREADS < 256 ? 4 : 2, NARROW_BLOCKS = BLOCKS; // per multiprocessor at least: bounds the registers

  // The arguments of FmaTile::run. The launch gives STAGES · (SIZE of A's part + of B's) floats of dynamic shared memory.
  template <int V, class A, class B, class Parts, class Epilogue>
  static __device__ void run(const A& from_a, const B& from_b, int M, int N, int K, Place place, Parts parts, const Epilogue& epilogue) {
    using PartA = Part<BM, BK, A::K_FASTEST>;
    using PartB = Part<BN, BK, B::K_FASTEST>;
    extern __shared__ __align__(16) float ring[];
    const int m0 = place.m * BM, n0 = place.n * BN;
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, p = threadIdx.x % 4;
    const int warp_m = warp / (BN / WN) * WM, warp_n = warp % (BN / WN) * WN;
    const Stretch ks = stretch_of_k<BK>(place, K);
    const bool sums_columns = Epilogue::COLUMN_SUMS && place.m == 0 && threadIdx.x < BN;
    float sums[ROWS][COLUMNS][4] = {}, column_sum = 0;

    const auto stage = [&](int step) { return ring + step % STAGES * (PartA::SIZE + PartB::SIZE); };
    const auto start_copy = [&](int step) {
      const int k0 = ks.begin + step * BK;
      if (k0 < ks.end) {
        PartA::template copy<THREADS, V>(stage(step), from_a, m0, M, k0, ks.end);
        PartB::template copy<THREADS, V>(stage(step) + PartA::SIZE, from_b, n0, N, k0, ks.end);
      }
      end_of_group(); // an empty group counts too, so that the number of groups tells which have arrived
    };
    for (int step = 0; step < STAGES - 1; ++step) start_copy(step);
    for (int step = 0; ks.begin + step * BK < ks.end; ++step) {
      wait_until_groups_under_way<STAGES - 2>(); // this thread's copies of this step are here,
      __syncthreads();                           // and everybody's; and nobody still reads the stage that is filled next
      start_copy(step + STAGES - 1);
      const float *As = stage(step), *Bs = As + PartA::SIZE;
#pragma unroll (V > 1 ? BK / 8 : 1) // narrow copies leave fewer registers to load ahead into
      for (int k = 0; k < BK; k += 8) {
        unsigned a[ROWS][4], b[COLUMNS][2];
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
          for (int e = 0; e < 4; ++e) a[i][e] = to_tf32(As[PartA::at(warp_m + 16 * i + g + e % 2 * 8, k + p + e / 2 * 4)]);
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
          for (int e = 0; e < 2; ++e) b[j][e] = to_tf32(Bs[PartB::at(warp_n + 8 * j + g, k + p + e * 4)]);
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
          for (int j = 0; j < COLUMNS; ++j) multiply_add(sums[i][j], a[i], b[j]);
      }
      if (sums_columns)
        for (int k = 0; k < BK; ++k) column_sum += Bs[PartB::at(threadIdx.x, k)];
    }
    wait_until_groups_under_way<0>();

    const bool whole = holds_the_whole_sum<NUMBERS + Epilogue::COLUMN_SUMS>(place, parts, [&](auto visit) {
#pragma unroll
      for (int i = 0; i < NUMBERS; ++i) visit(sums[i / 4 / COLUMNS][i / 4 % COLUMNS][i % 4], i);
      if (Epilogue::COLUMN_SUMS) visit(column_sum, NUMBERS);
    });
    if (!whole) return;
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
      for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
        for (int e = 0; e < 4; e += 2) {
          const int row = m0 + warp_m + 16 * i + g + e / 2 * 8, column = n0 + warp_n + 8 * j + 2 * p;
          if (row >= M) continue;
          if constexpr (V > 1) {
            if (column < N) epilogue.finish(Pack<float, 2>{{sums[i][j][e], sums[i][j][e + 1]}}, row, column);
          } else {
            if (column < N) epilogue.finish(Pack<float, 1>{{sums[i][j][e]}}, row, column);
            if (column + 1 < N) epilogue.finish(Pack<float, 1>{{sums[i][j][e + 1]}}, row, column + 1);
          }
        }
    if constexpr (Epilogue::COLUMN_SUMS)
      if (sums_columns && n0 + threadIdx.x < N) epilogue.finish_sum(n0 + threadIdx.x, column_sum);
  }
};

// SmallTF32: 128 threads, a 16 × 16 corner per warp, long steps: for matrices of a few hundred.
template <class T> using SmallTF32 = TensorTile<32, 32, 32, 16, 16, 4>;
// MediumTF32: 128 threads, 32 × 32 per warp, for a thousand.
template <class T> using MediumTF32 = TensorTile<64, 64, 32, 32, 32, 3>;
// LargeTF32: 256 threads, 64 × 32 per warp: 16 products out of 8 fragments at each k. Four stages of 16 hide the memory.
template <class T> using LargeTF32 = TensorTile<128, 128, 16, 64, 32, 4>;
