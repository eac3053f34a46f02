// A CUDA thread becomes a fiber: a stack of its own and the place where it stopped.
//
// All fibers live in one OS thread. A fiber runs until it reaches a point where it must wait for others (a barrier, a
// shuffle) or ends; there it switches to the scheduler, which picks the next one. Nothing runs in parallel, so a run
// with a given schedule repeats exactly, and a debugger can step through it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <sys/mman.h>

#include "language.hpp"
#include "sanitizers.hpp"

namespace cuda_on_cpu {

struct Site { // a place in the kernel's source, for reports
  const char* file = "";
  int line = 0;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

enum class State : uint8_t { ready, at_barrier, at_warp_op, finished };
enum class WarpOp : uint8_t { none, sync, meet, shuffle, ballot, together };
using Together = void (*)(void** argument_of_lane); // run once, by the last lane to arrive

struct AsyncCopy { // to shared memory, asked for but not yet carried out (async_copy.hpp)
  char* to;
  const char* from;
  unsigned bytes, zero_bytes; // the last zero_bytes of the destination become zero instead
  unsigned group;
};
constexpr unsigned max_async_copies = 512; // under way at once, per thread
struct AsyncCopies { // of one thread: a ring, the oldest at `first`
  AsyncCopy waiting[max_async_copies];
  unsigned first = 0, end = 0, group = 0;
};

struct Fiber {
  void* stack_pointer = nullptr; // where it stopped
  char* stack = nullptr;         // lowest address
  dim3 thread_index;             // threadIdx
  unsigned number = 0;           // the same, counted x first; number / 32 is the warp
  State state = State::finished;
  Site waits_at;
  // the warp operation it waits in (warp.hpp)
  WarpOp op = WarpOp::none;
  unsigned mask = 0;
  int source_lane = 0;
  uint64_t value = 0, result = 0;
  void* argument = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  void* asan_stack = nullptr;
#endif
#if defined(__SANITIZE_THREAD__)
  void* tsan_fiber = nullptr;
#endif
};

constexpr unsigned max_threads = 1024;        // per block, as on every GPU
constexpr size_t stack_bytes = 256 * 1024;    // per fiber; pages never touched cost nothing
inline Fiber fibers[max_threads];             // of the running block
inline AsyncCopies async_copies[max_threads]; // theirs, apart: barriers walk through the fibers
inline Fiber* current = nullptr;              // the running fiber
inline void* scheduler_stack_pointer = nullptr;
#if defined(__SANITIZE_ADDRESS__)
inline const void* scheduler_stack = nullptr;
inline size_t scheduler_stack_bytes = 0;
inline void* scheduler_asan_stack = nullptr;
#endif
#if defined(__SANITIZE_THREAD__)
inline void* scheduler_tsan_fiber = nullptr;
#endif
inline char launch_begins, launch_ends; // points of ThreadSanitizer's order

// Saves the registers a call must preserve on this stack, notes the stack pointer in *save, and continues on `to`.
// It leaves with a jump, not a return: the CPU predicts returns to the caller, and each wrong guess costs 20 ns.
#if !defined(__x86_64__)
#error "cuda_on_cpu switches stacks with x86-64 instructions: run these tests on an x86-64 machine"
#endif
extern "C" void cuda_on_cpu_switch(void** save, void* to);
asm(R"(
.text
.weak cuda_on_cpu_switch
.hidden cuda_on_cpu_switch
.type cuda_on_cpu_switch, @function
cuda_on_cpu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmpq *%rcx
.size cuda_on_cpu_switch, .-cuda_on_cpu_switch
)");

CUDA_ON_CPU_HARNESS inline void switch_to_scheduler() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(current->state == State::finished ? nullptr : &current->asan_stack, scheduler_stack,
                                 scheduler_stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  happens_before(&launch_ends); // the launch may end here, if some fiber fails
  __tsan_switch_to_fiber(scheduler_tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  cuda_on_cpu_switch(&current->stack_pointer, scheduler_stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(current->asan_stack, &scheduler_stack, &scheduler_stack_bytes);
#endif
}

CUDA_ON_CPU_HARNESS inline void switch_to(Fiber* fiber) {
  current = fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&scheduler_asan_stack, fiber->stack, stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(fiber->tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  cuda_on_cpu_switch(&scheduler_stack_pointer, fiber->stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(scheduler_asan_stack, nullptr, nullptr);
#endif
}

// Gives the fiber an empty stack whose first return address is `entry`. `fresh_pages` makes a sanitizer forget what an
// earlier block left there.
CUDA_ON_CPU_HARNESS inline void prepare(Fiber& fiber, void (*entry)(), bool fresh_pages) {
  if (!fiber.stack || fresh_pages)
    fiber.stack = static_cast<char*>(mmap(fiber.stack, stack_bytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (fiber.stack ? MAP_FIXED : 0), -1, 0));
  void** top = reinterpret_cast<void**>(fiber.stack + stack_bytes) - 1; // aligns the stack as a call would
  *--top = reinterpret_cast<void*>(entry);
  fiber.stack_pointer = top - 6; // the six registers that cuda_on_cpu_switch pops
#if defined(__SANITIZE_ADDRESS__)
  fiber.asan_stack = nullptr;
#endif
#if defined(__SANITIZE_THREAD__)
  if (!fiber.tsan_fiber) fiber.tsan_fiber = __tsan_create_fiber(0);
#endif
}

} // namespace cuda_on_cpu
