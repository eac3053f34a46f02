// Asynchronous copies: the primitives of <cuda_pipeline.h>, and what cp.async means in PTX.
//
// A copy is only noted down when it is asked for; the bytes move when the thread waits for its group. Whoever reads
// shared memory before that sees the poison, as on a GPU he may see anything.
#pragma once
#include "warp.hpp"

namespace cuda_on_cpu {

template <size_t bytes> inline void async_copy(void* to, const void* from, size_t zero_bytes = 0, Site at = Site::here()) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
  if (reinterpret_cast<uintptr_t>(to) % bytes || reinterpret_cast<uintptr_t>(from) % bytes) {
    fail("%s:%d: an asynchronous copy of %zu bytes needs addresses that %zu divides", base_name(at.file), at.line, bytes, bytes);
    switch_to_scheduler();
  }
  async_copies[current->number].open.push_back({static_cast<char*>(to), static_cast<const char*>(from), bytes, zero_bytes});
}

inline void async_commit() {
  AsyncCopies& mine = async_copies[current->number];
  mine.committed.push_back(std::move(mine.open));
  mine.open.clear();
}

inline void async_wait(size_t groups_left_open) { // waits until at most so many of the latest groups are under way
  AsyncCopies& mine = async_copies[current->number];
  while (mine.committed.size() > groups_left_open) {
    for (const AsyncCopy& copy : mine.committed.front())
      for (size_t i = 0; i < copy.bytes; ++i) copy.to[i] = i < copy.bytes - copy.zero_bytes ? copy.from[i] : 0;
    mine.committed.pop_front();
  }
}

} // namespace cuda_on_cpu

inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes, size_t zero_bytes = 0, CUDA_ON_CPU_AT) {
  if (bytes == 4) cuda_on_cpu::async_copy<4>(to, from, zero_bytes, at);
  else if (bytes == 8) cuda_on_cpu::async_copy<8>(to, from, zero_bytes, at);
  else cuda_on_cpu::async_copy<16>(to, from, zero_bytes, at);
}
inline void __pipeline_commit() { cuda_on_cpu::async_commit(); }
inline void __pipeline_wait_prior(size_t groups) { cuda_on_cpu::async_wait(groups); }
