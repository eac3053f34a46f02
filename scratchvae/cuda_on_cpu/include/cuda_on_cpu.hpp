// Everything a kernel needs to run on the CPU. Read in this order:
#pragma once
#include "language.hpp"      // __global__, __shared__, float4 …
#include "sanitizers.hpp"    // what the sanitizers are told
#include "fibers.hpp"        // a thread is a fiber
#include "shared_memory.hpp" // which starts as NaN
#include "scheduler.hpp"     // blocks, barriers, schedules, reports
#include "reports.hpp"       // misaligned and out-of-range accesses
#include "races.hpp"         // two threads, one address, no order
#include "warp.hpp"          // shuffles, ballots
#include "atomics.hpp"       // and fences
#include "intrinsics.hpp"    // arithmetic
#include "half.hpp"          // 16-bit floats
#include "wmma.hpp"          // tensor cores
#include "async_copy.hpp"    // global to shared memory without registers
#include "ptx.hpp"           // inline PTX, instruction by instruction
#include "launch.hpp"        // what Python calls

// nvcc takes `__shared__ alignas(16) float tile[64];`, g++ wants the standard's word first and its own anywhere.
#define alignas(...) __attribute__((aligned(__VA_ARGS__)))
