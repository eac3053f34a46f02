// A batch from the data set that stays in the GPU's memory. NumPy twin: data.gather
#include "common.cuh"
#include "philox.cuh"

// One pixel as a number in [0, 1]: 255 divides, so each is the float nearest to k / 255 and the bits are NumPy's.
template <class T> __device__ T in_unit_range(unsigned char pixel) { return T(pixel) / T(255); }
template <class T> __device__ T in_unit_range(float pixel) { return T(pixel); }

// out[r] = images[order[batch · batch_size + r]] as numbers in [0, 1].   images (N, D) · order (≥ all rows asked for,) → out (rows, D)
// With BINARISE, out is 1 with that probability, else 0: uniform(seed, stream, step, r, column) < pixel (E1, E2), anew in every
// step. A row that does not exist becomes NaN: a kernel cannot raise, and NaN is found by the check of the loss.
// Plan: one thread per four pixels, which are one Philox counter. Reads rows · D pixels, writes as many numbers; 4 bytes and one
// 16-byte vector at a time if V = 4 (D and the addresses allow it).
template <class T, class Pixel, int V, bool BINARISE>
__global__ void gather(const Pixel* images, long long N, int D, const long long* order, const unsigned* batch_at, unsigned batch,
                       int batch_size, T* out, int rows, unsigned long long seed, unsigned stream, const unsigned* step_at, unsigned step) {
  const int groups = (D + 3) / 4;
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)rows * groups) return;
  const int row = i / groups, group = i % groups;
  const long long image = order[(long long)number(batch_at, batch) * batch_size + row];
  const bool exists = 0 <= image && image < N;
  Four words = {};
  if constexpr (BINARISE) words = philox(group, row, number(step_at, step), stream, seed);
  const int count = D - 4 * group < 4 ? D - 4 * group : 4;
  const Pixel* from = images + image * D + 4 * group;
  T* to = out + (long long)row * D + 4 * group;
  const auto value = [&](Pixel pixel, int j) {
    const T x = in_unit_range<T>(pixel);
    return BINARISE ? T(uniform<T>(words.w[j]) < x) : x;
  };
  const T missing = T(0) / T(exists); // 0, or NaN
  if constexpr (V == 4) {
    Pack<Pixel, 4> pixels = {};
    if (exists) pixels = load<4>(from);
    Pack<T, 16 / sizeof(T)> part; // a float4, or two double2
    for (int j = 0; j < 4; ++j) {
      constexpr int wide = 16 / sizeof(T);
      part.v[j % wide] = value(pixels.v[j], j) + missing;
      if (j % wide == wide - 1) store(to + j - (wide - 1), part);
    }
  } else {
    for (int j = 0; j < count; ++j) to[j] = exists ? value(from[j], j) : missing;
  }
}

// The same for whole numbers, and whatever else is copied as it is: rows of D words of 1, 2, 4 or 8 bytes.
// A row that does not exist becomes all ones, which is −1, or a NaN.   array (N, D) → out (rows, D).   NumPy twin: data.gather
// Plan: one thread per word. Moves 2 rows · D words.
template <class Word>
__global__ void gather_words(const Word* array, long long N, int D, const long long* order, const unsigned* batch_at,
                             unsigned batch, int batch_size, Word* out, int rows) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= (long long)rows * D) return;
  const long long row = order[(long long)number(batch_at, batch) * batch_size + i / D];
  out[i] = 0 <= row && row < N ? array[row * D + i % D] : Word(~Word(0));
}
