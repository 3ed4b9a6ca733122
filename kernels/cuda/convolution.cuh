// Convolution and its two gradients on channels-last arrays, as matrix products whose operands are gathered on the way into
// shared memory (implicit GEMM; Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014).
//
//   gather_*         y[m, o] = act(sum over taps t and channels c of x[place(m, t), c] w[o, t, c] + bias[o])
//                    forward: a row m is an output pixel; input gradient and transposed convolution: the same sum with x and y
//                    exchanged, one phase for each remainder of a pixel's place by the stride, so that no tap is multiplied by zero
//   weight_*         partial[s, o, (t, c)] = sum over the pixels p of part s of g[p, o] x[place(p, t), c]
//   sum_parts_*      w[o, c, t] = sum over s of partial[s, o, (t, c)]
//
// Versions: tf32 multiplies on tensor cores (operands rounded to TF32, float32 sums); f32 and f64 are exact products. "few" has a
// narrow tile for few results (a generator's image, the gradient of an image); "v1" copies single elements, for channels that are
// no multiple of 16 bytes (images). Loads run STAGES - 1 tiles ahead (cp.async). Sums have a fixed order: no atomics.
// Epilogue of gather_*: bias, (leaky) relu, and for a following batch norm count, mean and sum of squared deviations of each
// column of a tile, which merge_moments (columns.cuh) puts together.
//
// Not yet run on a GPU: checked by compiling for sm_80 and sm_90a, and by running on the CPU (tests/cuda_shim).
#include "tiles.cuh"

// A plan is integers: those of PLAN, then 6 for each phase, then 3 for each tap. A phase has rows of HEIGHT x WIDTH pixels, which
// begin at (Y0, X0) of the results and are Y_STEP, X_STEP apart, and COUNT taps from FIRST on. Channels are those of one group.
enum PLAN { BATCH, IN_H, IN_W, IN_C, GROUPS, OUT_H, OUT_W, OUT_C, ROW_STEP, COLUMN_STEP, Y_STEP, X_STEP, TAPS, PHASES, ALL_TAPS, HEADER };
enum PHASE { Y0, X0, HEIGHT, WIDTH, FIRST, COUNT, PHASE_SIZE };
enum TAP { DY, DX, SLOT, TAP_SIZE };

