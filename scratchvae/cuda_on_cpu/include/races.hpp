// Races and unwritten memory, reported without a sanitizer's library (CpuModule(…, sanitizer="races")).
//
// g++ -fsanitize=thread calls a function before each read and write of memory. We define these functions ourselves, as
// reports.hpp does for other checks, so that the ordinary run (inside Python, no LD_PRELOAD) stops the kernel and says where.
//
// Two accesses to one byte by two threads, one of them a write, are a race unless a barrier or a __syncwarp() orders them.
// Every thread has a vector clock: what it knows of how far each thread of its block had come. At a point of order
// (sanitizers.hpp) a thread leaves its clock, and takes over what others left. Blocks know nothing of each other, whatever fences
// say. So a race is seen in whatever order the threads ran, also when the result happened to be right.
#pragma once
#include "scheduler.hpp"

#if defined(CUDA_ON_CPU_RACES)
#include <dlfcn.h>
#include <unordered_map>
#include <vector>

namespace cuda_on_cpu::races {

using Clock = std::vector<unsigned>; // of each thread of the block
struct Access {
  unsigned block, thread, clock;
  bool atomic;
  uintptr_t at; // where in the code
};
struct Byte {
  bool written = false;
  Access write;
  std::vector<Access> reads; // since then, the latest of each thread
};
inline std::unordered_map<const char*, Byte> bytes;
inline std::unordered_map<void*, Clock> points;
inline Clock clocks[max_threads];
inline bool busy = false; // in here: the standard library's own accesses are not looked at

CUDA_ON_CPU_HARNESS inline bool on_stack(const void* address) {
  return current && address >= current->stack && address < current->stack + stack_bytes;
}
CUDA_ON_CPU_HARNESS inline Clock& clock_of(unsigned thread) {
  Clock& clock = clocks[thread];
  if (clock.empty()) clock.resize(threads), clock[thread] = 1;
  return clock;
}
CUDA_ON_CPU_HARNESS inline void join(Clock& to, const Clock& from) {
  if (to.size() < from.size()) to.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i)
    if (from[i] > to[i]) to[i] = from[i];
}
CUDA_ON_CPU_HARNESS inline size_t place(uintptr_t at) { // in the library, for addr2line
  Dl_info library;
  dladdr(reinterpret_cast<void*>(at), &library);
  return at - 1 - reinterpret_cast<uintptr_t>(library.dli_fbase);
}
CUDA_ON_CPU_HARNESS inline bool race(const Access& before, const Access& now) {
  if (before.atomic && now.atomic) return false;
  return before.block != now.block || clock_of(now.thread)[before.thread] < before.clock;
}
CUDA_ON_CPU_HARNESS inline const char* kind(const char* address) { return in_shared(address) ? "shared" : "global"; }

CUDA_ON_CPU_HARNESS inline bool report_race(const char* address, const Access& before, bool wrote, const Access& now, bool writes) {
  if (before.block == now.block && before.thread == now.thread) return false;
  if (!race(before, now)) return false;
  fail("race: thread %u of block %u %s, at @%zx, the %s memory that thread %u of block %u %s at @%zx, and nothing orders the two",
       now.thread, now.block, writes ? "writes" : "reads", place(now.at), kind(address), before.thread, before.block,
       wrote ? "writes" : "reads", place(before.at));
  return true;
}

CUDA_ON_CPU_HARNESS inline bool look(const char* address, size_t size, bool writes, const Access& now) {
  static constexpr uint32_t unwritten = 0xffffffff, outside = 0x7fa5c3b1; // poison, and memory.py's guard of a float32
  uint32_t word = 0;
  if (size == sizeof word) memcpy(&word, address, sizeof word);
  if (!bytes[address].written && size == sizeof word) {
    if (word == outside) fail("thread %u of block %u %s, at @%zx, outside of every array", now.thread, now.block, writes ? "writes" : "reads", place(now.at));
    if (word == unwritten && !writes)
      fail("thread %u of block %u reads, at @%zx, %s memory that nothing has been written to", now.thread, now.block, place(now.at), kind(address));
    if (failed) return false;
  }
  for (const char* a = address; a < address + size; ++a) {
    Byte& byte = bytes[a];
    if (byte.written && report_race(a, byte.write, true, now, writes)) return false;
    if (writes) {
      for (const Access& read : byte.reads)
        if (report_race(a, read, false, now, writes)) return false;
      byte.reads.clear();
      byte.written = true;
      byte.write = now;
    } else {
      bool known = false;
      for (Access& read : byte.reads)
        if (read.block == now.block && read.thread == now.thread) read = now, known = true;
      if (!known) byte.reads.push_back(now);
    }
  }
  return true;
}

