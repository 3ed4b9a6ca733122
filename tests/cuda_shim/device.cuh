// CUDA C++ on the CPU: a block's threads are fibers, switched at barriers, shuffles and tensor-core instructions.
//
// It stands in for kernels/cuda/device.cuh and for what NVRTC knows by itself, and is strict where a GPU is not:
// - threads run in forward, reverse or shuffled order, and so do blocks: a missing barrier gives other results. Forward and
//   reverse, a warp goes on until it waits at a barrier before another one does; shuffled, they take turns at random
// - shared memory is exactly as large as asked for, begins as NaN, and is watched by ASan or by a guard behind it
// - an asynchronous copy lands when its thread waits for it, no sooner; until then its target is NaN
// - a barrier that not all threads reach, or a warp that does not stay together, is an error
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#ifndef SHIM_LIST  // while the kernels' names are looked for, this stays in the text
#define __global__
#endif
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __restrict__ __restrict

typedef long long Long;
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

enum State { READY, AT_BARRIER, AT_WARP, DONE };
enum Kind : int { NONE, SYNC, SHUFFLE, MMA };

struct Copy {
  void *to;
  const void *from;
  int bytes;
  bool inside;
  long group;
};

struct Fiber {
  void *stack_pointer = nullptr;
  char *stack = nullptr;
  State state = DONE;
  dim3 index;
  long collectives = 0, groups = 0;
  std::vector<Copy> copies;
};

struct Slot {  // what a lane gives to the others
  int kind;
  uint64_t word;
  uint32_t a[4], b[2];
};

struct Fault {
  std::string text;
};

static const size_t STACK = 256 << 10;
static std::vector<Fiber> fibers;
static std::vector<Slot> slots;  // two for every thread: a lane may be one collective ahead of another that still reads
static std::vector<int> warp_arrived;
static int current, arrived, alive;
static void *scheduler;
static char *shared;
static std::string fault;
static void (*kernel)(void **);
static void **arguments;

extern "C" void shim_switch(void **save, void *load);
#if defined(__x86_64__)
asm(R"(
.text
.globl shim_switch
.hidden shim_switch
.type shim_switch, @function
shim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size shim_switch, .-shim_switch
)");
static const int SAVED = 6;
#else
#error "the shim switches stacks on x86-64 only"
#endif

static void fail(const std::string &text) {
  if (fault.empty())
    fault = text + " (block " + std::to_string(blockIdx.x) + ", " + std::to_string(blockIdx.y) + ", " +
            std::to_string(blockIdx.z) + "; thread " + std::to_string(current) + ")";
}

static void leave() {
  int mine = current;
  shim_switch(&fibers[mine].stack_pointer, scheduler);
  threadIdx = fibers[mine].index;
}

static void run_one() {
  kernel(arguments);
  Fiber &me = fibers[current];
  if (!me.copies.empty()) fail("a thread ended with copies in flight");
  me.state = DONE;
  alive--;
  shim_switch(&me.stack_pointer, scheduler);
  abort();
}

static void barrier() {
  fibers[current].state = AT_BARRIER;
  if (++arrived == (int)fibers.size()) {
    for (Fiber &f : fibers) f.state = READY;
    arrived = 0;
  }
  leave();
}

// This lane's slot is seen by its warp; returns the warp's slots once all lanes are there.
static Slot *meet(const Slot &given) {
  int me = current, warp = me / 32;
  long turn = fibers[me].collectives++ & 1;
  slots[2 * me + turn] = given;
  fibers[me].state = AT_WARP;
  if (++warp_arrived[warp] == 32) {
    for (int i = 0; i < 32; i++) fibers[32 * warp + i].state = READY;
    warp_arrived[warp] = 0;
  }
  leave();
  Slot *all = &slots[64 * warp];
  for (int i = 0; i < 32; i++)
    if (all[2 * i + turn].kind != given.kind) fail("lanes of a warp met in different instructions");
  return all + turn;
}

