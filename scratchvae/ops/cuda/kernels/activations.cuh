// Activations and their slopes (E6–E12). NumPy twin: ops/numpy/activations.py
#pragma once

enum Activation { NONE, RELU, LEAKY_RELU, TANH, SIGMOID, SOFTPLUS, GELU, SILU };

// y = act(x)
template <int ACT, class T> __device__ T activate(T x) {
  if constexpr (ACT == RELU) return x < 0 ? T(0) : x; // a NaN stays one, as in np.maximum
  else if constexpr (ACT == LEAKY_RELU) return x < 0 ? T(0.01) * x : x;
  else if constexpr (ACT == TANH) return tanh(x);
  else if constexpr (ACT == SIGMOID) return T(0.5) + T(0.5) * tanh(T(0.5) * x);
  else if constexpr (ACT == SOFTPLUS) return (x > 0 ? x : T(0)) + log1p(exp(x > 0 ? -x : x));
  else if constexpr (ACT == GELU) {
    const T u = x * (T(0.7978845608028654) + T(0.7978845608028654 * 0.044715) * x * x);
    return T(0.5) * x * (1 + tanh(u));
  } else if constexpr (ACT == SILU) return x * activate<SIGMOID>(x);
  else return x;
}

// dy/dx from the one array that backward keeps: y where that is enough, and x for GELU and SiLU, which y does not determine.
template <int ACT, class T> __device__ T slope(T kept) {
  if constexpr (ACT == RELU) return kept > 0 ? T(1) : T(0);
  else if constexpr (ACT == LEAKY_RELU) return kept > 0 ? T(1) : T(0.01);
  else if constexpr (ACT == TANH) return 1 - kept * kept;
  else if constexpr (ACT == SIGMOID) return kept * (1 - kept);
  else if constexpr (ACT == SOFTPLUS) return -expm1(-kept); // sigmoid(x) = 1 − e^−softplus(x)
  else if constexpr (ACT == GELU) {
    const T x = kept, t = tanh(x * (T(0.7978845608028654) + T(0.7978845608028654 * 0.044715) * x * x));
    const T x_du = x * (T(0.7978845608028654) + T(3 * 0.7978845608028654 * 0.044715) * x * x);
    return T(0.5) * (1 + t) * (1 + (1 - t) * x_du);
  } else if constexpr (ACT == SILU) {
    const T s = activate<SIGMOID>(kept);
    return s * (1 + kept * (1 - s));
  } else return T(1);
}