template <class T, int BM, int BN, int BK, int WM, int WN, int STAGES, int VEC, bool TENSOR>
__device__ __forceinline__ void gather(const T *x, const T *w, const T *bias, T *y, double *moments, const int *plan, T slope) {
  constexpr int WARPS_M = BM / WM, WARPS_N = BN / WN, THREADS = 32 * WARPS_M * WARPS_N;
  constexpr int LD = BK + 16 / sizeof(T);                      // no two lanes of a fragment's load in one bank
  constexpr int CHUNKS = BK / VEC, STRIDE = THREADS / CHUNKS;  // of a row; rows that are loaded together
  const int t = threadIdx.x, lane = t % 32, warp = t / 32, g = lane / 4, q = lane % 4;
  const int groups = plan[GROUPS], in_c = plan[IN_C], out_c = plan[OUT_C], in_h = plan[IN_H], in_w = plan[IN_W];
  const int group = blockIdx.z % groups, phase_index = blockIdx.z / groups;
  const int *phase = plan + HEADER + PHASE_SIZE * phase_index;
  const int height = phase[HEIGHT], width = phase[WIDTH], taps = phase[COUNT], depth = taps * in_c;
  const int rows = plan[BATCH] * height * width, row0 = blockIdx.x * BM, column0 = blockIdx.y * BN;
  const int columns = min(BN, out_c - column0);
  double *mine = moments;
  if (moments) mine += ((Long)(phase_index * gridDim.x + blockIdx.x) * 3 * groups + group) * out_c + column0;
  const Long moment_step = (Long)groups * out_c;
  if (row0 >= rows) {  // another phase has more
    if (moments)
      for (int c = t; c < columns; c += THREADS) mine[c] = mine[c + moment_step] = mine[c + 2 * moment_step] = 0;
    return;
  }

  T *left = (T *)shared_memory(), *right = left + STAGES * BM * LD;
  int *row_y = (int *)(right + STAGES * BN * LD), *row_x = row_y + BM, *row_in = row_x + BM, *row_out = row_in + BM;
  int *tap_y = row_out + BM, *tap_x = tap_y + taps, *tap_in = tap_x + taps, *tap_slot = tap_in + taps;
  for (int r = t; r < BM; r += THREADS) {
    int m = row0 + r, image = m / (height * width), rest = m - image * height * width, i = rest / width, j = rest - i * width;
    bool real = m < rows;
    row_y[r] = real ? i * plan[ROW_STEP] : -(1 << 28);  // far outside, whatever the tap
    row_x[r] = j * plan[COLUMN_STEP];
    row_in[r] = ((image * in_h + i * plan[ROW_STEP]) * in_w + j * plan[COLUMN_STEP]) * in_c * groups + group * in_c;
    int place = (image * plan[OUT_H] + phase[Y0] + i * plan[Y_STEP]) * plan[OUT_W] + phase[X0] + j * plan[X_STEP];
    row_out[r] = real ? place * out_c * groups + group * out_c : -1;
  }
  const int *tap = plan + HEADER + PHASE_SIZE * plan[PHASES] + TAP_SIZE * phase[FIRST];
  for (int k = t; k < taps; k += THREADS) {
    tap_y[k] = tap[TAP_SIZE * k + DY];
    tap_x[k] = tap[TAP_SIZE * k + DX];
    tap_in[k] = (tap[TAP_SIZE * k + DY] * in_w + tap[TAP_SIZE * k + DX]) * in_c * groups;
    tap_slot[k] = tap[TAP_SIZE * k + SLOT] * in_c;
  }
  __syncthreads();

  const int tiles = (depth + BK - 1) / BK, chunk = t % CHUNKS, first = t / CHUNKS;
  const T *weights = w + (Long)(group * out_c + column0) * plan[TAPS] * in_c;
  auto load = [&](int tile) {
    T *to_left = left + tile % STAGES * BM * LD + chunk * VEC, *to_right = right + tile % STAGES * BN * LD + chunk * VEC;
    int k = tile * BK + chunk * VEC;
    bool live = k < depth;
    int at = live ? k / in_c : 0, c = k - at * in_c;
    int dy = live ? tap_y[at] : 0, dx = live ? tap_x[at] : 0, shift = live ? tap_in[at] + c : 0, slot = live ? tap_slot[at] + c : 0;
#pragma unroll
    for (int r = first; r < BM; r += STRIDE) {
      bool inside = live && (unsigned)(row_y[r] + dy) < (unsigned)in_h && (unsigned)(row_x[r] + dx) < (unsigned)in_w;
      copy_async<VEC * sizeof(T)>(to_left + r * LD, x + (inside ? row_in[r] + shift : 0), inside);
    }
#pragma unroll
    for (int r = first; r < BN; r += STRIDE) {
      bool inside = live && r < columns;
      copy_async<VEC * sizeof(T)>(to_right + r * LD, weights + (inside ? (Long)r * plan[TAPS] * in_c + slot : 0), inside);
    }
  };

  T acc[WM / 16][WN / 8][4] = {};
  const int wm = warp / WARPS_N * WM, wn = warp % WARPS_N * WN;
#pragma unroll 1
  for (int tile = 0; tile < STAGES - 1; tile++) {
    if (tile < tiles) load(tile);
    copy_commit();
  }
#pragma unroll 1
  for (int tile = 0; tile < tiles; tile++) {
    copy_wait<STAGES - 2>();
    __syncthreads();  // this tile is there for all, and nobody reads the one before, which the next load replaces
    if (tile + STAGES - 1 < tiles) load(tile + STAGES - 1);
    copy_commit();
    multiply<WM, WN, BK, LD, 1, LD, 1, TENSOR>(
        acc, left + (tile % STAGES * BM + wm) * LD, right + (tile % STAGES * BN + wn) * LD, g, q);
  }

#pragma unroll
  for (int j = 0; j < WN / 8; j++)
#pragma unroll
    for (int e = 0; e < 2; e++) {
      const int c = wn + 8 * j + 2 * q + e;
      const bool real = c < columns;
      const T shift = bias && real ? bias[group * out_c + column0 + c] : (T)0;
      T *column = y + column0 + c;
#pragma unroll
      for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
          T &value = acc[i][j][2 * h + e];
          value += shift;
          if (value <= 0) value = slope == 0 ? (T)0 : value * slope;
          int place = row_out[wm + 16 * i + 8 * h + g];
          if (real && place >= 0) column[place] = value;
        }
    }
  if (!moments) return;

  // Of each column of the tile: the mean, then the sum of squared deviations from it, which nothing cancels in.
  const int count = min(BM, rows - row0);
  T *sums = left;  // [WARPS_M][BN], twice
