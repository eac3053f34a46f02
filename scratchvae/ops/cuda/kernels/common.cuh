// What every kernel here uses: short vectors, sums in a fixed order, numbers that may live on the device.
#pragma once

// V neighbours in one access. V = 1 works anywhere; V = 16 / sizeof(T) needs addresses that 16 divides and moves 16 bytes
// at once. Python chooses V from addresses and sizes alone, so the same call always takes the same path.
template <class T, int V> struct alignas(sizeof(T) * V) Pack {
  T v[V];
};
template <int V, class T> __device__ Pack<T, V> load(const T* at) { return *reinterpret_cast<const Pack<T, V>*>(at); }
template <class T, int V> __device__ void store(T* at, Pack<T, V> pack) { *reinterpret_cast<Pack<T, V>*>(at) = pack; }

// A number of this launch. A captured graph freezes a launch's scalars, so what changes from step to step (learning rate, step
// counter, batch) is read from the device when an address is given.
template <class T> __device__ T number(const T* address, T value) { return address ? *address : value; }

// Σ over the warp, a fixed tree → the sum in lane 0.
template <class T> __device__ T warp_sum(T value) {
  for (int gap = 16; gap > 0; gap /= 2) value += __shfl_down_sync(0xffffffffu, value, gap);
  return value;
}

// Σ over the block, first each warp's tree, then the warps in order → the sum in thread 0.
template <int THREADS, class T> __device__ T block_sum(T value) {
  __shared__ T of_warp[THREADS / 32];
  value = warp_sum(value);
  __syncthreads(); // a sum before this one may still be read
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int warp = 1; warp < THREADS / 32; ++warp) value += of_warp[warp];
  return value;
}
