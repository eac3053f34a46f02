// Shared memory starts as NaN.
//
// On a GPU a block's shared memory holds whatever the last block left there. Here every byte is 0xff before each block
// (NaN as a float, −1 as an int), so a value that is read before it is written shows up in the result.
//
// Static arrays (`__shared__ float tile[32][33];`) lie in the pages that shared_memory.ld gathers; dynamic ones
// (`extern __shared__ float tile[];`) in `dynamic_shared`, of which only the bytes asked for at launch may be touched:
// AddressSanitizer guards the rest, and without it a strip of guard bytes is compared after each block.
#pragma once
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

#include "sanitizers.hpp"

#define CUDA_ON_CPU_DYNAMIC_SHARED(T, name) T* const name = reinterpret_cast<T*>(cuda_on_cpu::dynamic_shared)

extern "C" __attribute__((visibility("hidden"))) char cuda_shared_begin[], cuda_shared_end[]; // set by shared_memory.ld

namespace cuda_on_cpu {

constexpr size_t page = 4096, max_dynamic_shared = 56 * page, guard_bytes = 256; // 224 KiB; an H100 block has 227
constexpr char poison = char(0xff), guard = char(0xa5);
alignas(page) inline char dynamic_shared[max_dynamic_shared + page];
inline size_t dynamic_shared_bytes = 0;

#if defined(__SANITIZE_THREAD__)
// ThreadSanitizer remembers who touched these addresses last. Blocks own different shared memory on a GPU, so the next
// block must start with a clean history: mapping the pages anew gives one.
CUDA_ON_CPU_HARNESS inline void forget_history(char* begin, size_t bytes) {
  if (bytes) mmap(begin, (bytes + page - 1) & ~(page - 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
#elif defined(CUDA_ON_CPU_RACES)
inline void forget_history(char* begin, size_t bytes); // races.hpp
#else
inline void forget_history(char*, size_t) {}
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Byte by byte, out of the sanitizers' sight: the section also holds AddressSanitizer's own red zones.
__attribute__((no_sanitize("address", "thread"), noinline)) inline void fill(char* begin, char* end, char byte) {
  for (volatile char* p = begin; p < end; ++p) *p = byte;
}
#else
inline void fill(char* begin, char* end, char byte) { memset(begin, byte, end - begin); }
#endif

CUDA_ON_CPU_HARNESS inline bool in_shared(const char* address) {
  return (address >= cuda_shared_begin && address < cuda_shared_end) ||
         (address >= dynamic_shared && address < dynamic_shared + sizeof dynamic_shared);
}

CUDA_ON_CPU_HARNESS inline void poison_shared_memory() {
  char* dynamic_end = dynamic_shared + dynamic_shared_bytes;
  forget_history(cuda_shared_begin, cuda_shared_end - cuda_shared_begin);
  fill(cuda_shared_begin, cuda_shared_end, poison);
  forget_history(dynamic_shared, dynamic_shared_bytes);
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(dynamic_shared, sizeof dynamic_shared);
#endif
  fill(dynamic_shared, dynamic_end, poison);
  fill(dynamic_end, dynamic_end + guard_bytes, guard);
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(dynamic_end, dynamic_shared + sizeof dynamic_shared - dynamic_end);
#endif
}

CUDA_ON_CPU_HARNESS inline bool dynamic_guard_is_whole() {
  if (with_asan) return true; // it reports by itself
  for (size_t i = 0; i < guard_bytes; ++i)
    if (dynamic_shared[dynamic_shared_bytes + i] != guard) return false;
  return true;
}

} // namespace cuda_on_cpu
