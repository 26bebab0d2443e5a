/* Elementwise programs over integers and bool, all of them as 64-bit integers: exact for every
 * width, since what is stored is cut to the output's width. The frame is the same as in
 * elementwise_f32.cl.
 *
 * operands  up to five integers or bools (other types only to be copied by their bits); uint64
 *           keeps its bits and has operations of its own where the sign matters
 * float64   is cut towards 0 and held within the range as it is loaded, rounded to nearest as it is
 *           stored; needs cl_khr_fp64
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/elementwise/elementwise_int.h"
#include "kernels_cl/elementwise/elementwise_params.h"

#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

/* Elements a register holds: 16 KiB for all of them on a CPU. */
#ifndef EW_BLOCK
#define EW_BLOCK 256
#endif

#define EW_T long
#define EW_VECTOR 1
#define EW_REGISTERS(name) long name[EW_NUM_REGISTERS * EW_BLOCK]
#define CLV_WIDE

static void ew_load_run(
    private long *out, const global uchar *base, uint dtype, uint index, uint count) {
    switch (dtype) {
#ifdef cl_khr_fp64
    case CLV_FLOAT64:
        CLV_LOAD_CASE(double, from[i] != from[i] ? 0 : convert_long_sat(from[i]))
    case EW_FLOAT64_UNSIGNED:
        CLV_LOAD_CASE(double, from[i] != from[i] ? 0 : as_long(convert_ulong_sat(from[i])))
#endif
    default:
        clv_load_longs(out, base, dtype, index, count);
    }
}

static void ew_store_run(
    global uchar *base, uint dtype, uint index, private const long *in, uint count) {
    switch (dtype) {
#ifdef cl_khr_fp64
    case CLV_FLOAT64:
        CLV_STORE_CASE(double, convert_double(in[i]))
    case EW_FLOAT64_UNSIGNED:
        CLV_STORE_CASE(double, convert_double(as_ulong(in[i])))
#endif
    default:
        clv_store_longs(base, dtype, index, in, count);
    }
}

#define EW_OPERANDS_0
#define EW_OPERANDS_1 const clv_i64 x = px[i];
#define EW_OPERANDS_2 EW_OPERANDS_1 const clv_i64 y = py[i];
#define EW_OPERANDS_3 EW_OPERANDS_2 const clv_i64 z = pz[i];

static void ew_run_step(private const ew_step *step, private long *registers, uint count) {
    const uint code = step->code;
    const clv_i64 k = as_long((ulong)step->constants[1] << 32 | step->constants[0]);
    private long *out = registers + (code >> 8 & 15) * EW_BLOCK;
    private const long *px = registers + (code >> 12 & 15) * EW_BLOCK;
    private const long *py = registers + (code >> 16 & 15) * EW_BLOCK;
    private const long *pz = registers + (code >> 20 & 15) * EW_BLOCK;
    switch (code & 255) {
#define EW_INT(name, operands, flops, expression)         \
    case EW_INT_##name:                                   \
        for (uint i = 0; i < count; i++) {                \
            EW_OPERANDS_##operands out[i] = (expression); \
        }                                                 \
        break;
#include "kernels_cl/elementwise/elementwise_ops.def"
#undef EW_INT
    }
}

#include "kernels_cl/elementwise/elementwise_body.h"

EW_KERNEL(elementwise_i64)