static void prepare(int i) {
  Fiber &f = fibers[i];
  if (!f.stack) f.stack = (char *)malloc(STACK);
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(f.stack, STACK);  // the fiber that was here has not returned from its first function
#endif
  f.state = READY;
  f.collectives = f.groups = 0;
  f.copies.clear();
  f.index.x = i % blockDim.x;
  f.index.y = i / blockDim.x % blockDim.y;
  f.index.z = i / blockDim.x / blockDim.y;
  void **top = (void **)(f.stack + STACK);
  *--top = nullptr;
  *--top = (void *)run_one;  // where `ret` goes; the stack is then as after a call
  for (int k = 0; k < SAVED; k++) *--top = nullptr;
  f.stack_pointer = top;
}

static void run_block(int mode, std::mt19937 &random) {
  int n = (int)fibers.size();
  for (int i = 0; i < n; i++) prepare(i);
  arrived = 0;
  alive = n;
  std::fill(warp_arrived.begin(), warp_arrived.end(), 0);
  std::vector<int> lanes(32), warps(n / 32);
  for (int i = 0; i < 32; i++) lanes[i] = mode == 1 ? 31 - i : i;
  for (int i = 0; i < n / 32; i++) warps[i] = mode == 1 ? n / 32 - 1 - i : i;
  auto step = [&](int warp) {  // all lanes that can, to where they wait next
    bool ran = false;
    if (mode == 2) std::shuffle(lanes.begin(), lanes.end(), random);
    for (int lane : lanes) {
      current = 32 * warp + lane;
      if (fibers[current].state != READY || !fault.empty()) continue;
      ran = true;
      threadIdx = fibers[current].index;
      shim_switch(&scheduler, fibers[current].stack_pointer);
    }
    return ran;
  };
  while (alive && fault.empty()) {
    bool ran = false;
    if (mode == 2) std::shuffle(warps.begin(), warps.end(), random);
    for (int warp : warps)
      while (step(warp)) {
        ran = true;
        if (mode == 2 && random() & 1) break;
      }
    if (!ran) fail("some threads wait for others that never come");
  }
}

// mode: 0 forward, 1 reverse, 2 shuffled. Returns what went wrong, or nothing.
static const char *launch(void (*function)(void **), void **args, const unsigned *grid, const unsigned *block, int bytes, int mode) {
  static const int GUARD = 4096;  // what is written further behind would be in the memory of others
  fault.clear();
  kernel = function;
  arguments = args;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  size_t threads = (size_t)block[0] * block[1] * block[2];
  if (threads % 32 || threads > 1024) return (fault = "a block needs whole warps, 1024 threads at most").c_str();
  if (bytes > 227 << 10) return (fault = "more shared memory than a GPU has").c_str();
  for (size_t i = threads; i < fibers.size(); i++) free(fibers[i].stack);
  fibers.resize(threads);
  slots.resize(2 * threads);
  warp_arrived.resize(threads / 32);
  std::mt19937 random(12345);
  size_t blocks = (size_t)grid[0] * grid[1] * grid[2];
  std::vector<size_t> order(blocks);
  for (size_t i = 0; i < blocks; i++) order[i] = mode == 1 ? blocks - 1 - i : i;
  if (mode == 2) std::shuffle(order.begin(), order.end(), random);
  for (size_t i : order) {
    blockIdx = {(unsigned)(i % grid[0]), (unsigned)(i / grid[0] % grid[1]), (unsigned)(i / grid[0] / grid[1])};
    bool guarded = false;
#ifndef __SANITIZE_ADDRESS__
    guarded = true;
#endif
    size_t size = bytes + (guarded ? GUARD : 0);
    char *memory = (char *)malloc(size + 128);  // on 128 bytes, its end at the end of the allocation
    shared = (char *)(((uintptr_t)memory + 127) & ~(uintptr_t)127);
    char *exact = shared;
#ifdef __SANITIZE_ADDRESS__
    free(memory);
    memory = nullptr;
    exact = nullptr;
    if (posix_memalign((void **)&exact, 128, bytes ? bytes : 1)) abort();
    shared = exact;
#endif
    memset(exact, 0xff, bytes);
    if (guarded) memset(exact + bytes, 0xa5, GUARD);
    run_block(mode, random);
    for (int k = 0; guarded && k < GUARD; k++)
      if ((unsigned char)exact[bytes + k] != 0xa5) fail("a write behind the shared memory");
    free(memory ? memory : exact);
    if (!fault.empty()) return fault.c_str();
  }
  return fault.c_str();
}

