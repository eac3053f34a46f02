// Dense layers on the tensor cores: affine<float, SmallTF32 | LargeTF32, ACT, V>, affine_dX, affine_dW.
#include "affine.cuh"
#include "tile_tf32.cuh"
