// Atomics and fences.
//
// Fibers never run at once, so on the CPU every access is atomic already; what matters is what ThreadSanitizer may
// conclude. An atomic orders nothing by itself (CUDA's atomics are relaxed). __threadfence() publishes what the thread
// has written; whoever performs an atomic afterwards is taken to have seen it. That is the order on which "the last
// block adds up" relies; it is more order than the hardware promises, so some races remain unseen.
#pragma once
#include <type_traits>

#include "scheduler.hpp"

namespace cuda_on_cpu {
template <class T, class F> T atomic_update(T* address, F&& next) { // returns the old value, as CUDA does
  happens_after(&fenced);
  T old, desired;
  __atomic_load(address, &old, __ATOMIC_RELAXED);
  do desired = next(old);
  while (!__atomic_compare_exchange(address, &old, &desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}
template <class T> using Same = std::type_identity_t<T>; // a parameter that does not take part in deducing T
} // namespace cuda_on_cpu

template <class T> T atomicAdd(T* a, cuda_on_cpu::Same<T> v) { return cuda_on_cpu::atomic_update(a, [=](T old) { return T(old + v); }); }
template <class T> T atomicSub(T* a, cuda_on_cpu::Same<T> v) { return cuda_on_cpu::atomic_update(a, [=](T old) { return T(old - v); }); }
template <class T> T atomicMax(T* a, cuda_on_cpu::Same<T> v) { return cuda_on_cpu::atomic_update(a, [=](T old) { return old < v ? v : old; }); }
template <class T> T atomicMin(T* a, cuda_on_cpu::Same<T> v) { return cuda_on_cpu::atomic_update(a, [=](T old) { return v < old ? v : old; }); }
template <class T> T atomicOr(T* a, cuda_on_cpu::Same<T> v) { return cuda_on_cpu::atomic_update(a, [=](T old) { return T(old | v); }); }
template <class T> T atomicAnd(T* a, cuda_on_cpu::Same<T> v) { return cuda_on_cpu::atomic_update(a, [=](T old) { return T(old & v); }); }
template <class T> T atomicExch(T* a, cuda_on_cpu::Same<T> v) { return cuda_on_cpu::atomic_update(a, [=](T) { return v; }); }
template <class T> T atomicCAS(T* a, cuda_on_cpu::Same<T> expected, cuda_on_cpu::Same<T> v) {
  return cuda_on_cpu::atomic_update(a, [=](T old) { return old == expected ? v : old; });
}
inline unsigned atomicInc(unsigned* a, unsigned limit) { // counts 0 … limit, then starts again
  return cuda_on_cpu::atomic_update(a, [=](unsigned old) { return old >= limit ? 0u : old + 1; });
}

inline void __threadfence() { cuda_on_cpu::happens_before(&cuda_on_cpu::fenced); }
inline void __threadfence_block() { __threadfence(); }
