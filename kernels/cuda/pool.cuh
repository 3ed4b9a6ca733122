// Pools of channels-last arrays (N, D, H, W, C), kernels/reference.py's by definition; every result is a gather: no atomics.
//
//   max_pool_*          largest element of each window, and its place in the plane (int64); the first of equals, a NaN over all
//   unpool_*            the way back: sum of g over the windows whose place is this one, where places lie in their windows
//   gather_*            x at places in its plane
//   avg_pool_*, avg_pool_input_*    mean of each window over what counts, and its adjoint
//   pool_2x2_*, unpool_2x2_*        2x2 max-pool with one byte for the place, and its way back through (leaky) relu
//
// Version: a thread for each result, channels fastest, so that neighbours read neighbours.
//
// Not yet run on a GPU: checked by compiling for sm_80 and sm_90a, and by running on the CPU (tests/cuda_shim).
#include "device.cuh"

// A plan is integers: 3 for each of these, then, for average pools, what each output place counts, along D, H and W.
enum PLAN { IN = 0, OUT = 3, KERNEL = 6, STRIDE = 9, LOW = 12, DILATION = 15, COUNTS = 18 };

struct Spot {  // image, place on three axes, channel
  Long n;
  int at[3], c;
};

__device__ __forceinline__ Spot spot(Long i, const int *size, int channels) {
  Spot s;
  s.c = (int)(i % channels);
  i /= channels;
  for (int axis = 2; axis >= 0; axis--) {
    s.at[axis] = (int)(i % size[axis]);
    i /= size[axis];
  }
  s.n = i;
  return s;
}

__device__ __forceinline__ Long flat(const int *at, const int *size) { return ((Long)at[0] * size[1] + at[1]) * size[2] + at[2]; }
__device__ __forceinline__ Long plane(const int *size) { return (Long)size[0] * size[1] * size[2]; }

// body(place in the input's plane, its flat index) for the window at output place `at`, in the kernel's order.
template <class F>
__device__ __forceinline__ void each_tap(const int *plan, const int *at, F body) {
  int k[3], i[3];
  for (k[0] = 0; k[0] < plan[KERNEL]; k[0]++)
    for (k[1] = 0; k[1] < plan[KERNEL + 1]; k[1]++)
      for (k[2] = 0; k[2] < plan[KERNEL + 2]; k[2]++) {
        bool inside = true;
        for (int axis = 0; axis < 3; axis++) {
          i[axis] = at[axis] * plan[STRIDE + axis] + k[axis] * plan[DILATION + axis] - plan[LOW + axis];
          inside = inside && (unsigned)i[axis] < (unsigned)plan[IN + axis];
        }
        if (inside) body(flat(i, plan + IN));
      }
}

// body(output place) for each window that has the input place `at` among its taps.
template <class F>
__device__ __forceinline__ void each_window(const int *plan, const int *at, F body) {
  int k[3], p[3];
  for (k[0] = 0; k[0] < plan[KERNEL]; k[0]++)
    for (k[1] = 0; k[1] < plan[KERNEL + 1]; k[1]++)
      for (k[2] = 0; k[2] < plan[KERNEL + 2]; k[2]++) {
        bool there = true;
        for (int axis = 0; axis < 3; axis++) {
          int away = at[axis] + plan[LOW + axis] - k[axis] * plan[DILATION + axis];
          p[axis] = away / plan[STRIDE + axis];
          there = there && away >= 0 && away % plan[STRIDE + axis] == 0 && p[axis] < plan[OUT + axis];
        }
        if (there) body(p);
      }
}

#define RESULT(size)                                             \
  Long i = (Long)blockIdx.x * blockDim.x + threadIdx.x;          \
  if (i >= (size)) return

template <class T>
__device__ __forceinline__ void max_pool(const T *x, T *y, Long *indices, const int *plan, int channels, Long size) {
  RESULT(size);
  Spot s = spot(i, plan + OUT, channels);
  T best = 0;
  Long where = -1;
  x += s.n * plane(plan + IN) * channels + s.c;
  each_tap(plan, s.at, [&](Long at) {
    T v = x[at * channels];
    if (where < 0 || v > best || v != v) {
      best = v;
      where = at;
    }
  });
  y[i] = best;
  indices[i] = where;
}

template <class T>
__device__ __forceinline__ void unpool(const T *g, const Long *indices, T *gx, const int *plan, int channels, Long size) {
  RESULT(size);
  Spot s = spot(i, plan + IN, channels);
  const Long me = flat(s.at, plan + IN), image = s.n * plane(plan + OUT) * channels + s.c;
  T sum = 0;
  each_window(plan, s.at, [&](const int *p) {
    Long at = image + flat(p, plan + OUT) * channels;
    if (indices[at] == me) sum += g[at];
  });
  gx[i] = sum;
}

