// Dense layers in full float32 or float64: affine and affine_backward<T, Small | Medium | Large, ACT, V>.
#include "affine.cuh"
#include "tile_fma.cuh"
