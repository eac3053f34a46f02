// Convolutions in full float32 or float64: convolution and convolution_backward<T, Small | Medium, TRANSPOSED, V>.
#include "convolution.cuh"
#include "tile_fma.cuh"
