// Softmax, its logarithm and cross-entropy of the rows of a contiguous matrix, forward and back. kernels/rows.py defines them.
//
//   softmax_*        y = e^(x - top) / total, or x - top - log(total)
//   softmax_vjp_*    y (g - sum(g y)), or g - e^y sum(g)
//   nll_*            log(total) - (x[target] - top), and top and log(total)
//   nll_vjp_*        g (e^(x - top - log(total)) - one_hot(target))
//
// Versions: a warp for each row (four rows a block), and 256 threads for each (wide). Maximum and sum are found in one pass
// (Milakov & Gimelshein, "Online normalizer calculation for softmax", 2018); rows that were read come again from a cache.
//
// Not yet run on a GPU: checked by compiling for sm_80 and sm_90a, and by running on the CPU (tests/cuda_shim).
#include "device.cuh"

__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }

// Sum over the threads of a row, in one order for all of them.
template <int THREADS, class T>
__device__ __forceinline__ T row_sum(T value) {
  for (int across = 16; across; across /= 2) value += __shfl_xor_sync(0xffffffffu, value, across);
  if constexpr (THREADS > 32) {
    T *all = (T *)shared_memory();
    __syncthreads();
    if (threadIdx.x % 32 == 0) all[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
    for (int i = 0; i < THREADS / 32; i++) value += all[i];
  }
  return value;
}

template <int THREADS, class T>
__device__ __forceinline__ T row_max(T value) {
  for (int across = 16; across; across /= 2) {
    T other = __shfl_xor_sync(0xffffffffu, value, across);
    value = other > value ? other : value;
  }
  if constexpr (THREADS > 32) {
    T *all = (T *)shared_memory();
    __syncthreads();
    if (threadIdx.x % 32 == 0) all[threadIdx.x / 32] = value;
    __syncthreads();
    for (int i = 0; i < THREADS / 32; i++) value = all[i] > value ? all[i] : value;
  }
  return value;
}

// The largest of a row, and the sum of e^(x - largest).
template <int THREADS, class T>
__device__ __forceinline__ void normaliser(const T *x, int width, int t, T &top, T &total) {
  const T none = -(T)__int_as_float(0x7f800000);  // minus infinity
  T most = none, sum = 0;
  for (int c = t; c < width; c += THREADS) {
    T v = x[c];
    if (v > most) {
      sum = sum * exponential(most - v) + 1;
      most = v;
    } else if (v != none) {
      sum += exponential(v - most);
    }
  }
  top = row_max<THREADS>(most);
  total = row_sum<THREADS>(most == none && sum == 0 ? (T)0 : sum * exponential(most - top));
}

template <int THREADS, class T, class F>
__device__ __forceinline__ void each_row(int rows, F body) {
  constexpr int TOGETHER = THREADS == 32 ? 4 : 1;
  int row = blockIdx.x * TOGETHER + (THREADS == 32 ? threadIdx.x / 32 : 0);
  if (row < rows) body(row, (int)threadIdx.x % THREADS);  // a warp, or the block, stays together
}

template <int THREADS, class T>
__device__ __forceinline__ void softmax(const T *x, T *y, int rows, int width, int as_logarithm) {
  each_row<THREADS, T>(rows, [&](int row, int t) {
    const T *from = x + (Long)row * width;
    T *to = y + (Long)row * width, top, total;
    normaliser<THREADS>(from, width, t, top, total);
    T shift = logarithm(total), factor = 1 / total;
    for (int c = t; c < width; c += THREADS) to[c] = as_logarithm ? from[c] - top - shift : exponential(from[c] - top) * factor;
  });
}

template <int THREADS, class T>
__device__ __forceinline__ void softmax_vjp(const T *g, const T *y, T *gx, int rows, int width, int as_logarithm) {
  each_row<THREADS, T>(rows, [&](int row, int t) {
    const Long start = (Long)row * width;
    T sum = 0;
    for (int c = t; c < width; c += THREADS) sum += as_logarithm ? g[start + c] : g[start + c] * y[start + c];
    sum = row_sum<THREADS>(sum);
    for (int c = t; c < width; c += THREADS) {
      T h = g[start + c], v = y[start + c];
      gx[start + c] = as_logarithm ? h - exponential(v) * sum : v * (h - sum);
    }
  });
}

template <int THREADS, class T>
__device__ __forceinline__ void nll(const T *x, const Long *target, T *loss, T *tops, T *logs, int rows, int width) {
  each_row<THREADS, T>(rows, [&](int row, int t) {
    T top, total;
    normaliser<THREADS>(x + (Long)row * width, width, t, top, total);
    if (t) return;
    tops[row] = top;
    logs[row] = logarithm(total);
    loss[row] = logarithm(total) - (x[(Long)row * width + target[row]] - top);
  });
}

template <int THREADS, class T>
__device__ __forceinline__ void nll_vjp(const T *g, const T *x, const Long *target, const T *tops, const T *logs, T *gx, int rows,
                                        int width) {
  each_row<THREADS, T>(rows, [&](int row, int t) {
    const Long start = (Long)row * width;
    const T factor = g[row], top = tops[row], shift = logs[row];
    for (int c = t; c < width; c += THREADS)
      gx[start + c] = factor * (exponential(x[start + c] - top - shift) - (c == target[row] ? (T)1 : (T)0));
  });
}

#define ROWS(NAME, T, THREADS, BLOCK)                                                                                        \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                                                        \
      softmax_##NAME(const T *x, T *y, int rows, int width, int as_logarithm) {                                              \
    softmax<THREADS>(x, y, rows, width, as_logarithm);                                                                       \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                                                        \
      softmax_vjp_##NAME(const T *g, const T *y, T *gx, int rows, int width, int as_logarithm) {                             \
    softmax_vjp<THREADS>(g, y, gx, rows, width, as_logarithm);                                                               \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                                                        \
      nll_##NAME(const T *x, const Long *target, T *loss, T *tops, T *logs, int rows, int width) {                           \
    nll<THREADS>(x, target, loss, tops, logs, rows, width);                                                                  \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                                                        \
      nll_vjp_##NAME(const T *g, const T *x, const Long *target, const T *tops, const T *logs, T *gx, int rows, int width) { \
    nll_vjp<THREADS>(g, x, target, tops, logs, gx, rows, width);                                                             \
  }

ROWS(f32, float, 32, 128)
ROWS(f64, double, 32, 128)
ROWS(wide_f32, float, 256, 256)
ROWS(wide_f64, double, 256, 256)
