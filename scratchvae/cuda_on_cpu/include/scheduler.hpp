// Runs the blocks of a grid one after another, and the fibers of a block in turn.
//
// Schedules. `forward` lets thread 0 run first at every turn, `reverse` the last thread, `random` a permutation that is
// drawn anew for every block and after every barrier. Each 32 in that order, a warp of the first two, run on until all of them
// wait for others. A kernel that is right gives the same result in all three; one
// that lacks a barrier reads in some of them what has not been written yet.
#pragma once
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "fibers.hpp"
#include "shared_memory.hpp"

namespace cuda_on_cpu {

enum class Schedule : int { forward, reverse, random };
inline Schedule schedule = Schedule::forward;
inline uint64_t random_state = 1;
inline bool unordered_blocks = with_tsan; // a race between blocks is a race, whatever order they ran in

inline dim3 block_index, block_size, grid_size; // blockIdx, blockDim, gridDim
inline unsigned threads = 0;                    // in a block
inline unsigned waiting = 0;                    // at the block's barrier
inline unsigned barrier_parity = 0;
inline unsigned order[max_threads];
inline bool failed = false;
inline char report[1024];

// More points of ThreadSanitizer's order: fences, which all blocks share; and of each block, whose order is no other's, its barrier
// (alternating) and its warps.
inline char fenced;
struct BlockPoints {
  char barrier_passed[2], warp_synced[max_threads / 32];
};
inline BlockPoints* points = nullptr; // of the running block

[[gnu::format(printf, 1, 2)]] CUDA_ON_CPU_HARNESS inline void fail(const char* format, ...) {
  if (failed) return; // the first report is the one that counts
  failed = true;
  va_list values;
  va_start(values, format);
  vsnprintf(report, sizeof report, format, values);
  va_end(values);
}

CUDA_ON_CPU_HARNESS inline const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

CUDA_ON_CPU_HARNESS inline bool same_site(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file));
}

CUDA_ON_CPU_HARNESS inline unsigned random_below(unsigned n) {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return unsigned((random_state >> 33) % n);
}

CUDA_ON_CPU_HARNESS inline void draw_order(unsigned* items, unsigned n) {
  for (unsigned i = 0; i < n; ++i) items[i] = schedule == Schedule::reverse ? n - 1 - i : i;
  if (schedule == Schedule::random)
    for (unsigned i = n - 1; i > 0; --i) std::swap(items[i], items[random_below(i + 1)]);
}

// ---- what a fiber calls

inline void (*kernel_body)(void*);
inline void* kernel_arguments;

CUDA_ON_CPU_HARNESS inline void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_bytes);
#endif
  happens_after(&launch_begins);
  kernel_body(kernel_arguments);
  current->state = State::finished;
  switch_to_scheduler();
  __builtin_trap(); // a finished fiber is never resumed
}

CUDA_ON_CPU_HARNESS inline void sync_block(Site at) { // __syncthreads()
  char* point = &points->barrier_passed[barrier_parity];
  happens_before(point);
  current->state = State::at_barrier;
  current->waits_at = at;
  ++waiting;
  switch_to_scheduler();
  happens_after(point);
}

// ---- what the scheduler does

CUDA_ON_CPU_HARNESS inline void release_barrier(unsigned finished) {
  const Fiber* first = nullptr;
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = fibers[i];
    if (fiber.state != State::at_barrier) continue;
    if (!first) first = &fiber;
    if (!same_site(first->waits_at, fiber.waits_at))
      fail("divergent __syncthreads in block (%u,%u,%u): thread %u at %s:%d, thread %u at %s:%d", block_index.x, block_index.y,
           block_index.z, first->number, base_name(first->waits_at.file), first->waits_at.line, i, base_name(fiber.waits_at.file),
           fiber.waits_at.line);
    fiber.state = State::ready;
  }
  if (finished)
    fail("divergent __syncthreads in block (%u,%u,%u): %u of %u threads ended before the barrier at %s:%d", block_index.x,
         block_index.y, block_index.z, finished, threads, base_name(first->waits_at.file), first->waits_at.line);
  waiting = 0;
  barrier_parity ^= 1;
  if (schedule == Schedule::random) draw_order(order, threads);
}

