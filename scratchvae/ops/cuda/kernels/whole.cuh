// Whole numbers of whatever kind an array holds.
#pragma once

// Number i of an array whose elements have `kind` bytes, 1, 2, 4 or 8, and a sign if `kind` is negative.
// (Above 2⁶³ it comes out below 0.)
__device__ inline long long whole(const void* at, int kind, long long i) {
  switch (kind) {
  case 1: return static_cast<const unsigned char*>(at)[i];
  case 2: return static_cast<const unsigned short*>(at)[i];
  case 4: return static_cast<const unsigned*>(at)[i];
  case -1: return static_cast<const signed char*>(at)[i];
  case -2: return static_cast<const short*>(at)[i];
  case -4: return static_cast<const int*>(at)[i];
  default: return static_cast<const long long*>(at)[i];
  }
}
