// The top of the ladder (ladder.cu): the same product on the tensor cores.
#include "affine.cuh"
#include "tile_tf32.cuh"

// Rung 5, tensor cores: a warp multiplies 16 × 8 by 8 in one instruction, at some ten times the rate, for factors rounded to
// TF32. Parts arrive by cp.async, past the registers. Asks memory for 2 M N K / 128 numbers. It is what dense layers use.
template <int V>
__global__ void __launch_bounds__(LargeTF32<float>::THREADS)
    tensor_cores(const float* A, const float* B, float* C, int M, int N, int K) {
  const Place place = Place::of<LargeTF32<float>>(blockIdx.x, M, N, 1);
  LargeTF32<float>::run<V>(Matrix<float, true>{A, K}, Matrix<float, false>{B, N}, M, N, K, place, Scratch<float>{}, TimesSlope<float, NONE>{nullptr, C, N});
}
