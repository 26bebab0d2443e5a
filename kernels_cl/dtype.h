/* Element types as kernels see them: the values of clv_dtype (host/ir/tensor.h), and the
 * one-element conversions that more than one family needs. */
#ifndef CLV_KERNELS_DTYPE_H
#define CLV_KERNELS_DTYPE_H

#ifdef __OPENCL_VERSION__

/* Cases of a switch over types: one loop each over `count` elements from `index` on. */
#define CLV_LOAD_CASE(type, expression)                              \
    {                                                                \
        const global type *from = (const global type *)base + index; \
        for (uint i = 0; i < count; i++) {                           \
            out[i] = (expression);                                   \
        }                                                            \
        break;                                                       \
    }
#define CLV_STORE_CASE(type, expression)               \
    {                                                  \
        global type *to = (global type *)base + index; \
        for (uint i = 0; i < count; i++) {             \
            to[i] = (expression);                      \
        }                                              \
        break;                                         \
    }

enum {
    CLV_DTYPE_NONE,
#define DTYPE(name, onnx, bytes, word) CLV_##name,
#include "host/ir/dtype.def"
#undef DTYPE
};

/* Element `index` of an integer or bool tensor; uint64 keeps its bits. */
static long clv_load_long(const global uchar *base, uint type, uint index) {
    switch (type) {
    case CLV_BOOL:
        return base[index] != 0;
    case CLV_UINT8:
        return base[index];
    case CLV_INT8:
        return ((const global char *)base)[index];
    case CLV_UINT16:
        return ((const global ushort *)base)[index];
    case CLV_INT16:
        return ((const global short *)base)[index];
    case CLV_INT32:
        return ((const global int *)base)[index];
    case CLV_UINT32:
        return ((const global uint *)base)[index];
    default: /* INT64, UINT64 */
        return ((const global long *)base)[index];
    }
}

/* The low bits of `value`; bool is value != 0. */
static void clv_store_long(global uchar *base, uint type, uint index, long value) {
    switch (type) {
    case CLV_BOOL:
        base[index] = value != 0;
        break;
    case CLV_UINT8:
    case CLV_INT8:
        base[index] = (uchar)value;
        break;
    case CLV_UINT16:
    case CLV_INT16:
        ((global ushort *)base)[index] = (ushort)value;
        break;
    case CLV_INT32:
    case CLV_UINT32:
        ((global uint *)base)[index] = (uint)value;
        break;
    default: /* INT64, UINT64 */
        ((global long *)base)[index] = value;
        break;
    }
}

/* Elements [index, index + count). */
static void clv_load_longs(
    private long *out, const global uchar *base, uint type, uint index, uint count) {
    switch (type) {
    case CLV_BOOL:
        CLV_LOAD_CASE(uchar, from[i] != 0)
    case CLV_UINT8:
        CLV_LOAD_CASE(uchar, from[i])
    case CLV_INT8:
        CLV_LOAD_CASE(char, from[i])
    case CLV_UINT16:
        CLV_LOAD_CASE(ushort, from[i])
    case CLV_INT16:
        CLV_LOAD_CASE(short, from[i])
    case CLV_INT32:
        CLV_LOAD_CASE(int, from[i])
    case CLV_UINT32:
        CLV_LOAD_CASE(uint, from[i])
    default: /* INT64, UINT64 */
        CLV_LOAD_CASE(long, from[i])
    }
}

static void clv_store_longs(
    global uchar *base, uint type, uint index, private const long *in, uint count) {
    switch (type) {
    case CLV_BOOL:
        CLV_STORE_CASE(uchar, in[i] != 0)
    case CLV_UINT8:
    case CLV_INT8:
        CLV_STORE_CASE(uchar, (uchar)in[i])
    case CLV_UINT16:
    case CLV_INT16:
        CLV_STORE_CASE(ushort, (ushort)in[i])
    case CLV_INT32:
    case CLV_UINT32:
        CLV_STORE_CASE(uint, (uint)in[i])
    default: /* INT64, UINT64 */
        CLV_STORE_CASE(long, in[i])
    }
}

#endif
#endif
