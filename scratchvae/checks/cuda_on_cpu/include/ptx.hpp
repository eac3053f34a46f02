// Twins of PTX instructions that kernels write as inline assembly.
//
// A kernel that uses `asm("mma.sync…")` puts the call of its twin beside it:
//
//   #ifdef CUDA_ON_CPU
//     cuda_on_cpu::mma_m16n8k8_tf32(d, a, b, c);
//   #else
//     asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 …");
//   #endif
//
// Inline PTX fixes the layout of its fragments, so unlike wmma.hpp this file follows the PTX manual's tables.
#pragma once
#include "wmma.hpp"

namespace cuda_on_cpu {

struct MmaOperands {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
  const float* c;
};

// A 16×8 by rows, B 8×8 by columns, C and D 16×8. With group = lane / 4 and place = lane % 4:
//   a0…a3: rows group, group+8, group, group+8; columns place, place, place+4, place+4
//   b0, b1: rows place, place+4; column group          c0…c3: rows group, group, group+8, group+8; columns 2·place, +1, …
CUDA_ON_CPU_HARNESS inline void mma_m16n8k8_tf32_of_warp(void** argument_of_lane) {
  float a[16][8], b[8][8], c[16][8];
  const auto operand = [](uint32_t bits) { return truncate_to_tf32(std::bit_cast<float>(bits)); };
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = *static_cast<MmaOperands*>(argument_of_lane[lane]);
    const int group = lane / 4, place = lane % 4;
    for (int i = 0; i < 4; ++i) a[group + i % 2 * 8][place + i / 2 * 4] = operand(mine.a[i]);
    for (int i = 0; i < 2; ++i) b[place + i * 4][group] = operand(mine.b[i]);
    for (int i = 0; i < 4; ++i) c[group + i / 2 * 8][place * 2 + i % 2] = mine.c[i];
  }
  for (int m = 0; m < 16; ++m)
    for (int k = 0; k < 8; ++k)
      for (int n = 0; n < 8; ++n) c[m][n] += a[m][k] * b[k][n];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = *static_cast<MmaOperands*>(argument_of_lane[lane]);
    for (int i = 0; i < 4; ++i) mine.d[i] = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

// mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32
inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4], CUDA_ON_CPU_AT) {
  MmaOperands mine{d, a, b, c};
  warp_op(WarpOp::together, all_lanes, at, 0, 0, &mine, mma_m16n8k8_tf32_of_warp);
}

inline uint32_t cvt_rna_tf32(float x) { return std::bit_cast<uint32_t>(round_to_tf32(x)); } // cvt.rna.tf32.f32

} // namespace cuda_on_cpu
