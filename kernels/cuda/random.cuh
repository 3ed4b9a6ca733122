// Random numbers as functions of a key and a place, bit for bit those of kernels/philox.py: Philox 4x32-10 (Salmon et al. 2011).
//
//   uniform_*, normal_*   numbers on [0, 1), and standard normal ones
//   keep                  1 where 24 bits are at least a threshold, else 0: dropout's mask
//   dropout_*             scale x where it is kept, else 0: the mask is made again in the backward pass, and never in memory
//
// Version: a thread for each counter, which makes four words, or two of 64 bits. Places come in groups of 16 counters: word 0 of
// all of them first, then word 1, and so on. Compiled without contraction into fused multiply-adds, which would change bits.
//
// Not yet run on a GPU: checked by compiling for sm_80 and sm_90a, and by running on the CPU (tests/cuda_shim).
#include "device.cuh"

typedef unsigned long long Word64;
#define GROUP 16

struct Words {
  unsigned word[4];
};

__device__ __forceinline__ Words philox(Word64 counter, Word64 key, Word64 stream) {
  unsigned a = (unsigned)counter, b = (unsigned)(counter >> 32), c = (unsigned)stream, d = (unsigned)(stream >> 32);
  unsigned left = (unsigned)key, right = (unsigned)(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    Word64 p = (Word64)a * 0xD2511F53u, q = (Word64)c * 0xCD9E8D57u;
    a = (unsigned)(q >> 32) ^ b ^ left;
    b = (unsigned)q;
    c = (unsigned)(p >> 32) ^ d ^ right;
    d = (unsigned)p;
    left += 0x9E3779B9u;
    right += 0xBB67AE85u;
  }
  return {{a, b, c, d}};
}

// What depends on the type: words of so many bits, PER of them a counter.
struct Single {
  typedef float Real;
  typedef unsigned Word;
  typedef int Signed;
  static constexpr int PER = 4, BITS = 32;
  static __device__ __forceinline__ Word word(const Words &w, int i) { return w.word[i]; }
  static __device__ __forceinline__ Real uniform(Word w) { return (float)(w >> 8) * 0x1p-24f; }
  static __device__ __forceinline__ Real log(Real u) {
    int bits = __float_as_int(u), k = (bits - 0x3F3504F3) >> 23;
    Real f = __int_as_float(bits - (int)((unsigned)k << 23)) - 1.0f;
    const Real c[] = {0.06967690251f, -0.1170895918f, 0.1180357308f, -0.1239493529f, 0.1423043124f,
                      -0.1666894159f, 0.2000155447f,  -0.2499998585f, 0.3333332224f};
    Real y = c[0];
#pragma unroll
    for (int i = 1; i < 9; i++) y = y * f + c[i];
    Real rest = f * f * f * y, half = f * f * 0.5f;
    return (Real)k * 0.693359375f + (f - (half - (rest + (Real)k * -2.12194440e-4f)));
  }
  static __device__ __forceinline__ Real sine(Real z) { return (-1.952020528e-4f * z + 8.332204966e-3f) * z + -1.666665552e-1f; }
  static __device__ __forceinline__ Real cosine(Real z) { return (2.444402263e-5f * z + -1.388742358e-3f) * z + 4.166664823e-2f; }
  static __device__ __forceinline__ Real root(Real x) { return sqrtf(x); }
};

struct Double {
  typedef double Real;
  typedef Word64 Word;
  typedef Long Signed;
  static constexpr int PER = 2, BITS = 64;
  static __device__ __forceinline__ Word word(const Words &w, int i) { return w.word[2 * i] | (Word64)w.word[2 * i + 1] << 32; }
  static __device__ __forceinline__ Real uniform(Word w) { return (double)(w >> 11) * 0x1p-53; }
  static __device__ __forceinline__ Real log(Real u) {
    Long bits = __double_as_longlong(u), k = (bits - 0x3FE6A09E667F3BCDLL) >> 52;
    Real f = __longlong_as_double(bits - (Long)((Word64)k << 52)) - 1.0;
    Real s = f / (f + 2.0), z = s * s, half = f * f * 0.5;
    const Real c[] = {0.147565913030609785, 0.153182240588910453, 0.181833896695579905, 0.222222022158653921,
                      0.285714287032325294, 0.399999999996141587, 0.66666666666666987};
    Real y = c[0];
#pragma unroll
    for (int i = 1; i < 7; i++) y = y * z + c[i];
    Real rest = s * (half + z * y);
    return (Real)k * 6.93147180369123816490e-01 + (f - (half - (rest + (Real)k * 1.90821492927058770002e-10)));
  }
  static __device__ __forceinline__ Real sine(Real z) {
    const Real c[] = {1.58987407011031337e-10, -2.50507953357595958e-8, 2.75573139607531614e-6,
                      -1.98412698307087291e-4, 8.33333333332377904e-3,  -1.66666666666666392e-1};
    Real y = c[0];
#pragma unroll
    for (int i = 1; i < 6; i++) y = y * z + c[i];
    return y;
  }
  static __device__ __forceinline__ Real cosine(Real z) {
    const Real c[] = {-1.13668872804458717e-11, 2.0875872585109628e-9,   -2.75573155346152971e-7,
                      2.4801587293930961e-5,    -1.38888888888819681e-3, 4.16666666666666502e-2};
    Real y = c[0];
#pragma unroll
    for (int i = 1; i < 6; i++) y = y * z + c[i];
    return y;
  }
  static __device__ __forceinline__ Real root(Real x) { return sqrt(x); }
};

