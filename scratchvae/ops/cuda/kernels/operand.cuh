// An operand of a product C = A B: where its number at (outer, k) is. `outer` is a row of C for A, a column of C for B.
// A tile asks for V neighbours at a time, along k if K_FASTEST, else along outer; V divides the length of what is contiguous
// there. So an operand need not be a matrix in memory: convolution.cuh has two whose places are computed.
#pragma once

template <class T> struct Spot {
  const T* at;
  bool exists; // else a zero stands there
};

// A matrix in memory, its rows contiguous and one after the other: (outer, k) if K_FASTEST, else (k, outer).
template <class T, bool K_FASTEST_> struct Matrix {
  static constexpr bool K_FASTEST = K_FASTEST_;
  const T* from;
  int pitch; // from one row to the next
  __device__ Spot<T> find(int outer, int k) const {
    return {from + (K_FASTEST ? (long long)outer * pitch + k : (long long)k * pitch + outer), true};
  }
};
