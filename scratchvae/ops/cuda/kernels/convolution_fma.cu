// Convolutions in full float32 or float64: convolution and convolution_backward<T, Narrow | Small | Medium, TRANSPOSED, V>.
#include "convolution.cuh"
#include "tile_fma.cuh"

// Narrow: for results of few columns, as images with few channels are. 64 threads, of 4 × 4 sums each, as in Small.
template <class T> using Narrow = FmaTile<T, 64, 16, 16, 4, 4>;
