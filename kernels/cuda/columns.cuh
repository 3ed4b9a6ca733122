// Sums down the columns of contiguous matrices (matrices, positions, C), and maps with numbers for each column: what batch
// normalisation, channel sums and channel maps are made of, forward and back. kernels/columns.py defines the functions.
//
//   moments_*        of each column of each tile of rows: count, mean, sum of squared deviations, (matrices, tiles, 3, C)
//   merge_moments    mean and biased variance of those (Chan, Golub & LeVeque 1983), of a convolution's epilogue too
//   dots_*           of each tile: sum(h), sum(h (x - middle)), (matrices, tiles, 2, C)
//   merge_sums       the sums of those
//   affine_*         act((x - middle) scale + shift)
//   combine_*        h scale + (x - middle) lean + constant
//
// with act(z) = z where z > 0, else slope z, and h = g act'((x - middle) scale + shift). One read of x (and g), one write of y.
// Version: a thread has one column: C side by side, as many rows at once as fit a block. Sums across threads are made in float64.
//
// Not yet run on a GPU: checked by compiling for sm_80 and sm_90a, and by running on the CPU (tests/cuda_shim).
#include "device.cuh"

#define THREADS 256

struct Moments {
  double count, mean, squares;
};

__device__ __forceinline__ Moments merged(Moments a, Moments b) {
  double count = a.count + b.count;
  if (count == 0) return a;
  double apart = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share};
}

// The place of a thread: its column, its first row, and how far it is to its next.
struct Place {
  int column, row, step, lane;
  bool real;
};

__device__ __forceinline__ Place place(int channels) {
  int base = blockIdx.y * THREADS, width = min(THREADS, channels - base), step = THREADS / width, row = threadIdx.x / width;
  return {base + (int)threadIdx.x % width, row, step, width, row < step};
}

// Put what the rows of a column have together: `join(i, j)` for pairs of threads until thread row 0 has all.
template <class F>
__device__ __forceinline__ void tree(int rows, int row, int lane, F join) {
  __syncthreads();
  while (rows > 1) {
    int half = (rows + 1) / 2;
    if (row < rows - half) join(threadIdx.x, threadIdx.x + half * lane);
    __syncthreads();
    rows = half;
  }
}

template <class T>
__device__ __forceinline__ void moments(const T *x, double *partial, int positions, int channels, int size) {
  Place p = place(channels);
  Moments *all = (Moments *)shared_memory();
  const int tile = blockIdx.x, end = min(positions, (tile + 1) * size), begin = tile * size + p.row;
  x += (Long)blockIdx.z * positions * channels + p.column;
  if (p.real) {
    T shift = begin < end ? x[(Long)begin * channels] : (T)0, sum = 0, squares = 0;
    int count = 0;
    for (int r = begin; r < end; r += p.step, count++) {
      T v = x[(Long)r * channels] - shift;
      sum += v;
      squares += v * v;
    }
    double mean = count ? (double)sum / count : 0.0;
    double rest = (double)squares - mean * sum;
    all[threadIdx.x] = {(double)count, shift + mean, rest < 0 ? 0.0 : rest};
  }
  tree(p.step, p.real ? p.row : THREADS, p.lane, [&](int a, int b) { all[a] = merged(all[a], all[b]); });
  if (p.row) return;
  double *mine = partial + ((Long)(blockIdx.z * gridDim.x + tile) * 3) * channels + p.column;
  mine[0] = all[threadIdx.x].count;
  mine[channels] = all[threadIdx.x].mean;
  mine[2 * channels] = all[threadIdx.x].squares;
}

// h for one element: g, or what the activation lets through of it.
template <class T>
__device__ __forceinline__ T through(T g, T away, T scale, T shift, T slope) {
  return slope == 1 || away * scale + shift > 0 ? g : slope == 0 ? (T)0 : g * slope;
}

template <class T>
__device__ __forceinline__ void dots(const T *x, const T *g, const T *middle, const T *scale, const T *shift, T slope,
                                     double *partial, int positions, int channels, int size, int each) {
  Place p = place(channels);
  double *all = (double *)shared_memory();
  const int tile = blockIdx.x, end = min(positions, (tile + 1) * size), begin = tile * size + p.row;
  const Long matrix = (Long)blockIdx.z * positions * channels + p.column;
  const int at = blockIdx.z * each + p.column;
  if (p.real) {
    T m = middle[at], s = scale ? scale[at] : (T)1, b = shift ? shift[at] : (T)0, sum = 0, dot = 0;
    for (int r = begin; r < end; r += p.step) {
      T away = x[matrix + (Long)r * channels] - m, h = through(g[matrix + (Long)r * channels], away, s, b, slope);
      sum += h;
      dot += h * away;
    }
    all[threadIdx.x] = sum;
    all[THREADS + threadIdx.x] = dot;
  }
  tree(p.step, p.real ? p.row : THREADS, p.lane, [&](int a, int b) {
    all[a] += all[b];
    all[THREADS + a] += all[THREADS + b];
  });
  if (p.row) return;
  double *mine = partial + ((Long)(blockIdx.z * gridDim.x + tile) * 2) * channels + p.column;
  mine[0] = all[threadIdx.x];
  mine[channels] = all[THREADS + threadIdx.x];
}