#pragma unroll 1
  for (int pass = 0; pass < 2; pass++) {
    __syncthreads();
#pragma unroll
    for (int j = 0; j < WN / 8; j++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        int c = wn + 8 * j + 2 * q + e;
        T mean = 0, sum = 0;
        if (pass) {
          for (int k = 0; k < WARPS_M; k++) mean += sums[k * BN + c];
          mean /= (T)count;
        }
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
#pragma unroll
          for (int h = 0; h < 2; h++)
            if (row0 + wm + 16 * i + 8 * h + g < rows) {
              T value = acc[i][j][2 * h + e] - mean;
              sum += pass ? value * value : value;
            }
        for (int across = 4; across < 32; across *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, across);
        if (g == 0) sums[(pass * WARPS_M + warp / WARPS_N) * BN + c] = sum;
      }
  }
  __syncthreads();
  for (int c = t; c < columns; c += THREADS) {
    T total = 0, squares = 0;
    for (int k = 0; k < WARPS_M; k++) {
      total += sums[k * BN + c];
      squares += sums[(WARPS_M + k) * BN + c];
    }
    mine[c] = count;
    mine[c + moment_step] = total / (T)count;
    mine[c + 2 * moment_step] = squares;
  }
}

// The left operand is g as it lies in memory, the right one gathered; both tiles are [pixel][...]. VG and VX as VEC.
template <class T, int BM, int BN, int BK, int WM, int WN, int STAGES, int VG, int VX, bool TENSOR>
__device__ __forceinline__ void weight(const T *x, const T *g_, T *partial, const int *plan, int parts) {
  constexpr int WARPS_N = BN / WN, THREADS = 32 * (BM / WM) * WARPS_N;
  constexpr int LA = BM + 32 / sizeof(T), LB = BN + 32 / sizeof(T), RING = STAGES + 1;
  constexpr int CHUNKS_G = BM / VG, CHUNKS_X = BN / VX;
  static_assert(THREADS % CHUNKS_G == 0 && THREADS % CHUNKS_X == 0 && BK <= THREADS, "a thread keeps its column");
  const int t = threadIdx.x, lane = t % 32, warp = t / 32, g = lane / 4, q = lane % 4;
  const int groups = plan[GROUPS], in_c = plan[IN_C], out_c = plan[OUT_C], in_h = plan[IN_H], in_w = plan[IN_W];
  const int out_h = plan[OUT_H], out_w = plan[OUT_W], taps = plan[TAPS], results = taps * in_c;
  const int pixels = plan[BATCH] * out_h * out_w;
  const int group = blockIdx.z % groups, part = blockIdx.z / groups, o0 = blockIdx.x * BM, k0 = blockIdx.y * BN;
  const int all_tiles = (pixels + BK - 1) / BK, share = (all_tiles + parts - 1) / parts;
  const int begin = part * share, tiles = max(0, min(share, all_tiles - begin));

  T *left = (T *)shared_memory(), *right = left + STAGES * BK * LA;
  int *ring_in = (int *)(right + STAGES * BK * LB), *ring_y = ring_in + RING * BK, *ring_x = ring_y + RING * BK;

  auto locate = [&](int tile) {  // where the pixels of a tile lie
    if (t >= BK) return;
    int p = (begin + tile) * BK + t, image = p / (out_h * out_w), rest = p - image * out_h * out_w;
    int i = rest / out_w * plan[ROW_STEP], j = rest % out_w * plan[COLUMN_STEP], slot = tile % RING * BK + t;
    ring_in[slot] = ((image * in_h + i) * in_w + j) * in_c * groups + group * in_c;
    ring_y[slot] = p < pixels ? i : -(1 << 28);
    ring_x[slot] = j;
  };
  const int o = o0 + t % CHUNKS_G * VG, k = k0 + t % CHUNKS_X * VX;
  const bool live_o = o < out_c, live_k = k < results;
  const int *tap = plan + HEADER + PHASE_SIZE * plan[PHASES] + TAP_SIZE * (live_k ? k / in_c : 0);
  const int dy = tap[DY], dx = tap[DX], shift = (dy * in_w + dx) * in_c * groups + k % in_c;
  auto load = [&](int tile) {
    T *to_left = left + tile % STAGES * BK * LA + t % CHUNKS_G * VG, *to_right = right + tile % STAGES * BK * LB + t % CHUNKS_X * VX;
#pragma unroll
    for (int r = t / CHUNKS_G; r < BK; r += THREADS / CHUNKS_G) {
      int p = (begin + tile) * BK + r;
      bool inside = live_o && p < pixels;
      copy_async<VG * sizeof(T)>(to_left + r * LA, g_ + (inside ? ((Long)p * groups + group) * out_c + o : 0), inside);
    }
#pragma unroll
    for (int r = t / CHUNKS_X; r < BK; r += THREADS / CHUNKS_X) {
      int slot = tile % RING * BK + r;
      bool inside = live_k && (unsigned)(ring_y[slot] + dy) < (unsigned)in_h && (unsigned)(ring_x[slot] + dx) < (unsigned)in_w;
      copy_async<VX * sizeof(T)>(to_right + r * LB, x + (inside ? ring_in[slot] + shift : 0), inside);
    }
  };

  T acc[WM / 16][WN / 8][4] = {};
  const int wm = warp / WARPS_N * WM, wn = warp % WARPS_N * WN;
  for (int tile = 0; tile < STAGES; tile++) locate(tile);
  __syncthreads();
#pragma unroll 1
  for (int tile = 0; tile < STAGES - 1; tile++) {
    if (tile < tiles) load(tile);
    copy_commit();
  }
#pragma unroll 1
  for (int tile = 0; tile < tiles; tile++) {
    copy_wait<STAGES - 2>();
    __syncthreads();
    locate(tile + STAGES);  // read after the next barrier; the slot's last reader was before this one
    if (tile + STAGES - 1 < tiles) load(tile + STAGES - 1);
    copy_commit();
    multiply<WM, WN, BK, 1, LA, 1, LB, TENSOR>(
        acc, left + tile % STAGES * BK * LA + wm, right + tile % STAGES * BK * LB + wn, g, q);
  }
  T *mine = partial + ((Long)part * groups + group) * out_c * results;
#pragma unroll
  for (int i = 0; i < WM / 16; i++)
#pragma unroll
    for (int j = 0; j < WN / 8; j++)
#pragma unroll
      for (int v = 0; v < 4; v++) {
        int row = o0 + wm + 16 * i + 8 * (v / 2) + g, column = k0 + wn + 8 * j + 2 * q + v % 2;
        if (row < out_c && column < results) mine[(Long)row * results + column] = acc[i][j][v];
      }
}

