// Dense layers in full float32 or float64: affine<T, Small | Medium | Large, ACT, V>, affine_dX, affine_dW.
#include "affine.cuh"
#include "tile_fma.cuh"
