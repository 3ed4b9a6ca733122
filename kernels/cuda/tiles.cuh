// The product of two tiles in shared memory, by warps: what all matrix-like kernels do between their loads.
//
// A warp's part of the result is WM x WN. With g = lane / 4 and q = lane % 4 a thread holds acc[i][j][2 h + e] of row
// 16 i + 8 h + g and column 8 j + 2 q + e, with tensor cores and without, so that what comes after is the same for both.
#pragma once
#include "device.cuh"

// acc += A B over DEPTH, A(m, k) = a[m * AM + k * AK], B(k, n) = b[n * BN + k * BK].
template <int WM, int WN, int DEPTH, int AM, int AK, int BN, int BK, bool TENSOR, class T>
__device__ __forceinline__ void multiply(T (&acc)[WM / 16][WN / 8][4], const T *a, const T *b, int g, int q) {
  if constexpr (TENSOR) {
#pragma unroll
    for (int k = 0; k < DEPTH; k += 8) {
      unsigned left[WM / 16][4], right[WN / 8][2];
#pragma unroll
      for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int part = 0; part < 4; part++)
          left[i][part] = to_tf32(a[(16 * i + 8 * (part & 1) + g) * AM + (k + 4 * (part >> 1) + q) * AK]);
#pragma unroll
      for (int j = 0; j < WN / 8; j++)
#pragma unroll
        for (int part = 0; part < 2; part++) right[j][part] = to_tf32(b[(8 * j + g) * BN + (k + 4 * part + q) * BK]);
#pragma unroll
      for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int j = 0; j < WN / 8; j++) mma_tf32(acc[i][j], left[i], right[j]);
    }
  } else {
#pragma unroll 4
    for (int k = 0; k < DEPTH; k++) {
      T left[WM / 8], right[WN / 4];
#pragma unroll
      for (int i = 0; i < WM / 8; i++) left[i] = a[(8 * i + g) * AM + k * AK];
#pragma unroll
      for (int j = 0; j < WN / 8; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) right[2 * j + e] = b[(8 * j + 2 * q + e) * BN + k * BK];
#pragma unroll
      for (int i = 0; i < WM / 8; i++)
#pragma unroll
        for (int j = 0; j < WN / 8; j++)
#pragma unroll
          for (int e = 0; e < 2; e++) acc[i / 2][j][2 * (i & 1) + e] += left[i] * right[2 * j + e];
    }
  }
}
