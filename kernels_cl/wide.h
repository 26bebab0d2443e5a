/* Wide vectors of float for kernels: 16 lanes by default, fewer by -DCLV_WIDTH (GPUs take 4).
 *
 * PoCL's compiler halves 16 lanes of float to 32-byte registers unless told not to (CLV_WIDE on the
 * kernel), and splits vload16 into four; a vector type with the alignment of its elements loads in
 * one piece. */
#ifndef CLV_KERNELS_WIDE_H
#define CLV_KERNELS_WIDE_H

#include "kernels_cl/clv.h"

#ifndef CLV_WIDTH
#define CLV_WIDTH 16
#endif

#define CLV_PASTE2(a, b) a##b
#define CLV_PASTE(a, b) CLV_PASTE2(a, b)

typedef CLV_PASTE(float, CLV_WIDTH) clv_fv;
typedef CLV_PASTE(int, CLV_WIDTH) clv_iv;

#define CLV_WIDE
#if defined(__has_attribute)
#if __has_attribute(min_vector_width) && CLV_WIDTH == 16
#undef CLV_WIDE
#define CLV_WIDE __attribute__((min_vector_width(512)))
#endif
#endif

/* Of kernels for CPUs alone, whose work-items are tiles: compiled as plain functions, also by
 * compilers that would make vectors of work-items. */
#define CLV_TILE CLV_WIDE __attribute__((reqd_work_group_size(1, 1, 1)))

/* More than 4 lanes are for CPUs, where every group is one work-item. Compilers that do not know
 * when they compile a kernel are told: else its loops are inside one over the group. */
#if CLV_WIDTH > 4 && defined(__clang__)
#undef CLV_WORK_ITEM
#define CLV_WORK_ITEM clv_work_item()
static inline size_t clv_work_item(void) {
    if (get_local_size(0) != 1 || get_local_size(1) != 1 || get_local_size(2) != 1) {
        __builtin_unreachable();
    }
    return get_group_id(0);
}
#endif

/* clv_fv at any float's address; KEEP and TAKE: to and from private memory. */
#if defined(__clang__)
typedef float clv_fv_unaligned __attribute__((ext_vector_type(CLV_WIDTH), aligned(4)));
#define CLV_FV_LOAD(pointer) ((clv_fv)(*(const global clv_fv_unaligned *)(pointer)))
#define CLV_FV_STORE(pointer, value) (*(global clv_fv_unaligned *)(pointer) = (value))
#define CLV_FV_KEEP(pointer, value) (*(private clv_fv_unaligned *)(pointer) = (value))
#define CLV_FV_TAKE(pointer) ((clv_fv)(*(private const clv_fv_unaligned *)(pointer)))
#else
#define CLV_FV_LOAD(pointer) CLV_PASTE(vload, CLV_WIDTH)(0, (const global float *)(pointer))
#define CLV_FV_STORE(pointer, value) \
    CLV_PASTE(vstore, CLV_WIDTH)(value, 0, (global float *)(pointer))
#define CLV_FV_KEEP(pointer, value) \
    CLV_PASTE(vstore, CLV_WIDTH)(value, 0, (private float *)(pointer))
#define CLV_FV_TAKE(pointer) CLV_PASTE(vload, CLV_WIDTH)(0, (private const float *)(pointer))
#endif

/* Asks for the cache line at `pointer` before it is needed; it may lie past the end of its buffer.
 * For long streams (weights) that the hardware does not follow among many other loads. */
#define CLV_PREFETCH(pointer)
/* The same of a line that will be written: one that another core wrote last takes long to come, and
 * stores, unlike loads, come one after another. */
#define CLV_CLAIM(pointer)
#if defined(__has_builtin) && (defined(__x86_64__) || defined(__aarch64__)) /* not Oclgrind */
#if __has_builtin(__builtin_prefetch)
#undef CLV_PREFETCH
#undef CLV_CLAIM
#define CLV_PREFETCH(pointer) __builtin_prefetch((const private void *)(size_t)(pointer))
#define CLV_CLAIM(pointer) __builtin_prefetch((const private void *)(size_t)(pointer), 1)
#endif
#endif

#endif