// A thread's elements are a multiple of C apart, so that it reads the numbers of its column once.
template <class T, class F>
__device__ __forceinline__ void each_element(int positions, int channels, F body) {
  const Long all = (Long)positions * channels;
  const int threads = gridDim.x * blockDim.x / channels * channels, t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= threads) return;
  auto of_column = body(t % channels);
#pragma unroll 4
  for (Long i = t; i < all; i += threads) of_column(blockIdx.z * all + i);
}

template <class T>
__device__ __forceinline__ void affine(const T *x, T *y, const T *middle, const T *scale, const T *shift, T slope, int positions,
                                       int channels, int each) {
  each_element<T>(positions, channels, [&](int c) {
    const int at = blockIdx.z * each + c;
    return [=, m = middle[at], s = scale[at], b = shift ? shift[at] : (T)0](Long i) {
      T z = (x[i] - m) * s + b;
      y[i] = z > 0 || slope == 1 ? z : slope == 0 && z == z ? (T)0 : z * slope;
    };
  });
}

template <class T>
__device__ __forceinline__ void combine(const T *x, const T *g, T *y, const T *middle, const T *scale, const T *lean,
                                        const T *constant, const T *shift, T slope, int positions, int channels, int each) {
  each_element<T>(positions, channels, [&](int c) {
    const int at = blockIdx.z * each + c;
    return [=, m = middle[at], s = scale[at], l = lean[at], k = constant[at], b = shift ? shift[at] : (T)0](Long i) {
      T away = x[i] - m;
      y[i] = through(g[i], away, s, b, slope) * s + away * l + k;
    };
  });
}

#define COLUMNS(NAME, T)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                    \
      moments_##NAME(const T *x, double *partial, int positions, int channels, int size) {                                 \
    moments(x, partial, positions, channels, size);                                                                        \
  }                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                    \
      dots_##NAME(const T *x, const T *g, const T *middle, const T *scale, const T *shift, T slope, double *partial,       \
                  int positions, int channels, int size, int each) {                                                       \
    dots(x, g, middle, scale, shift, slope, partial, positions, channels, size, each);                                     \
  }                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                    \
      affine_##NAME(const T *x, T *y, const T *middle, const T *scale, const T *shift, T slope, int positions,             \
                    int channels, int each) {                                                                              \
    affine(x, y, middle, scale, shift, slope, positions, channels, each);                                                  \
  }                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                    \
      combine_##NAME(const T *x, const T *g, T *y, const T *middle, const T *scale, const T *lean, const T *constant,      \
                     const T *shift, T slope, int positions, int channels, int each) {                                     \
    combine(x, g, y, middle, scale, lean, constant, shift, slope, positions, channels, each);                              \
  }

COLUMNS(f32, float)
COLUMNS(f64, double)

// 32 columns a block, eight threads for each.
extern "C" __global__ void __launch_bounds__(THREADS)
    merge_moments(const double *partial, double *mean, double *variance, int tiles, int channels) {
  Moments *all = (Moments *)shared_memory();
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
  partial += (Long)blockIdx.z * tiles * 3 * channels + c;
  Moments mine = {0, 0, 0};
  for (int t = row; t < tiles && c < channels; t += THREADS / 32) {
    const double *one = partial + (Long)t * 3 * channels;
    mine = merged(mine, {one[0], one[channels], one[2 * channels]});
  }
  all[threadIdx.x] = mine;
  tree(THREADS / 32, row, 32, [&](int a, int b) { all[a] = merged(all[a], all[b]); });
  if (row || c >= channels) return;
  mean[(Long)blockIdx.z * channels + c] = all[lane].mean;
  variance[(Long)blockIdx.z * channels + c] = all[lane].squares / all[lane].count;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    merge_sums(const double *partial, double *total, double *dot, int tiles, int channels) {
  double *all = (double *)shared_memory();
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
  partial += (Long)blockIdx.z * tiles * 2 * channels + c;
  double first = 0, second = 0;
  for (int t = row; t < tiles && c < channels; t += THREADS / 32) {
    first += partial[(Long)t * 2 * channels];
    second += partial[(Long)t * 2 * channels + channels];
  }
  all[threadIdx.x] = first;
  all[THREADS + threadIdx.x] = second;
  tree(THREADS / 32, row, 32, [&](int a, int b) {
    all[a] += all[b];
    all[THREADS + a] += all[THREADS + b];
  });
  if (row || c >= channels) return;
  total[(Long)blockIdx.z * channels + c] = all[lane];
  dot[(Long)blockIdx.z * channels + c] = all[THREADS + lane];
}
