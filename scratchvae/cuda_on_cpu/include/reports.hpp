// Misaligned, null and out-of-range accesses, reported without a sanitizer's library.
//
// g++ -fsanitize=alignment,null,bounds puts a check before each access and calls one of these functions when it fails.
// We define them ourselves, so that the ordinary run (inside Python, no LD_PRELOAD) stops the kernel and says where.
#pragma once
#include "scheduler.hpp"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace cuda_on_cpu::compiler_checks {
struct Location {
  const char* file;
  uint32_t line, column;
};
struct Type {
  uint16_t kind, info;
  char name[1];
};
struct TypeMismatch {
  Location at;
  Type* type;
  unsigned char log2_alignment, kind;
};
struct OutOfBounds {
  Location at;
  Type *array, *index;
};
CUDA_ON_CPU_HARNESS inline void stop() {
  if (!current) abort(); // a fault in the harness itself
  switch_to_scheduler();
}
} // namespace cuda_on_cpu::compiler_checks

extern "C" __attribute__((used)) CUDA_ON_CPU_HARNESS inline void
__ubsan_handle_type_mismatch_v1(cuda_on_cpu::compiler_checks::TypeMismatch* check, uintptr_t address) {
  const char* file = cuda_on_cpu::base_name(check->at.file);
  if (address)
    cuda_on_cpu::fail("%s:%u: misaligned access: %s at an address that %u does not divide", file, check->at.line, check->type->name,
                      1u << check->log2_alignment);
  else cuda_on_cpu::fail("%s:%u: access through a null pointer to %s", file, check->at.line, check->type->name);
  cuda_on_cpu::compiler_checks::stop();
}
extern "C" __attribute__((used)) CUDA_ON_CPU_HARNESS inline void
__ubsan_handle_out_of_bounds(cuda_on_cpu::compiler_checks::OutOfBounds* check, uintptr_t index) {
  cuda_on_cpu::fail("%s:%u: index %lld is out of range for %s", cuda_on_cpu::base_name(check->at.file), check->at.line,
                    static_cast<long long>(index), check->array->name);
  cuda_on_cpu::compiler_checks::stop();
}
#endif