// Two normal numbers of two words (Box & Muller 1958): sqrt(-2 log u) times the cosine and sine of an angle.
template <class K>
__device__ __forceinline__ void box_muller(typename K::Word a, typename K::Word b, typename K::Real &x, typename K::Real &y) {
  typedef typename K::Real Real;
  typedef typename K::Word Word;
  const Real unit = K::BITS == 64 ? (Real)0x1p-64 : (Real)0x1p-32;
  Real u = (Real)a * unit + unit * (Real)0.5;
  Real radius = K::root(K::log(u) * (Real)-2.0);
  Word eighth = (Word)1 << (K::BITS - 3), turned = b + eighth, quarter = turned >> (K::BITS - 2);
  Word rest = turned & (((Word)1 << (K::BITS - 2)) - 1);
  const Real turn = (Real)(1.5707963267948966 * (K::BITS == 64 ? 0x1p-62 : 0x1p-30));
  Real angle = (Real)(typename K::Signed)(rest - eighth) * turn, z = angle * angle;
  Real sine = angle + angle * z * K::sine(z);
  Real cosine = z * z * K::cosine(z) - z * (Real)0.5 + (Real)1.0;
  x = quarter & 1 ? sine : cosine;
  y = quarter & 1 ? cosine : sine;
  if ((quarter + 1) & 2) x = x * (Real)-1.0;
  if (quarter & 2) y = y * (Real)-1.0;
  x = radius * x;
  y = radius * y;
}

// body(place, word, i) for the PER words of this thread's counter.
#define COUNTER() ((Word64)blockIdx.x * blockDim.x + threadIdx.x)
#define PLACE(counter, i, per) ((Long)((counter / GROUP * per + i) * GROUP + counter % GROUP))

template <class K, bool NORMAL>
__device__ __forceinline__ void draw(typename K::Real *y, Long size, Word64 key, Word64 stream) {
  Word64 counter = COUNTER();
  if (PLACE(counter, 0, K::PER) >= size) return;
  Words words = philox(counter, key, stream);
#pragma unroll
  for (int i = 0; i < K::PER; i += 2) {
    typename K::Real first = 0, second = 0;
    if constexpr (NORMAL) {
      box_muller<K>(K::word(words, i), K::word(words, i + 1), first, second);
    } else {
      first = K::uniform(K::word(words, i));
      second = K::uniform(K::word(words, i + 1));
    }
    if (PLACE(counter, i, K::PER) < size) y[PLACE(counter, i, K::PER)] = first;
    if (PLACE(counter, i + 1, K::PER) < size) y[PLACE(counter, i + 1, K::PER)] = second;
  }
}

#define DRAW(NAME, K, NORMAL)                                                                                      \
  extern "C" __global__ void __launch_bounds__(256) NAME(K::Real *y, Long size, Long key, Long stream) {           \
    draw<K, NORMAL>(y, size, (Word64)key, (Word64)stream);                                                         \
  }
DRAW(uniform_f32, Single, false)
DRAW(uniform_f64, Double, false)
DRAW(normal_f32, Single, true)
DRAW(normal_f64, Double, true)

extern "C" __global__ void __launch_bounds__(256) keep(unsigned char *y, Long size, int threshold, Long key, Long stream) {
  Word64 counter = COUNTER();
  if (PLACE(counter, 0, 4) >= size) return;
  Words words = philox(counter, (Word64)key, (Word64)stream);
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (PLACE(counter, i, 4) < size) y[PLACE(counter, i, 4)] = (words.word[i] >> 8) >= (unsigned)threshold;
}

template <class T>
__device__ __forceinline__ void dropout(const T *x, T *y, Long size, T scale, int threshold, Long key, Long stream) {
  Word64 counter = COUNTER();
  if (PLACE(counter, 0, 4) >= size) return;
  Words words = philox(counter, (Word64)key, (Word64)stream);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    Long at = PLACE(counter, i, 4);
    if (at < size) y[at] = (words.word[i] >> 8) >= (unsigned)threshold ? x[at] * scale : (T)0;
  }
}
extern "C" __global__ void __launch_bounds__(256)
    dropout_f32(const float *x, float *y, Long size, float scale, int threshold, Long key, Long stream) {
  dropout(x, y, size, scale, threshold, key, stream);
}
extern "C" __global__ void __launch_bounds__(256)
    dropout_f64(const double *x, double *y, Long size, double scale, int threshold, Long key, Long stream) {
  dropout(x, y, size, scale, threshold, key, stream);
}
