// One tile of C = A B on the FP32 or FP64 units: shared-memory tiles, double buffered, and register tiles.
//
// A block computes BM × BN of C, walking along k in steps of BK. For each step it has the BM × BK part of A and the BK × BN part
// of B in shared memory; while it multiplies one pair of parts, its next loads are already under way into registers. A
// thread computes TM × TN of C, so that each number it takes from shared memory is used TM or TN times.
//
//            global memory ──fetch──▶ registers ──keep──▶ shared [2] ──▶ registers TM + TN ──fma──▶ TM × TN sums
//
// An operand is stored with either k or its other index ("outer": a row of C for A, a column of C for B) running fastest.
#pragma once
#include "common.cuh"
#include "operand.cuh"
#include "split_k.cuh"

// Brings OUTER × BK of an operand to shared memory, as [k][outer], through registers. THREADS threads, V numbers at a time.
template <class T, int OUTER, int BK, int THREADS, int V, bool K_FASTEST> struct Courier {
  static constexpr int PITCH = OUTER + 4; // keeps packs aligned, and spreads a column over the banks
  static constexpr int PACKS = OUTER * BK / V / THREADS;
  static_assert(PACKS * V * THREADS == OUTER * BK, "every thread carries the same");
  Pack<T, V> held[PACKS];

  static __device__ int k_of(int i) {
    const int pack = threadIdx.x + i * THREADS;
    return K_FASTEST ? pack % (BK / V) * V : pack / (OUTER / V);
  }
  static __device__ int outer_of(int i) {
    const int pack = threadIdx.x + i * THREADS;
    return K_FASTEST ? pack / (BK / V) : pack % (OUTER / V) * V;
  }
  // Outside the operand all is 0.
  template <class Operand> __device__ void fetch(const Operand& from, int outer0, int outer_end, int k0, int k_end) {
#pragma unroll
    for (int i = 0; i < PACKS; ++i) {
      const int k = k0 + k_of(i), outer = outer0 + outer_of(i);
      held[i] = {};
      if (k < k_end && outer < outer_end)
        if (const Spot<T> spot = from.find(outer, k); spot.exists) held[i] = load<V>(spot.at);
    }
  }
  __device__ void keep(T (*to)[PITCH]) const {
#pragma unroll
    for (int i = 0; i < PACKS; ++i) {
      if constexpr (K_FASTEST) {
#pragma unroll
        for (int j = 0; j < V; ++j) to[k_of(i) + j][outer_of(i)] = held[i].v[j];
      } else store(&to[k_of(i)][outer_of(i)], held[i]);
    }
  }
};

