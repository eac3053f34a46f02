// What the sanitizers must be told about fibers.
//
// AddressSanitizer has to know which stack is in use. ThreadSanitizer has to know which fiber is running, and which
// points order one fiber's memory accesses before another's: `happens_before` and `happens_after` are those points.
// Without a sanitizer everything here is nothing.
#pragma once
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// The harness's own bookkeeping is shared between fibers on purpose: ThreadSanitizer must not look at it.
#if defined(__SANITIZE_THREAD__)
#define CUDA_ON_CPU_HARNESS __attribute__((no_sanitize_thread, noinline))
#elif defined(CUDA_ON_CPU_RACES)
#define CUDA_ON_CPU_HARNESS __attribute__((no_sanitize("undefined", "thread"), noinline))
#elif defined(__SANITIZE_ADDRESS__)
#define CUDA_ON_CPU_HARNESS __attribute__((noinline))
#else
#define CUDA_ON_CPU_HARNESS __attribute__((noinline, no_sanitize("undefined")))
#endif

namespace cuda_on_cpu {
#if defined(__SANITIZE_THREAD__)
constexpr bool with_tsan = true;
inline void happens_before(void* point) { __tsan_release(point); }
inline void happens_after(void* point) { __tsan_acquire(point); }
#elif defined(CUDA_ON_CPU_RACES)
constexpr bool with_tsan = false;
inline void happens_before(void* point); // races.hpp
inline void happens_after(void* point);
#else
constexpr bool with_tsan = false;
inline void happens_before(void*) {}
inline void happens_after(void*) {}
#endif
#if defined(__SANITIZE_ADDRESS__)
constexpr bool with_asan = true;
#else
constexpr bool with_asan = false;
#endif
} // namespace cuda_on_cpu