// What a kernel expects, a letter a parameter, so that the caller can be held to it: capitals for pointers.
template <class T>
constexpr char letter() {
  if constexpr (std::is_pointer_v<T>) {
    constexpr char inner = letter<std::remove_cv_t<std::remove_pointer_t<T>>>();
    return inner == '?' ? '?' : (char)(inner - 'a' + 'A');
  } else if constexpr (std::is_same_v<T, float>) return 'f';
  else if constexpr (std::is_same_v<T, double>) return 'd';
  else if constexpr (std::is_same_v<T, int>) return 'i';
  else if constexpr (std::is_same_v<T, unsigned char>) return 'b';
  else if constexpr (std::is_same_v<T, Long>) return 'q';
  else return '?';
}

template <class... A, size_t... I>
void call(void (*function)(A...), void **args, std::index_sequence<I...>) {
  function(*(A *)args[I]...);
}
template <class... A>
void call(void (*function)(A...), void **args) {
  call(function, args, std::index_sequence_for<A...>());
}
template <class... A>
const char *signature(void (*)(A...)) {
  static const char text[] = {letter<A>()..., 0};
  return text;
}

}  // namespace shim

// ------------------------------------------------------------------------------------------- what NVRTC knows by itself

static inline void __syncthreads() { shim::barrier(); }
static inline void __syncwarp() { shim::meet({shim::SYNC}); }
template <class T>
static inline T __shfl_xor_sync(unsigned, T value, int mask) {
  static_assert(sizeof(T) <= 8);
  shim::Slot mine = {shim::SHUFFLE};
  memcpy(&mine.word, &value, sizeof(T));
  int lane = shim::current % 32;
  shim::Slot *all = shim::meet(mine);
  memcpy(&value, &all[2 * (lane ^ mask)].word, sizeof(T));
  return value;
}
static inline float __int_as_float(int i) { float f; memcpy(&f, &i, 4); return f; }
static inline int __float_as_int(float f) { int i; memcpy(&i, &f, 4); return i; }
static inline double __longlong_as_double(Long i) { double f; memcpy(&f, &i, 8); return f; }
static inline Long __double_as_longlong(double f) { Long i; memcpy(&i, &f, 8); return i; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline Long min(Long a, Long b) { return a < b ? a : b; }

// ------------------------------------------------------------------------------------------------------------ device.cuh

static inline char *shared_memory() { return shim::shared; }

static inline unsigned to_tf32(float x) {
  unsigned bits;
  memcpy(&bits, &x, 4);
  return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}

static inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  shim::Slot mine = {shim::MMA};
  memcpy(mine.a, a, 16);
  memcpy(mine.b, b, 8);
  int lane = shim::current % 32, g = lane / 4, q = lane % 4;
  const shim::Slot *all = shim::meet(mine);
  auto number = [](uint32_t bits) {
    if ((bits & 0x1fff) && (bits & 0x7f800000u) != 0x7f800000u) shim::fail("an operand of mma is not a TF32 number");
    float f;
    memcpy(&f, &bits, 4);
    return f;
  };
  for (int i = 0; i < 4; i++) {
    int row = g + (i >= 2) * 8, column = 2 * q + (i & 1);
    double sum = d[i];
    for (int k = 0; k < 8; k++)
      sum += (double)number(all[2 * ((row % 8) * 4 + k % 4)].a[(row >= 8) + 2 * (k >= 4)]) *
             number(all[2 * (column * 4 + k % 4)].b[k >= 4]);
    d[i] = (float)sum;
  }
}

template <int BYTES>
static inline void copy_async(void *to, const void *from, bool inside) {
  shim::Fiber &me = shim::fibers[shim::current];
  if ((uintptr_t)to % BYTES || (inside && (uintptr_t)from % BYTES)) shim::fail("an asynchronous copy is not aligned");
  memset(to, 0xff, BYTES);
  me.copies.push_back({to, from, BYTES, inside, me.groups});
}
static inline void copy_commit() { shim::fibers[shim::current].groups++; }
template <int N>
static inline void copy_wait() {
  shim::Fiber &me = shim::fibers[shim::current];
  std::vector<shim::Copy> left;
  for (const shim::Copy &c : me.copies) {
    if (c.group >= me.groups - N) left.push_back(c);
    else if (c.inside) memcpy(c.to, c.from, c.bytes);
    else memset(c.to, 0, c.bytes);
  }
  me.copies.swap(left);
}