template <class T>
__device__ __forceinline__ void sum_parts(const T *partial, T *w, int parts, int rows, int taps, int channels) {
  Long size = (Long)rows * taps * channels, i = (Long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  T sum = 0;
  for (int s = 0; s < parts; s++) sum += partial[s * size + i];
  int c = (int)(i % channels), t = (int)(i / channels % taps);
  w[(i / ((Long)channels * taps) * channels + c) * taps + t] = sum;
}

#define GATHER(NAME, T, BM, BN, BK, WM, WN, STAGES, VEC, TENSOR, BLOCKS)                                                            \
  extern "C" __global__ void __launch_bounds__(32 * (BM / WM) * (BN / WN), BLOCKS)                                          \
      NAME(const T *x, const T *w, const T *bias, T *y, double *moments, const int *plan, T slope) {                        \
    gather<T, BM, BN, BK, WM, WN, STAGES, VEC, TENSOR>(x, w, bias, y, moments, plan, slope);                                \
  }
#define WEIGHT(NAME, T, BM, BN, BK, WM, WN, STAGES, VG, VX, TENSOR)                                                         \
  extern "C" __global__ void __launch_bounds__(32 * (BM / WM) * (BN / WN))                                                  \
      NAME(const T *x, const T *g, T *partial, const int *plan, int parts) {                                                \
    weight<T, BM, BN, BK, WM, WN, STAGES, VG, VX, TENSOR>(x, g, partial, plan, parts);                                      \
  }
#define SUM_PARTS(NAME, T)                                                                                                  \
  extern "C" __global__ void NAME(const T *partial, T *w, int parts, int rows, int taps, int channels) {                    \
    sum_parts(partial, w, parts, rows, taps, channels);                                                                     \
  }

// kernels/cuda/versions.py has the same numbers: a test compares them.
GATHER(gather_tf32_large, float, 128, 128, 32, 64, 32, 3, 4, true, 1)
GATHER(gather_tf32, float, 128, 64, 32, 64, 32, 3, 4, true, 3)
GATHER(gather_tf32_small, float, 64, 64, 32, 32, 32, 3, 4, true, 1)
GATHER(gather_tf32_few, float, 128, 16, 32, 32, 16, 3, 4, true, 1)
GATHER(gather_tf32_v1, float, 128, 64, 16, 64, 32, 3, 1, true, 3)
GATHER(gather_tf32_few_v1, float, 128, 16, 16, 32, 16, 3, 1, true, 1)
GATHER(gather_f32, float, 64, 64, 16, 32, 32, 3, 4, false, 1)
GATHER(gather_f32_few, float, 128, 16, 16, 32, 16, 3, 4, false, 1)
GATHER(gather_f32_v1, float, 64, 64, 16, 32, 32, 3, 1, false, 1)
GATHER(gather_f32_few_v1, float, 128, 16, 16, 32, 16, 3, 1, false, 1)
GATHER(gather_f64, double, 64, 64, 16, 32, 32, 2, 2, false, 1)
GATHER(gather_f64_v1, double, 64, 64, 16, 32, 32, 2, 1, false, 1)

WEIGHT(weight_tf32_large, float, 128, 128, 32, 64, 32, 3, 4, 4, true)
WEIGHT(weight_tf32, float, 64, 64, 32, 32, 32, 3, 4, 4, true)
WEIGHT(weight_tf32_xv1, float, 64, 64, 32, 32, 32, 3, 4, 1, true)
WEIGHT(weight_tf32_v1, float, 64, 64, 32, 32, 32, 3, 1, 1, true)
WEIGHT(weight_f32, float, 64, 64, 16, 32, 32, 3, 4, 4, false)
WEIGHT(weight_f32_v1, float, 64, 64, 16, 32, 32, 3, 1, 1, false)
WEIGHT(weight_f64, double, 64, 64, 16, 32, 32, 2, 2, 2, false)
WEIGHT(weight_f64_v1, double, 64, 64, 16, 32, 32, 2, 1, 1, false)
SUM_PARTS(sum_parts_f32, float)
SUM_PARTS(sum_parts_f64, double)
