// Convolutions on the tensor cores: convolution and convolution_backward<float, NarrowTF32 | SmallTF32 | MediumTF32, TRANSPOSED, V>.
#include "convolution.cuh"
#include "tile_tf32.cuh"

// NarrowTF32: for results of few columns. 128 threads, a 16 × 16 stretch of rows per warp.
template <class T> using NarrowTF32 = TensorTile<64, 16, 32, 16, 16, 4>;
