// Noise as a function of (seed, stream, step, row, column). NumPy twin: scratchvae/rng.py, the integers bit for bit.
#pragma once

struct Four {
  unsigned w[4];
};

// Philox4x32-10 (E1): counter (c0, c1, c2, c3), key (low and high half of the seed) → four words.
__device__ inline Four philox(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned long long seed) {
  unsigned k0 = unsigned(seed), k1 = unsigned(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const unsigned high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// u = ⌊w / 2⁸⌋ · 2⁻²⁴ in [0, 1) (E2): exact in float32.
template <class T> __device__ T uniform(unsigned word) { return T(word >> 8) * T(1.0 / 16777216); }

// cos πx and sin πx at once. Unlike cos(2πu), these need no reduction of a large angle, which would spill to local memory.
__device__ inline void sin_cos_pi(float x, float* s, float* c) { sincospif(x, s, c); }
__device__ inline void sin_cos_pi(double x, double* s, double* c) { sincospi(x, s, c); }

template <class T> struct Normals {
  T v[4];
};

// ε of columns 4g … 4g+3 by Box–Muller (E3): √(−2 ln u₁) (cos 2πu₂, sin 2πu₂) for each of two pairs of words.
template <class T>
__device__ Normals<T> normals(unsigned group, unsigned row, unsigned step, unsigned stream, unsigned long long seed) {
  const Four words = philox(group, row, step, stream, seed);
  Normals<T> out;
#pragma unroll
  for (int pair = 0; pair < 2; ++pair) {
    const T u1 = 1 - uniform<T>(words.w[2 * pair]), u2 = uniform<T>(words.w[2 * pair + 1]);
    const T radius = sqrt(T(-2) * log(u1));
    T sine, cosine;
    sin_cos_pi(2 * u2, &sine, &cosine);
    out.v[2 * pair] = radius * cosine, out.v[2 * pair + 1] = radius * sine;
  }
  return out;
}
