// What the kernels need of the machine below CUDA C++: tensor cores, asynchronous copies, dynamic shared memory.
// tests/cuda_shim/device.cuh has the same names for the CPU; everything else is the same source on both.
#pragma once

typedef long long Long;

// The block's dynamic shared memory, on a boundary of 16 bytes.
__device__ __forceinline__ char *shared_memory() {
  extern __shared__ __align__(128) char nnscratch_shared[];
  return nnscratch_shared;
}

// The nearest TF32 number (8 bits of exponent, 10 of fraction; ties away from zero), as its 32 bits.
__device__ __forceinline__ unsigned to_tf32(float x) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}

// d (16 x 8) += a (16 x 8) b (8 x 8) by a warp. With g = lane / 4, q = lane % 4 a thread holds
// a: (g, q), (g + 8, q), (g, q + 4), (g + 8, q + 4); b: (q, g), (q + 4, g); d: (g, 2 q), (g, 2 q + 1), (g + 8, ...), (g + 8, ...).
__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Copy BYTES (4, 8 or 16) from global to shared memory in the background; zeros unless `inside`. Both must be so aligned.
template <int BYTES>
__device__ __forceinline__ void copy_async(void *to, const void *from, bool inside) {
  unsigned place = (unsigned)__cvta_generic_to_shared(to);
  int size = inside ? BYTES : 0;
  if constexpr (BYTES == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(size) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(place), "l"(from), "n"(BYTES), "r"(size) : "memory");
}

// The copies since the last commit make a group.
__device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all groups of this thread but the last N have landed. What other threads copied is there after a barrier.
template <int N>
__device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
