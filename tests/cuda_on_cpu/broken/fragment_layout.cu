// Y = A B + b on the tensor cores, A (16, 8), B (8, 16), b (16). BROKEN: it adds the bias to the fragment's elements as if
// element i of a lane lay in column (lane + i) % 16; where it lies is the hardware's secret.
extern "C" __global__ void biased_product(const float* A, const float* B, const float* b, float* Y) {
  using namespace nvcuda;
  wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> a;
  wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> bs;
  wmma::fragment<wmma::accumulator, 16, 16, 8, float> y;
  wmma::load_matrix_sync(a, A, 8);
  wmma::load_matrix_sync(bs, B, 16);
  for (int i = 0; i < a.num_elements; ++i) a.x[i] = wmma::__float_to_tf32(a.x[i]);
  for (int i = 0; i < bs.num_elements; ++i) bs.x[i] = wmma::__float_to_tf32(bs.x[i]);
  wmma::fill_fragment(y, 0.0f);
  wmma::mma_sync(y, a, bs, y);
#ifdef BROKEN
  for (int i = 0; i < y.num_elements; ++i) y.x[i] += b[(threadIdx.x + i) % 16];
#endif
  __shared__ __align__(32) float tile[16 * 16];
  wmma::store_matrix_sync(tile, y, 16, wmma::mem_row_major);
  __syncwarp();
  for (int i = threadIdx.x; i < 256; i += 32) {
#ifndef BROKEN
    Y[i] = tile[i] + b[i % 16];
#else
    Y[i] = tile[i];
#endif
  }
}
