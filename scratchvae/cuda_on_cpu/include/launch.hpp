// The functions that Python calls, one pair for every kernel: its signature and its launch.
#pragma once
#include <string>
#include <type_traits>
#include <utility>

#include "scheduler.hpp"

namespace cuda_on_cpu {

// A parameter's type as Python reads it: NumPy's kind and size ("f4", "i8", "u1"), '*' before what it points to.
template <class T> std::string type_code() {
  using V = std::remove_cv_t<T>;
  if constexpr (std::is_pointer_v<V>) return "*" + type_code<std::remove_pointer_t<V>>();
  else if constexpr (std::is_void_v<V>) return "V0";
  else {
    const char kind = std::is_same_v<V, bool>                                        ? 'b'
                      : std::is_floating_point_v<V> || std::is_same_v<V, _Float16> ? 'f'
                      : std::is_integral_v<V>                                      ? (std::is_signed_v<V> ? 'i' : 'u')
                                                                                     : 'V';
    return kind + std::to_string(sizeof(V));
  }
}
inline std::string last_signature; // what Python reads before it asks for the next
template <class... P> std::string signature(void (*)(P...)) {
  std::string codes;
  ((codes += type_code<P>() + " "), ...);
  return codes;
}

// The copies of the arguments that every thread takes are not the kernel's own accesses.
template <class... P, size_t... I>
CUDA_ON_CPU_HARNESS void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<P>*>(arguments[I])...);
}

template <class... P>
const char* launch(void (*kernel)(P...), const unsigned* grid, const unsigned* block, size_t shared_bytes, void** arguments) {
  struct Call {
    void (*kernel)(P...);
    void** arguments;
  } prepared{kernel, arguments};
  kernel_arguments = &prepared;
  kernel_body = [](void* p) CUDA_ON_CPU_HARNESS {
    auto* c = static_cast<Call*>(p);
    call(c->kernel, c->arguments, std::index_sequence_for<P...>{});
  };
  return run_grid({grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared_bytes);
}

} // namespace cuda_on_cpu

#define CUDA_ON_CPU_PUBLIC extern "C" __attribute__((visibility("default"), used))
#define CUDA_ON_CPU_EXPORT(number, ...)                                                                                \
  CUDA_ON_CPU_PUBLIC const char* cuda_on_cpu_signature_##number() {                                                    \
    return (cuda_on_cpu::last_signature = cuda_on_cpu::signature(&__VA_ARGS__)).c_str();                                \
  }                                                                                                                    \
  CUDA_ON_CPU_PUBLIC const char* cuda_on_cpu_launch_##number(const unsigned* grid, const unsigned* block, size_t shared, \
                                                             void** arguments) {                                       \
    return cuda_on_cpu::launch(&__VA_ARGS__, grid, block, shared, arguments);                                          \
  }

CUDA_ON_CPU_PUBLIC void cuda_on_cpu_set_schedule(int schedule, uint64_t seed) {
  cuda_on_cpu::schedule = static_cast<cuda_on_cpu::Schedule>(schedule);
  cuda_on_cpu::random_state = seed * 2862933555777941757ull + 3037000493ull;
}
CUDA_ON_CPU_PUBLIC void cuda_on_cpu_set_unordered_blocks(int unordered) {
  cuda_on_cpu::unordered_blocks = cuda_on_cpu::with_tsan && unordered;
}
CUDA_ON_CPU_PUBLIC size_t cuda_on_cpu_max_dynamic_shared() { return cuda_on_cpu::max_dynamic_shared; }
