/* What every kernel file and its host side share: fixed-width names, and the range of items that a
 * launch does. */
#ifndef CLV_KERNELS_CLV_H
#define CLV_KERNELS_CLV_H

#ifdef __OPENCL_VERSION__
typedef int clv_i32;
typedef uint clv_u32;
typedef long clv_i64;
typedef ulong clv_u64;
typedef float clv_f32;
#define CLV_AT(type, base, bytes) ((global type *)((global uchar *)(base) + (bytes)))
/* Kernels of a file that are seldom used together are compiled apart: -DCLV_ONLY=N leaves those
 * with CLV_HAS(N) alone. */
#ifndef CLV_ONLY
#define CLV_ONLY 0
#endif
#define CLV_HAS(n) (CLV_ONLY == 0 || CLV_ONLY == (n))
/* What one item of a kernel does, as a function by itself. PoCL makes a kernel into three functions
 * for three ways to launch it, with all that they call in them: this is compiled once for all. */
#ifdef POCL_DEVICE_ADDRESS_BITS
#define CLV_ONCE __attribute__((noinline))
#else
#define CLV_ONCE
#endif
/* The item of a work-item. */
#define CLV_ITEM(range) ((range).first + CLV_WORK_ITEM)
#define CLV_WORK_ITEM get_global_id(0)
#else
#include <stdint.h>
typedef int32_t clv_i32;
typedef uint32_t clv_u32;
typedef int64_t clv_i64;
typedef uint64_t clv_u64;
typedef float clv_f32;
#endif

/* What a kernel may store in its CLV_ARG_ERROR word. */
typedef enum clv_kernel_error {
    CLV_KERNEL_ERROR_NONE,
    CLV_KERNEL_ERROR_INDEX, /* an index is out of range */
} clv_kernel_error;

/* Items [first, end) of a launch, and where each operand starts in its buffer, in bytes. */
typedef struct clv_range {
    clv_u64 first, end;
    clv_u64 offset[8];
} clv_range;

#endif
