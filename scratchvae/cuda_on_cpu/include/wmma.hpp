// nvcuda::wmma: a warp multiplies two small matrices on the tensor cores.
//
// The elements of a fragment are spread over the lanes in an order that CUDA leaves open; here they are scattered on
// purpose, so that code which relies on one layout breaks. TF32 keeps 10 of 23 fraction bits: __float_to_tf32 rounds to
// nearest (ties away from zero, as cvt.rna does) and mma_sync drops what is left of the lower bits, as the hardware does.
// The sum runs over k in order, in FP32; a tensor core's own order and roundings differ in the last bits.
#pragma once
#include <bit>
#include <type_traits>

#include "half.hpp"
#include "warp.hpp"

namespace cuda_on_cpu {
inline float truncate_to_tf32(float x) { return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0xffffe000u); }
inline float round_to_tf32(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  return finite ? std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u) : x;
}
// Which element of the matrix, counted along its rows, lane `lane` holds at x[i].
constexpr int scattered(int lane, int i) { return i * 32 + (lane * 5 + i) % 32; }
} // namespace cuda_on_cpu

namespace nvcuda::wmma {

struct row_major;
struct col_major;
struct matrix_a;
struct matrix_b;
struct accumulator;
namespace precision {
struct tf32;
}
enum layout_t { mem_row_major, mem_col_major };

inline float __float_to_tf32(float x) { return cuda_on_cpu::round_to_tf32(x); }

template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment {
  static constexpr bool tf32 = std::is_same_v<T, precision::tf32>;
  static_assert(std::is_same_v<Use, accumulator> || (tf32 ? M == 16 && N == 16 && K == 8 : true), "TF32 fragments are 16×16×8");
  static constexpr int rows = std::is_same_v<Use, matrix_b> ? K : M;
  static constexpr int columns = std::is_same_v<Use, matrix_a> ? K : N;
  static constexpr int num_elements = rows * columns / 32;
  using element_type = std::conditional_t<tf32, float, T>;
  element_type x[num_elements];
};

template <class F, class V> void fill_fragment(F& f, V value) {
  for (auto& element : f.x) element = value;
}

template <class F, class P> void check_matrix_address(const P* address, unsigned stride, const char* what, cuda_on_cpu::Site at) {
  if (reinterpret_cast<uintptr_t>(address) % 32)
    cuda_on_cpu::fail("%s:%d: %s needs an address that 32 divides", cuda_on_cpu::base_name(at.file), at.line, what);
  else if (stride * sizeof(P) % 16)
    cuda_on_cpu::fail("%s:%d: %s needs a stride that is a multiple of 16 bytes, not %zu", cuda_on_cpu::base_name(at.file), at.line,
                      what, stride * sizeof(P));
  else return;
  cuda_on_cpu::switch_to_scheduler();
}

// The lanes meet (".sync") but no memory is ordered: what other lanes wrote still needs __syncwarp() or __syncthreads().
template <class F, class P> void load(F& f, const P* from, unsigned stride, bool by_rows, cuda_on_cpu::Site at) {
  check_matrix_address<F>(from, stride, "load_matrix_sync", at);
  cuda_on_cpu::warp_op(cuda_on_cpu::WarpOp::meet, cuda_on_cpu::all_lanes, at);
  for (int i = 0; i < F::num_elements; ++i) {
    const int element = cuda_on_cpu::scattered(cuda_on_cpu::lane(), i), row = element / F::columns, column = element % F::columns;
    f.x[i] = by_rows ? from[row * stride + column] : from[column * stride + row];
  }
}
template <class Use, int M, int N, int K, class T, class Layout, class P>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& f, const P* from, unsigned stride, CUDA_ON_CPU_AT) {
  load(f, from, stride, std::is_same_v<Layout, row_major>, at);
}
template <int M, int N, int K, class T, class P>
void load_matrix_sync(fragment<accumulator, M, N, K, T>& f, const P* from, unsigned stride, layout_t layout, CUDA_ON_CPU_AT) {
  load(f, from, stride, layout == mem_row_major, at);
}

template <int M, int N, int K, class T, class P>
void store_matrix_sync(P* to, const fragment<accumulator, M, N, K, T>& f, unsigned stride, layout_t layout, CUDA_ON_CPU_AT) {
  check_matrix_address<decltype(f)>(to, stride, "store_matrix_sync", at);
  cuda_on_cpu::warp_op(cuda_on_cpu::WarpOp::meet, cuda_on_cpu::all_lanes, at);
  for (int i = 0; i < f.num_elements; ++i) {
    const int element = cuda_on_cpu::scattered(cuda_on_cpu::lane(), i), row = element / N, column = element % N;
    to[layout == mem_row_major ? row * stride + column : column * stride + row] = f.x[i];
  }
}

template <class A, class B, class C> struct Product { // what one lane brings to D = A B + C
  C* d;
  const A* a;
  const B* b;
  const C* c;
};

template <class A, class B, class C, int M, int N, int K> CUDA_ON_CPU_HARNESS void multiply(void** argument_of_lane) {
  using cuda_on_cpu::scattered;
  float a[M][K], b[K][N], c[M][N];
  const auto operand = [](auto x) { return A::tf32 ? cuda_on_cpu::truncate_to_tf32(float(x)) : float(x); };
  for (int lane = 0; lane < 32; ++lane) {
    const auto& product = *static_cast<Product<A, B, C>*>(argument_of_lane[lane]);
    for (int i = 0; i < A::num_elements; ++i) a[scattered(lane, i) / K][scattered(lane, i) % K] = operand(product.a->x[i]);
    for (int i = 0; i < B::num_elements; ++i) b[scattered(lane, i) / N][scattered(lane, i) % N] = operand(product.b->x[i]);
    for (int i = 0; i < C::num_elements; ++i) c[scattered(lane, i) / N][scattered(lane, i) % N] = float(product.c->x[i]);
  }
  for (int m = 0; m < M; ++m)
    for (int k = 0; k < K; ++k)
      for (int n = 0; n < N; ++n) c[m][n] += a[m][k] * b[k][n];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& product = *static_cast<Product<A, B, C>*>(argument_of_lane[lane]);
    for (int i = 0; i < C::num_elements; ++i) product.d->x[i] = c[scattered(lane, i) / N][scattered(lane, i) % N];
  }
}

template <int M, int N, int K, class T, class LayoutA, class LayoutB, class D>
void mma_sync(fragment<accumulator, M, N, K, D>& d, const fragment<matrix_a, M, N, K, T, LayoutA>& a,
              const fragment<matrix_b, M, N, K, T, LayoutB>& b, const fragment<accumulator, M, N, K, D>& c, CUDA_ON_CPU_AT) {
  using A = fragment<matrix_a, M, N, K, T, LayoutA>;
  using B = fragment<matrix_b, M, N, K, T, LayoutB>;
  using C = fragment<accumulator, M, N, K, D>;
  Product<A, B, C> product{&d, &a, &b, &c};
  cuda_on_cpu::warp_op(cuda_on_cpu::WarpOp::together, cuda_on_cpu::all_lanes, at, 0, 0, &product, &multiply<A, B, C, M, N, K>);
}

} // namespace nvcuda::wmma
