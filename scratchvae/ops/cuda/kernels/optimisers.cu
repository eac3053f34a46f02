// Every optimiser (E23–E30) in one launch over the flat buffers. NumPy twin: ops/numpy/optimisers.py, whose scaled moments
// M = m / (1 − β₁) and V = v / (1 − β₂) these are.
#include "common.cuh"

// The settings of an optimiser, and what of them is the same for all parameters in this step. `a`, `b` are mu, rho or β₁, β₂;
// 1 − a and ln a come from Python in float64, since 1 − 0.999 in float32 has lost five digits.
template <class T> struct Settings {
  T lr, step, a, one_minus_a, log_a, b, one_minus_b, log_b, eps, decay;
  __device__ T bias_a() const { return -expm1(step * log_a); } // 1 − aᵗ
  __device__ T bias_b() const { return -expm1(step * log_b); }
};

// A rule takes one parameter p and its gradient g one step on. m and v are its moments, if it has any.

template <class T> struct Sgd { // p ← p − η g (E24)
  static constexpr int MOMENTS = 0;
  T lr;
  __device__ explicit Sgd(const Settings<T>& s) : lr(s.lr) {}
  __device__ void operator()(T& p, T g, T&, T&) const { p -= lr * g; }
};

template <class T> struct Momentum { // v ← μ v + g,  p ← p − η v (E25)
  static constexpr int MOMENTS = 1;
  T lr, mu;
  __device__ explicit Momentum(const Settings<T>& s) : lr(s.lr), mu(s.a) {}
  __device__ void operator()(T& p, T g, T& v, T&) const {
    v = mu * v + g;
    p -= lr * v;
  }
};

template <class T> struct Nesterov { // v ← μ v + g,  p ← p − η (g + μ v) (E26)
  static constexpr int MOMENTS = 1;
  T lr, mu;
  __device__ explicit Nesterov(const Settings<T>& s) : lr(s.lr), mu(s.a) {}
  __device__ void operator()(T& p, T g, T& v, T&) const {
    v = mu * v + g;
    p -= lr * (g + mu * v);
  }
};

template <class T> struct RMSProp { // s ← ρ s + (1 − ρ) g²,  p ← p − η g / (√s + ε) (E27)
  static constexpr int MOMENTS = 1;
  T lr, rho, eps;
  __device__ explicit RMSProp(const Settings<T>& s)
      : lr(s.lr / sqrt(s.one_minus_a)), rho(s.a), eps(s.eps / sqrt(s.one_minus_a)) {}
  __device__ void operator()(T& p, T g, T& square, T&) const {
    square = rho * square + g * g;
    p -= lr * (g / (sqrt(square) + eps));
  }
};

template <class T> struct Adagrad { // s ← s + g²,  p ← p − η g / (√s + ε) (E28)
  static constexpr int MOMENTS = 1;
  T lr, eps;
  __device__ explicit Adagrad(const Settings<T>& s) : lr(s.lr), eps(s.eps) {}
  __device__ void operator()(T& p, T g, T& square, T&) const {
    square += g * g;
    p -= lr * (g / (sqrt(square) + eps));
  }
};

template <class T> struct Adam { // m ← β₁ m + (1−β₁) g,  v ← β₂ v + (1−β₂) g²,  p ← p − η m̂ / (√v̂ + ε) (E29)
  static constexpr int MOMENTS = 2;
  T lr, beta1, beta2, eps;
  __device__ explicit Adam(const Settings<T>& s) : beta1(s.a), beta2(s.b) {
    const T m_scale = s.one_minus_a / s.bias_a(), v_scale = sqrt(s.one_minus_b / s.bias_b());
    lr = s.lr * m_scale / v_scale;
    eps = s.eps / v_scale;
  }
  __device__ void operator()(T& p, T g, T& m, T& v) const {
    m = beta1 * m + g;
    v = beta2 * v + g * g;
    p -= lr * (m / (sqrt(v) + eps));
  }
};

template <class T> struct AdamW { // p ← p − η λ p, then Adam (E30): the decay does not pass through the moments
  static constexpr int MOMENTS = 2;
  Adam<T> adam;
  T keep;
  __device__ explicit AdamW(const Settings<T>& s) : adam(s), keep(1 - s.lr * s.decay) {}
  __device__ void operator()(T& p, T g, T& m, T& v) const {
    p *= keep;
    adam(p, g, m, v);
  }
};

// One step for all parameters.   p, g, m, v (n,); g ← factor · g + λ p first (E38, E23), in registers only.
// NumPy twin: weight_decay, then sgd … adamw.
// Plan: one thread per V neighbours, all of them in one launch. Moves (3 + 2 · MOMENTS) n numbers; 4 to 12 operations each.
template <class T, template <class> class Rule, int V>
__global__ void update(T* p, const T* g, T* m, T* v, long long n, const T* lr_at, T lr, const unsigned* step_at, unsigned step, const T* factor_at,
                       T weight_decay, T a, T one_minus_a, T log_a, T b, T one_minus_b, T log_b, T eps, T decay) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n) return;
  Pack<T, V> ps = load<V>(p + i), gs = load<V>(g + i), ms = {}, vs = {};
  if (Rule<T>::MOMENTS > 0) ms = load<V>(m + i);
  if (Rule<T>::MOMENTS > 1) vs = load<V>(v + i);
  // After the loads, so that the memory works while this is computed.
  const Settings<T> settings{number(lr_at, lr), T(number(step_at, step)), a, one_minus_a, log_a, b, one_minus_b, log_b, eps, decay};
  const Rule<T> rule(settings);
  const T factor = number(factor_at, T(1));
  for (int j = 0; j < V; ++j) rule(ps.v[j], factor * gs.v[j] + weight_decay * ps.v[j], ms.v[j], vs.v[j]);
  store(p + i, ps);
  if (Rule<T>::MOMENTS > 0) store(m + i, ms);
  if (Rule<T>::MOMENTS > 1) store(v + i, vs);
}

// g ← g + λ p (E23), on its own.   p, g (n,).   NumPy twin: weight_decay
// Plan: one thread per V neighbours. Moves 3 n numbers; 2 operations each.
template <class T, int V> __global__ void weight_decay(const T* p, T* g, long long n, T decay) {
  const long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * V;
  if (i >= n) return;
  const Pack<T, V> ps = load<V>(p + i);
  Pack<T, V> gs = load<V>(g + i);
  for (int j = 0; j < V; ++j) gs.v[j] += decay * ps.v[j];
  store(g + i, gs);
}