CUDA_ON_CPU_HARNESS inline void report_deadlock(unsigned finished) {
  for (unsigned i = 0; i < threads; ++i)
    if (fibers[i].state == State::at_warp_op)
      return fail("deadlock in block (%u,%u,%u): thread %u waits in a warp operation at %s:%d for lanes of mask %08x; "
                  "%u threads wait at a barrier, %u have ended",
                  block_index.x, block_index.y, block_index.z, i, base_name(fibers[i].waits_at.file), fibers[i].waits_at.line,
                  fibers[i].mask, waiting, finished);
}

CUDA_ON_CPU_HARNESS inline void run_block() {
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = fibers[i];
    prepare(fiber, fiber_main, with_tsan && unordered_blocks);
    fiber.number = i;
    fiber.thread_index = {i % block_size.x, i / block_size.x % block_size.y, i / (block_size.x * block_size.y)};
    fiber.state = State::ready;
    async_copies[i].first = async_copies[i].end = async_copies[i].group = 0;
  }
  draw_order(order, threads);
  waiting = barrier_parity = 0;
  happens_before(&launch_begins);
  for (unsigned finished = 0; finished < threads && !failed;) {
    bool moved = false;
    for (unsigned first = 0; first < threads; first += 32)
      for (bool again = true; again;) { // as far as these can get: a warp may be at the next barrier while others are at the last
        again = false;
        for (unsigned i = first; i < first + 32 && i < threads && !failed; ++i) {
          Fiber& fiber = fibers[order[i]];
          if (fiber.state != State::ready) continue;
          again = moved = true;
          switch_to(&fiber);
          finished += fiber.state == State::finished;
        }
      }
    if (failed) break;
    if (waiting && waiting + finished == threads) release_barrier(finished);
    else if (!moved) report_deadlock(finished);
  }
#if defined(__SANITIZE_THREAD__)
  if (unordered_blocks || failed)
    for (unsigned i = 0; i < threads; ++i) {
      __tsan_destroy_fiber(fibers[i].tsan_fiber);
      fibers[i].tsan_fiber = nullptr;
    }
  if (!unordered_blocks) happens_after(&launch_ends); // the next block starts after this one
#endif
  if (!dynamic_guard_is_whole())
    fail("block (%u,%u,%u) wrote past the %zu bytes of dynamic shared memory asked for at launch", block_index.x, block_index.y,
         block_index.z, dynamic_shared_bytes);
}

CUDA_ON_CPU_HARNESS inline const char* run_grid(dim3 grid, dim3 block, size_t shared_bytes) {
  grid_size = grid;
  block_size = block;
  threads = block.x * block.y * block.z;
  dynamic_shared_bytes = shared_bytes;
  failed = false;
#if defined(__SANITIZE_THREAD__)
  scheduler_tsan_fiber = __tsan_get_current_fiber();
#endif
  const unsigned blocks = grid.x * grid.y * grid.z;
  unsigned* block_order = static_cast<unsigned*>(malloc(blocks * sizeof(unsigned)));
  draw_order(block_order, blocks);
  BlockPoints* all_points = static_cast<BlockPoints*>(malloc((with_tsan ? blocks : 1) * sizeof(BlockPoints)));
  for (unsigned i = 0; i < blocks && !failed; ++i) {
    const unsigned b = block_order[i];
    points = all_points + (with_tsan ? b : 0);
    block_index = {b % grid.x, b / grid.x % grid.y, b / (grid.x * grid.y)};
    poison_shared_memory();
    run_block();
  }
  free(all_points);
  free(block_order);
  happens_after(&launch_ends);
  current = nullptr;
  return failed ? report : nullptr;
}

} // namespace cuda_on_cpu

#define threadIdx (cuda_on_cpu::current->thread_index)
#define blockIdx (cuda_on_cpu::block_index)
#define blockDim (cuda_on_cpu::block_size)
#define gridDim (cuda_on_cpu::grid_size)
#define warpSize 32
#define __syncthreads() cuda_on_cpu::sync_block(cuda_on_cpu::Site::here())
