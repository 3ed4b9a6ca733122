// Optimisers' rules for all parameters in one launch, rounding by rounding as kernels/cpu/optimizer.py and NumPy's passes compute
// them: compiled without contraction into fused multiply-adds.
//
//   adam_*   Adam, AdamW and AMSGrad            sgd_*   SGD with and without momentum
//
// Version: multi-tensor. A block has BLOCK elements of one parameter, which it finds in a table with a row for each: first block,
// elements, and the addresses of the parameter, its gradient and its buffers. A row of numbers goes with it: 1 - decoupled decay,
// the gradient's factor, weight decay, and the rule's own.
//
// Not yet run on a GPU: checked by compiling for sm_80 and sm_90a, and by running on the CPU (tests/cuda_shim).
#include "device.cuh"

#define BLOCK 4096
#define THREADS 256
enum ROW { FIRST, SIZE, PARAMETER, GRADIENT, BUFFER, ROW_SIZE = BUFFER + 3 };
#define NUMBERS 10

__device__ __forceinline__ float root(float x) { return sqrtf(x); }
__device__ __forceinline__ double root(double x) { return sqrt(x); }

// The row of this block: the last whose first block is not above it.
__device__ __forceinline__ int row_of(const Long *table, int rows) {
  int low = 0, high = rows - 1;
  while (low < high) {
    int middle = (low + high + 1) / 2;
    if (table[middle * ROW_SIZE + FIRST] <= (Long)blockIdx.x) low = middle;
    else high = middle - 1;
  }
  return low;
}

template <class T, class F>
__device__ __forceinline__ void each_element(const Long *row, F body) {
  Long start = (blockIdx.x - row[FIRST]) * BLOCK, end = min(start + BLOCK, row[SIZE]);
  for (Long i = start + threadIdx.x; i < end; i += THREADS) body(i);
}

template <class T>
__device__ __forceinline__ T gradient(T x, T g, T sign, T decay) {
  return decay != 0 ? x * decay + g * sign : g * sign;
}

template <class T>
__device__ __forceinline__ void adam(const Long *table, const T *numbers, int rows) {
  const int r = row_of(table, rows);
  const Long *row = table + r * ROW_SIZE;
  const T *n = numbers + r * NUMBERS;
  const T shrink = n[0], sign = n[1], decay = n[2], rest_m = n[3], keep_v = n[4], rest_v = n[5], lr = n[6], eps = n[7];
  T *p = (T *)row[PARAMETER], *m = (T *)row[BUFFER], *v = (T *)row[BUFFER + 1], *largest = (T *)row[BUFFER + 2];
  const T *g = (const T *)row[GRADIENT];
  each_element<T>(row, [&](Long i) {
    T x = p[i] * shrink, d = gradient(x, g[i], sign, decay);
    T mean = m[i] + (d - m[i]) * rest_m, size = v[i] * keep_v + d * d * rest_v;
    m[i] = mean;
    v[i] = size;
    if (largest) {
      T before = largest[i];
      size = before >= size || before != before ? before : size;  // NaN wins, as in np.maximum
      largest[i] = size;
    }
    p[i] = x - mean / (root(size) + eps) * lr;
  });
}

template <class T>
__device__ __forceinline__ void sgd(const Long *table, const T *numbers, int rows) {
  const int r = row_of(table, rows);
  const Long *row = table + r * ROW_SIZE;
  const T *n = numbers + r * NUMBERS;
  const T shrink = n[0], sign = n[1], decay = n[2], lr = n[3], keep_b = n[4], keep_g = n[5];
  const bool nesterov = n[6] != 0;
  T *p = (T *)row[PARAMETER], *b = (T *)row[BUFFER];
  const T *g = (const T *)row[GRADIENT];
  each_element<T>(row, [&](Long i) {
    T x = p[i] * shrink, d = gradient(x, g[i], sign, decay);
    if (b) {
      T average = b[i] * keep_b + d * keep_g;
      b[i] = average;
      d = nesterov ? average * keep_b + d : average;
    }
    p[i] = x - d * lr;
  });
}

#define RULE(NAME, RULE_, T)                                                                                          \
  extern "C" __global__ void __launch_bounds__(THREADS) NAME(const Long *table, const T *numbers, int rows) {         \
    RULE_(table, numbers, rows);                                                                                      \
  }
RULE(adam_f32, adam, float)
RULE(adam_f64, adam, double)
RULE(sgd_f32, sgd, float)
RULE(sgd_f64, sgd, double)
