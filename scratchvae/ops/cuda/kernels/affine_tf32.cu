// Dense layers on the tensor cores: affine and affine_backward<float, SmallTF32 | MediumTF32 | LargeTF32, ACT, V>.
#include "affine.cuh"
#include "tile_tf32.cuh"
