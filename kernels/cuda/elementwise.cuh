// Functions of single elements and their derivatives, chains of operations in one pass, for flat arrays.
//
//   forward_<formula>_*    y = f(x)                       kernels/cpu/elementwise.py has the same formulas under the same names
//   backward_<formula>_*   g f'(x), given v: f(x) or x, as the formula asks
//   masked_*               scale x where `keep` holds, else 0
//
// Version: a grid of threads over the elements, each taking every so-manieth.
//
// Not yet run on a GPU: checked by compiling for sm_80 and sm_90a, and by running on the CPU (tests/cuda_shim).
#include "device.cuh"

#define FUNCTION(NAME)                                                            \
  __device__ __forceinline__ float NAME##_(float x) { return NAME##f(x); }        \
  __device__ __forceinline__ double NAME##_(double x) { return NAME(x); }
FUNCTION(exp)
FUNCTION(expm1)
FUNCTION(log)
FUNCTION(log1p)
FUNCTION(tanh)
FUNCTION(erf)

template <class T>
__device__ __forceinline__ T sigmoid(T x) {
  T e = exp_(x < 0 ? x : -x);  // does not overflow
  return (x < 0 ? e : (T)1) / (1 + e);
}

template <class T>
__device__ __forceinline__ T normal_density(T x) {
  return exp_(x * x * (T)-0.5) * (T)0.3989422804014327;
}

#define SQRT_HALF 0.7071067811865476
#define SQRT_2_PI 0.7978845608028654
#define CUBIC 0.044715

// FORMULA(name, y of x, gx of g and v); a, b and c are its parameters.
#define FORMULAS(FORMULA)                                                                                                    \
  FORMULA(relu, x < 0 ? (T)0 : x, v == 0 ? (T)0 : g)                                                                         \
  FORMULA(leaky_relu, x > 0 ? x : x * a, v > 0 ? g : g * a)                                                                  \
  FORMULA(hardtanh, x < a ? a : x > b ? b : x, v == a || v == b ? (T)0 : g)                                                  \
  FORMULA(exp, exp_(x), g * v)                                                                                               \
  FORMULA(log, log_(x), g / v)                                                                                               \
  FORMULA(tanh, tanh_(x), g - g * v * v)                                                                                     \
  FORMULA(sigmoid, sigmoid(x), g * (v * (1 - v)))                                                                            \
  FORMULA(elu, x > 0 ? x * b : expm1_(x * c) * a * b, g * (v > 0 ? b : (v + b * a) * c))                                     \
  FORMULA(softplus, softplus(x, a, b), v * a > b ? g : g * sigmoid(v * a))                                                   \
  FORMULA(silu, x * sigmoid(x), silu_vjp(g, v))                                                                              \
  FORMULA(mish, mish(x), mish_vjp(g, v))                                                                                     \
  FORMULA(gelu, x * (erf_(x * (T)SQRT_HALF) * (T)0.5 + (T)0.5), gelu_vjp(g, v))                                              \
  FORMULA(gelu_tanh, x * (tanh_(x * (x * x * (T)CUBIC + 1) * (T)SQRT_2_PI) * (T)0.5 + (T)0.5), gelu_tanh_vjp(g, v))

template <class T>
__device__ __forceinline__ T softplus(T x, T beta, T threshold) {
  T z = x * beta;
  return z > threshold ? x : ((z > 0 ? z : (T)0) + log1p_(exp_(z > 0 ? -z : z))) / beta;
}
template <class T>
__device__ __forceinline__ T silu_vjp(T g, T x) {
  T s = sigmoid(x);
  return g * (s + x * s * (1 - s));
}
// tanh(log(1 + e^x)) = n / (n + 2), n = e (e + 2), e = e^x; at 20 that is 1 already, in float64 at 40.
template <class T>
__device__ __forceinline__ T exponential_of_mish(T x) {
  const T end = sizeof(T) == 8 ? 40 : 20;
  return exp_(x > end ? end : x);
}
template <class T>
__device__ __forceinline__ T mish(T x) {
  T e = exponential_of_mish(x), n = e * (e + 2);
  return x * (n / (n + 2));
}
template <class T>
__device__ __forceinline__ T mish_vjp(T g, T x) {
  T e = exponential_of_mish(x), n = e * (e + 2), d = 1 / (n + 2);
  return g * (n * d + x * (4 * e * (e + 1) * d * d));
}
template <class T>
__device__ __forceinline__ T gelu_vjp(T g, T x) {
  return g * (erf_(x * (T)SQRT_HALF) * (T)0.5 + (T)0.5 + x * normal_density(x));
}
template <class T>
__device__ __forceinline__ T gelu_tanh_vjp(T g, T x) {
  T z = x * x, t = tanh_(x * (z * (T)CUBIC + 1) * (T)SQRT_2_PI), slope = (z * (T)(3 * CUBIC) + 1) * (T)SQRT_2_PI;
  return g * (t * (T)0.5 + (T)0.5 + x * slope * (1 - t * t) * (T)0.5);
}

#define EACH(i, size) \
  for (Long i = (Long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += (Long)gridDim.x * blockDim.x)

#define KERNELS(NAME, T_, SUFFIX, FORWARD, BACKWARD)                                                                         \
  extern "C" __global__ void __launch_bounds__(256, 4) forward_##NAME##_##SUFFIX(const T_ *xs, T_ *ys, Long size, T_ a, T_ b, T_ c) { \
    typedef T_ T;                                                                                                            \
    EACH(i, size) {                                                                                                          \
      const T x = xs[i];                                                                                                     \
      ys[i] = FORWARD;                                                                                                       \
    }                                                                                                                        \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                          \
      backward_##NAME##_##SUFFIX(const T_ *gs, const T_ *vs, T_ *gxs, Long size, T_ a, T_ b, T_ c) {                         \
    typedef T_ T;                                                                                                            \
    EACH(i, size) {                                                                                                          \
      const T g = gs[i], v = vs[i];                                                                                          \
      gxs[i] = BACKWARD;                                                                                                     \
    }                                                                                                                        \
  }
#define BOTH(NAME, FORWARD, BACKWARD) KERNELS(NAME, float, f32, FORWARD, BACKWARD) KERNELS(NAME, double, f64, FORWARD, BACKWARD)
FORMULAS(BOTH)

#define MASKED(NAME, T)                                                                                                      \
  extern "C" __global__ void __launch_bounds__(256, 4)                                                                          \
      NAME(const T *x, const unsigned char *keep, T *y, Long size, T scale) {                                                \
    EACH(i, size) y[i] = keep[i] ? x[i] * scale : (T)0;                                                                      \
  }
MASKED(masked_f32, float)
MASKED(masked_f64, double)
