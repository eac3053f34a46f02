// Warp operations: 32 neighbouring threads meet and exchange values.
//
// Every lane named in the mask must arrive at the same operation; the last one to arrive computes all results, so the
// others find theirs when they run on. A lane that arrives somewhere else, or is not in its own mask, is reported.
// A shuffle orders no memory: for ThreadSanitizer only __syncwarp() does.
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "scheduler.hpp"

namespace cuda_on_cpu {

constexpr unsigned all_lanes = 0xffffffffu;
inline int lane() { return current->number & 31; }

CUDA_ON_CPU_HARNESS inline void resolve(Fiber* warp, unsigned mask, WarpOp op, Together together) {
  uint64_t votes = 0;
  void* arguments[32] = {};
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1) {
      votes |= uint64_t(warp[i].value != 0) << i;
      arguments[i] = warp[i].argument;
    }
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1) {
      if (op == WarpOp::ballot) warp[i].result = votes;
      if (op != WarpOp::shuffle) continue;
      const int source = warp[i].source_lane;
      if (source < 0 || source > 31 || !(mask >> source & 1)) {
        fail("%s:%d: lane %u's shuffle reads lane %d, which is not in the mask %08x", base_name(warp[i].waits_at.file),
             warp[i].waits_at.line, i, source, mask);
        switch_to_scheduler();
      }
      warp[i].result = warp[source].value;
    }
  if (op == WarpOp::together) together(arguments);
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1) warp[i].state = State::ready;
}

CUDA_ON_CPU_HARNESS inline uint64_t warp_op(WarpOp op, unsigned mask, Site at, uint64_t value = 0, int source_lane = 0,
                                            void* argument = nullptr, Together together = nullptr) {
  Fiber& me = *current;
  const unsigned first = me.number & ~31u, my_lane = me.number & 31, lanes = std::min(32u, threads - first);
  Fiber* warp = fibers + first;
  if (lanes < 32) mask &= (1u << lanes) - 1; // the last warp of a block may be short
  if (!(mask >> my_lane & 1)) {
    fail("%s:%d: lane %u is not in its own mask %08x", base_name(at.file), at.line, my_lane, mask);
    switch_to_scheduler();
  }
  me.op = op, me.mask = mask, me.waits_at = at, me.value = value, me.source_lane = source_lane, me.argument = argument;
  me.state = State::at_warp_op;
  char* point = &points->warp_synced[me.number >> 5];
  if (op == WarpOp::sync) happens_before(point);
  bool last = true;
  for (unsigned i = 0; i < lanes; ++i) {
    if (!(mask >> i & 1)) continue;
    const Fiber& other = warp[i];
    if (other.state != State::at_warp_op) {
      last = false;
    } else if (other.op != op || other.mask != mask) {
      fail("warp divergence in block (%u,%u,%u): lane %u at %s:%d with mask %08x, lane %u at %s:%d with mask %08x", block_index.x,
           block_index.y, block_index.z, my_lane, base_name(at.file), at.line, mask, i, base_name(other.waits_at.file),
           other.waits_at.line, other.mask);
      switch_to_scheduler();
    }
  }
  if (last) resolve(warp, mask, op, together);
  else switch_to_scheduler();
  if (op == WarpOp::sync) happens_after(point);
  return me.result;
}

template <class T> T shuffle(unsigned mask, T value, int source_lane, Site at) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "CUDA shuffles 32-bit and 64-bit values");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = warp_op(WarpOp::shuffle, mask, at, bits, source_lane);
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Shuffles stay within segments of `width` lanes; a lane whose source lies outside keeps its own value.
inline int segment_start(int width) { return lane() & ~(width - 1); }

} // namespace cuda_on_cpu

#define CUDA_ON_CPU_AT cuda_on_cpu::Site at = cuda_on_cpu::Site::here()

template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_ON_CPU_AT) {
  return cuda_on_cpu::shuffle(mask, value, cuda_on_cpu::segment_start(width) + (source & (width - 1)), at);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_ON_CPU_AT) {
  const int me = cuda_on_cpu::lane(), source = me - int(delta);
  return cuda_on_cpu::shuffle(mask, value, source >= cuda_on_cpu::segment_start(width) ? source : me, at);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_ON_CPU_AT) {
  const int me = cuda_on_cpu::lane(), source = me + int(delta);
  return cuda_on_cpu::shuffle(mask, value, source < cuda_on_cpu::segment_start(width) + width ? source : me, at);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, CUDA_ON_CPU_AT) {
  const int me = cuda_on_cpu::lane(), source = me ^ lanes;
  return cuda_on_cpu::shuffle(mask, value, source < cuda_on_cpu::segment_start(width) + width ? source : me, at);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, CUDA_ON_CPU_AT) {
  return unsigned(cuda_on_cpu::warp_op(cuda_on_cpu::WarpOp::ballot, mask, at, predicate != 0));
}
inline int __any_sync(unsigned mask, int predicate, CUDA_ON_CPU_AT) { return __ballot_sync(mask, predicate, at) != 0; }
inline int __all_sync(unsigned mask, int predicate, CUDA_ON_CPU_AT) { return __ballot_sync(mask, !predicate, at) == 0; }
inline void __syncwarp(unsigned mask = cuda_on_cpu::all_lanes, CUDA_ON_CPU_AT) {
  cuda_on_cpu::warp_op(cuda_on_cpu::WarpOp::sync, mask, at);
}