// Places (N, any, C) in planes of `input` places each.
template <class T>
__device__ __forceinline__ void gather(const T *x, const Long *indices, T *y, Long input, Long places, int channels, Long size) {
  RESULT(size);
  Long n = i / (places * channels);
  y[i] = x[(n * input + indices[i]) * channels + i % channels];
}

__device__ __forceinline__ int counted(const int *plan, const int *p) {
  const int *counts = plan + COUNTS;
  return counts[p[0]] * counts[plan[OUT] + p[1]] * counts[plan[OUT] + plan[OUT + 1] + p[2]];
}

template <class T>
__device__ __forceinline__ void avg_pool(const T *x, T *y, const int *plan, int channels, int divisor, Long size) {
  RESULT(size);
  Spot s = spot(i, plan + OUT, channels);
  T sum = 0;
  x += s.n * plane(plan + IN) * channels + s.c;
  each_tap(plan, s.at, [&](Long at) { sum += x[at * channels]; });
  y[i] = sum / (T)(divisor ? divisor : counted(plan, s.at));
}

template <class T>
__device__ __forceinline__ void avg_pool_input(const T *g, T *gx, const int *plan, int channels, int divisor, Long size) {
  RESULT(size);
  Spot s = spot(i, plan + IN, channels);
  T sum = 0;
  g += s.n * plane(plan + OUT) * channels + s.c;
  each_window(plan, s.at, [&](const int *p) {
    sum += g[flat(p, plan + OUT) * channels] / (T)(divisor ? divisor : counted(plan, p));
  });
  gx[i] = sum;
}

// (N, height, width, C) -> (N, height / 2, width / 2, C)
template <class T>
__device__ __forceinline__ void pool_2x2(const T *x, T *y, unsigned char *argmax, int height, int width, int channels, Long size) {
  RESULT(size);
  const int half[3] = {1, height / 2, width / 2};
  Spot s = spot(i, half, channels);
  x += ((s.n * height + 2 * s.at[1]) * width + 2 * s.at[2]) * channels + s.c;
  T best = x[0];
  int which = 0;
#pragma unroll
  for (int q = 1; q < 4; q++) {
    T v = x[((Long)(q / 2) * width + q % 2) * channels];
    if (!(v <= best) && (best == best || v != v)) {
      best = v;
      which = q;
    }
  }
  y[i] = best;
  argmax[i] = (unsigned char)which;
}

template <class T>
__device__ __forceinline__ void unpool_2x2(const T *g, const T *y, const unsigned char *argmax, T *gx, T slope, int height,
                                           int width, int channels, Long size) {
  RESULT(size);
  const int whole[3] = {1, height, width};
  Spot s = spot(i, whole, channels);
  T value = 0;
  if (s.at[1] < height / 2 * 2 && s.at[2] < width / 2 * 2) {
    Long at = ((s.n * (height / 2) + s.at[1] / 2) * (width / 2) + s.at[2] / 2) * channels + s.c;
    if (argmax[at] == 2 * (s.at[1] % 2) + s.at[2] % 2) {
      T out = y[at];
      bool keeps = out > 0 || slope == 1 || (slope == 0 && out != out);
      value = keeps ? g[at] : slope == 0 ? (T)0 : g[at] * slope;
    }
  }
  gx[i] = value;
}

#define POOLS(NAME, T)                                                                                                         \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                            \
      max_pool_##NAME(const T *x, T *y, Long *indices, const int *plan, int channels, Long size) {                             \
    max_pool(x, y, indices, plan, channels, size);                                                                             \
  }                                                                                                                            \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                            \
      unpool_##NAME(const T *g, const Long *indices, T *gx, const int *plan, int channels, Long size) {                        \
    unpool(g, indices, gx, plan, channels, size);                                                                              \
  }                                                                                                                            \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                            \
      gather_##NAME(const T *x, const Long *indices, T *y, Long input, Long places, int channels, Long size) {                 \
    gather(x, indices, y, input, places, channels, size);                                                                      \
  }                                                                                                                            \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                            \
      avg_pool_##NAME(const T *x, T *y, const int *plan, int channels, int divisor, Long size) {                               \
    avg_pool(x, y, plan, channels, divisor, size);                                                                             \
  }                                                                                                                            \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                            \
      avg_pool_input_##NAME(const T *g, T *gx, const int *plan, int channels, int divisor, Long size) {                        \
    avg_pool_input(g, gx, plan, channels, divisor, size);                                                                      \
  }                                                                                                                            \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                            \
      pool_2x2_##NAME(const T *x, T *y, unsigned char *argmax, int height, int width, int channels, Long size) {               \
    pool_2x2(x, y, argmax, height, width, channels, size);                                                                     \
  }                                                                                                                            \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                            \
      unpool_2x2_##NAME(const T *g, const T *y, const unsigned char *argmax, T *gx, T slope, int height, int width,            \
                        int channels, Long size) {                                                                             \
    unpool_2x2(g, y, argmax, gx, slope, height, width, channels, size);                                                        \
  }

POOLS(f32, float)
POOLS(f64, double)