CUDA_ON_CPU_HARNESS inline void access(const volatile void* address, size_t size, bool writes, bool atomic, void* at) {
  const char* const first = const_cast<const char*>(static_cast<const volatile char*>(address));
  // Not the scheduler's own accesses, nor a thread's own variables.
  if (busy || !on_stack(__builtin_frame_address(0)) || on_stack(first)) return;
  busy = true;
  const unsigned me = current->number, block = (block_index.z * grid_size.y + block_index.y) * grid_size.x + block_index.x;
  const bool fine = look(first, size, writes, {block, me, clock_of(me)[me], atomic, reinterpret_cast<uintptr_t>(at)});
  busy = false;
  if (!fine) switch_to_scheduler();
}

} // namespace cuda_on_cpu::races

namespace cuda_on_cpu {
CUDA_ON_CPU_HARNESS inline void happens_before(void* point) {
  if (!races::on_stack(__builtin_frame_address(0))) return;
  races::busy = true;
  races::Clock& mine = races::clock_of(current->number);
  races::join(races::points[point], mine);
  ++mine[current->number];
  races::busy = false;
}
CUDA_ON_CPU_HARNESS inline void happens_after(void* point) {
  if (point == &launch_ends) { // the next launch starts with a clean history
    races::bytes.clear();
    races::points.clear();
    for (races::Clock& clock : races::clocks) clock.clear();
  }
  if (!races::on_stack(__builtin_frame_address(0))) return;
  races::busy = true;
  races::join(races::clock_of(current->number), races::points[point]);
  races::busy = false;
}
CUDA_ON_CPU_HARNESS inline void forget_history(char* begin, size_t size) {
  for (char* a = begin; a < begin + size; ++a) races::bytes.erase(a);
}
} // namespace cuda_on_cpu

#define CUDA_ON_CPU_HOOK extern "C" __attribute__((used)) CUDA_ON_CPU_HARNESS inline
#define CUDA_ON_CPU_ACCESS(name, size, writes)                                                                          \
  CUDA_ON_CPU_HOOK void __tsan_##name(void* a) { cuda_on_cpu::races::access(a, size, writes, false, __builtin_return_address(0)); }
#define CUDA_ON_CPU_ACCESSES(size)                                                                                     \
  CUDA_ON_CPU_ACCESS(read##size, size, false)                                                                          \
  CUDA_ON_CPU_ACCESS(write##size, size, true)                                                                          \
  CUDA_ON_CPU_ACCESS(unaligned_read##size, size, false)                                                                \
  CUDA_ON_CPU_ACCESS(unaligned_write##size, size, true)
CUDA_ON_CPU_ACCESSES(1)
CUDA_ON_CPU_ACCESSES(2)
CUDA_ON_CPU_ACCESSES(4)
CUDA_ON_CPU_ACCESSES(8)
CUDA_ON_CPU_ACCESSES(16)
CUDA_ON_CPU_HOOK void __tsan_read_range(void* a, size_t size) {
  cuda_on_cpu::races::access(a, size, false, false, __builtin_return_address(0));
}
CUDA_ON_CPU_HOOK void __tsan_write_range(void* a, size_t size) {
  cuda_on_cpu::races::access(a, size, true, false, __builtin_return_address(0));
}
#define CUDA_ON_CPU_ATOMICS(bits, T)                                                                                    \
  CUDA_ON_CPU_HOOK T __tsan_atomic##bits##_load(const volatile T* a, int) {                                            \
    cuda_on_cpu::races::access(a, sizeof(T), false, true, __builtin_return_address(0));                                \
    return *a;                                                                                                         \
  }                                                                                                                    \
  CUDA_ON_CPU_HOOK int __tsan_atomic##bits##_compare_exchange_strong(volatile T* a, T* expected, T desired, int, int) { \
    cuda_on_cpu::races::access(a, sizeof(T), true, true, __builtin_return_address(0));                                 \
    const T old = *a;                                                                                                  \
    if (old == *expected) return *a = desired, 1;                                                                      \
    return *expected = old, 0;                                                                                         \
  }
CUDA_ON_CPU_ATOMICS(32, uint32_t)
CUDA_ON_CPU_ATOMICS(64, uint64_t)
CUDA_ON_CPU_HOOK void __tsan_init() {}
CUDA_ON_CPU_HOOK void __tsan_func_entry(void*) {}
CUDA_ON_CPU_HOOK void __tsan_func_exit() {}
#endif
