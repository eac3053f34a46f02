// Asynchronous copies: the primitives of <cuda_pipeline.h>, and what cp.async means in PTX.
//
// A copy is only noted down when it is asked for; the bytes move when the thread waits for its group. Whoever reads
// shared memory before that sees the poison, as on a GPU he may see anything.
#pragma once
#include "warp.hpp"

namespace cuda_on_cpu {

CUDA_ON_CPU_HARNESS inline void note_async_copy(void* to, const void* from, unsigned bytes, unsigned zero_bytes, Site at) {
  AsyncCopies& mine = async_copies[current->number];
  const bool aligned = reinterpret_cast<uintptr_t>(to) % bytes == 0 && reinterpret_cast<uintptr_t>(from) % bytes == 0;
  if (!aligned)
    fail("%s:%d: an asynchronous copy of %u bytes needs addresses that %u divides", base_name(at.file), at.line, bytes, bytes);
  else if (mine.end - mine.first == max_async_copies)
    fail("%s:%d: the harness holds %u asynchronous copies per thread, not more", base_name(at.file), at.line, max_async_copies);
  if (failed) switch_to_scheduler();
  mine.waiting[mine.end++ % max_async_copies] = {static_cast<char*>(to), static_cast<const char*>(from), bytes, zero_bytes, mine.group};
}

CUDA_ON_CPU_HARNESS inline bool next_arrival(AsyncCopy& copy, unsigned groups_left_open) {
  AsyncCopies& mine = async_copies[current->number];
  if (mine.first == mine.end) return false;
  copy = mine.waiting[mine.first % max_async_copies];
  if (copy.group + groups_left_open >= mine.group) return false;
  ++mine.first;
  return true;
}

inline void arrive(const AsyncCopy& copy) { // the sanitizers see this as the thread's own reads and writes
  for (unsigned i = 0; i < copy.bytes; ++i) copy.to[i] = i < copy.bytes - copy.zero_bytes ? copy.from[i] : 0;
}

template <unsigned bytes> inline void async_copy(void* to, const void* from, unsigned zero_bytes = 0, Site at = Site::here()) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
  note_async_copy(to, from, bytes, zero_bytes, at);
}

CUDA_ON_CPU_HARNESS inline void async_commit() { ++async_copies[current->number].group; }

inline void async_wait(unsigned groups_left_open) { // until at most so many of the latest groups are under way
  for (AsyncCopy copy; next_arrival(copy, groups_left_open);) arrive(copy);
}

} // namespace cuda_on_cpu

inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes, size_t zero_bytes = 0, CUDA_ON_CPU_AT) {
  if (bytes == 4) cuda_on_cpu::async_copy<4>(to, from, zero_bytes, at);
  else if (bytes == 8) cuda_on_cpu::async_copy<8>(to, from, zero_bytes, at);
  else cuda_on_cpu::async_copy<16>(to, from, zero_bytes, at);
}
inline void __pipeline_commit() { cuda_on_cpu::async_commit(); }
inline void __pipeline_wait_prior(size_t groups) { cuda_on_cpu::async_wait(groups); }
