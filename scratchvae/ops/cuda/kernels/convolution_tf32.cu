// Convolutions on the tensor cores: convolution and convolution_backward<float, SmallTF32 | MediumTF32, TRANSPOSED, V>.
#include "convolution.cuh"
#include "tile_tf32.cuh"