template <class T, int BM_, int BN_, int BK, int TM, int TN> struct FmaTile {
  static constexpr int BM = BM_, BN = BN_, NUMBERS = TM * TN; // numbers of the result per thread
  static constexpr int THREADS = BM / TM * (BN / TN);
  // Per multiprocessor at least, which bounds the registers of a thread; narrow accesses need more, for their addresses.
  static constexpr int BLOCKS = THREADS < 256 ? 4 : 2, NARROW_BLOCKS = THREADS < 256 ? 4 : 1;
  static constexpr int AT_ONCE = 4;                  // a thread's rows and columns come in runs of four, for wide accesses,
  static constexpr int ROW_RUN = BM / (TM / AT_ONCE); // the runs this far apart, so that neighbours' accesses abut
  static constexpr int COLUMN_RUN = BN / (TN / AT_ONCE);

  static constexpr int STEPS_AHEAD = 256 / (NUMBERS * sizeof(T)); // of k unrolled: with more, loads moved ahead spill registers
  static constexpr int PITCH_A = BM + 4, PITCH_B = BN + 4;

  // The block's shared memory, the same for every product that a kernel computes.
  static __device__ T* memory() {
    __shared__ __align__(16) T all[2 * BK * (PITCH_A + PITCH_B)];
    return all;
  }

  // C = A B, then epilogue.finish(pack, row, column) for every V columns of C, and epilogue.finish_sum(column, Σ_k B).
  // A and B are operands (operand.cuh); C (M, N).
  template <int V, class A, class B, class Parts, class Epilogue>
  static __device__ void run(const A& from_a, const B& from_b, int M, int N, int K, Place place, Parts parts, const Epilogue& epilogue) {
    using CourierA = Courier<T, BM, BK, THREADS, V, A::K_FASTEST>;
    using CourierB = Courier<T, BN, BK, THREADS, V, B::K_FASTEST>;
    auto As = reinterpret_cast<T(*)[BK][PITCH_A]>(memory()); // As[0] and As[1], then Bs[0] and Bs[1]
    auto Bs = reinterpret_cast<T(*)[BK][PITCH_B]>(memory() + 2 * BK * PITCH_A);
    const int m0 = place.m * BM, n0 = place.n * BN;
    const int row0 = threadIdx.x / (BN / TN) * AT_ONCE, column0 = threadIdx.x % (BN / TN) * AT_ONCE;
    const Stretch ks = stretch_of_k<BK>(place, K);
    const bool sums_columns = Epilogue::COLUMN_SUMS && place.m == 0 && threadIdx.x < BN;
    T sums[TM][TN] = {}, column_sum = 0;

    CourierA a;
    CourierB b;
    a.fetch(from_a, m0, M, ks.begin, ks.end);
    b.fetch(from_b, n0, N, ks.begin, ks.end);
    a.keep(As[0]);
    b.keep(Bs[0]);
    __syncthreads();
    int now = 0;
    for (int k0 = ks.begin; k0 < ks.end; k0 += BK, now ^= 1) {
      const bool more = k0 + BK < ks.end;
      if (more) {
        a.fetch(from_a, m0, M, k0 + BK, ks.end);
        b.fetch(from_b, n0, N, k0 + BK, ks.end);
      }
#pragma unroll STEPS_AHEAD
      for (int k = 0; k < BK; ++k) {
        T as[TM], bs[TN];
#pragma unroll
        for (int i = 0; i < TM; ++i) as[i] = As[now][k][row0 + i / AT_ONCE * ROW_RUN + i % AT_ONCE];
#pragma unroll
        for (int j = 0; j < TN; ++j) bs[j] = Bs[now][k][column0 + j / AT_ONCE * COLUMN_RUN + j % AT_ONCE];
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
          for (int j = 0; j < TN; ++j) sums[i][j] += as[i] * bs[j];
      }
      if (sums_columns)
#pragma unroll 2
        for (int k = 0; k < BK; ++k) column_sum += Bs[now][k][threadIdx.x];
      if (more) { // into the other pair of parts, which nobody has read since the last barrier
        a.keep(As[now ^ 1]);
        b.keep(Bs[now ^ 1]);
      }
      __syncthreads();
    }

    const bool whole = holds_the_whole_sum<NUMBERS + Epilogue::COLUMN_SUMS>(place, parts, [&](auto visit) {
#pragma unroll
      for (int i = 0; i < NUMBERS; ++i) visit(sums[i / TN][i % TN], i);
      if (Epilogue::COLUMN_SUMS) visit(column_sum, NUMBERS);
    });
    if (!whole) return;
#pragma unroll
    for (int i = 0; i < TM; ++i) {
      const int row = m0 + row0 + i / AT_ONCE * ROW_RUN + i % AT_ONCE;
#pragma unroll
      for (int j = 0; j < TN; j += V) {
        const int column = n0 + column0 + j / AT_ONCE * COLUMN_RUN + j % AT_ONCE;
        Pack<T, V> pack;
#pragma unroll
        for (int l = 0; l < V; ++l) pack.v[l] = sums[i][j + l];
        if (row < M && column < N) epilogue.finish(pack, row, column);
      }
    }
    if constexpr (Epilogue::COLUMN_SUMS)
      if (sums_columns && n0 + threadIdx.x < N) epilogue.finish_sum(n0 + threadIdx.x, column_sum);
  }
};

// Small: many blocks for matrices of a few hundred, as in the tutorial VAE at batch 128. 64 threads; long steps, since
// each costs one trip to memory (shorter in float64, whose loads on their way take twice the registers).
template <class T> using Small = FmaTile<T, 32, 32, 128 / sizeof(T), 4, 4>;
// Medium: twice the reuse of shared memory, 256 threads. Also the largest tile in float64.
template <class T> using Medium = FmaTile<T, 64, 64, 16, 4, 4>;
// Large: 64 sums per thread, for matrices of thousands. 256 threads.
template <class T> using Large = FmaTile<T, 128, 128, 8, 8, 8>;
