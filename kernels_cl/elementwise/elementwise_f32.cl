/* Elementwise programs over float: out[i] = f(a[i], b[i], ...) for any chain of the operations in
 * elementwise_ops.def, with NumPy's broadcasting.
 *
 * operands  up to five, of any element type (integers, bool, float16 and bfloat16 become float as
 *           they are loaded); the output likewise: floats are rounded to nearest even, to an
 *           integer cut towards 0 and held within its range (NaN gives 0), to bool by x != 0
 * geometry  an item is `chunk` output elements
 * error     a few units in the last place: what OpenCL's functions give and elementwise_math.h says
 * device    float64 operands need cl_khr_fp64
 * options   EW_ALL: with the operations that elementwise_ops.def calls rare
 */
#include "kernels_cl/clv.h"
#include "kernels_cl/dtype.h"
#include "kernels_cl/elementwise/elementwise_params.h"
#include "kernels_cl/wide.h"

#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

/* Vectors a register holds: 16 of 16 lanes keep all registers in 8 KiB of a core's first cache; a
 * GPU's work-item has one of 4 lanes. */
#ifndef EW_VECTORS
#define EW_VECTORS 16
#endif

#define EW_T float
#define EW_VECTOR CLV_WIDTH
#define EW_BLOCK (CLV_WIDTH * EW_VECTORS)
#define EW_REGISTERS(name) clv_fv name[EW_NUM_REGISTERS * EW_VECTORS]

#include "kernels_cl/elementwise/elementwise_math.h"

/* --- functions that OpenCL lacks, or that are slow --- */

static fv ew_is_inf(fv x, float negative, float positive) {
    const fv up = x == (fv)(INFINITY) ? (fv)(positive) : ZERO;
    const fv down = x == (fv)(-INFINITY) ? (fv)(negative) : ZERO;
    return up + down != ZERO ? ONE : ZERO;
}

/* Large angles go one by one: PoCL 3.1's vector functions lose all precision in every lane when one
 * lane is beyond some 39000. */
#define EW_ANGLE_FUNCTION(name)                                                  \
    static fv ew_##name(fv x) {                                                  \
        const float limit = 30000.0f;                                            \
        fv result = name(fabs(x) > (fv)(limit) ? ZERO : x);                      \
        if (any(fabs(x) > (fv)(limit))) {                                        \
            float in[CLV_WIDTH], out[CLV_WIDTH];                                 \
            CLV_FV_KEEP(in, x);                                                  \
            CLV_FV_KEEP(out, result);                                            \
            for (uint i = 0; i < CLV_WIDTH; i++) {                               \
                out[i] = fabs(in[i]) > limit ? name(in[i]) : out[i];             \
            }                                                                    \
            result = CLV_PASTE(vload, CLV_WIDTH)(0, (private const float *)out); \
        }                                                                        \
        return result;                                                           \
    }

EW_ANGLE_FUNCTION(sin)
EW_ANGLE_FUNCTION(cos)
EW_ANGLE_FUNCTION(tan)

static fv ew_floor_mod(fv x, fv y) {
    const fv r = fmod(x, y);
    const fv shifted = (r < ZERO) != (y < ZERO) ? r + y : r;
    return r == ZERO ? copysign(ZERO, y) : shifted;
}

/* A power of whole numbers, to be stored as an integer: pow may end just below the whole number
 * that it should be, and would be cut to the one before. */
static fv ew_pow_whole(fv x, fv y) {
    const fv p = pow(x, y), whole = rint(p);
    return fabs(p - whole) <= 4e-6f * fabs(whole) ? whole : p;
}

/* --- loads and stores --- */

#ifdef cl_khr_fp64
/* Rounded to odd: towards zero, with the last bit set where that was not exact. A second rounding
 * to float16 or bfloat16 is then as good as one. */
static float ew_from_double(double x) {
    const float cut = convert_float_rtz(x);
    return isnan(cut) || isinf(cut) || convert_double(cut) == x ? cut : as_float(as_uint(cut) | 1u);
}
#endif

static void ew_load_run(
    private float *out, const global uchar *base, uint dtype, uint index, uint count) {
    switch (dtype) {
    case CLV_FLOAT32: {
        const global float *from = (const global float *)base + index;
        uint i = 0;
        for (; i + CLV_WIDTH <= count; i += CLV_WIDTH) {
            CLV_FV_KEEP(out + i, CLV_FV_LOAD(from + i));
        }
        for (; i < count; i++) {
            out[i] = from[i];
        }
        break;
    }
    case CLV_BOOL:
        CLV_LOAD_CASE(uchar, from[i] != 0 ? 1.0f : 0.0f)
    case CLV_UINT8:
        CLV_LOAD_CASE(uchar, (float)from[i])
    case CLV_INT8:
        CLV_LOAD_CASE(char, (float)from[i])
    case CLV_UINT16:
        CLV_LOAD_CASE(ushort, (float)from[i])
    case CLV_INT16:
        CLV_LOAD_CASE(short, (float)from[i])
    case CLV_INT32:
        CLV_LOAD_CASE(int, (float)from[i])
    case CLV_UINT32:
        CLV_LOAD_CASE(uint, (float)from[i])
    case CLV_INT64:
        CLV_LOAD_CASE(long, (float)from[i])
    case CLV_UINT64:
        CLV_LOAD_CASE(ulong, (float)from[i])
    case CLV_FLOAT16:
        CLV_LOAD_CASE(half, vload_half(i, from))
    case CLV_BFLOAT16:
        CLV_LOAD_CASE(ushort, as_float((uint)from[i] << 16))
#ifdef cl_khr_fp64
    case CLV_FLOAT64:
        CLV_LOAD_CASE(double, convert_float(from[i]))
    case EW_FLOAT64_TO_ODD:
        CLV_LOAD_CASE(double, ew_from_double(from[i]))
#endif
    }
}

static ushort ew_bfloat16(float x) {
    const uint bits = as_uint(x);
    const uint rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (ushort)(x != x ? bits >> 16 | 0x40u : rounded);
}

/* NaN gives 0, and every compiler agrees on it. */
#define EW_CUT(type) (in[i] != in[i] ? (type)0 : convert_##type##_sat(in[i]))

static void ew_store_run(
    global uchar *base, uint dtype, uint index, private const float *in, uint count) {
    switch (dtype) {
    case CLV_FLOAT32: {
        global float *to = (global float *)base + index;
        uint i = 0;
        for (; i + CLV_WIDTH <= count; i += CLV_WIDTH) {
            CLV_FV_STORE(to + i, *(private const fv *)(in + i));
        }
        for (; i < count; i++) {
            to[i] = in[i];
        }
        break;
    }
    case CLV_BOOL:
        CLV_STORE_CASE(uchar, in[i] != 0.0f)
    case CLV_UINT8:
        CLV_STORE_CASE(uchar, EW_CUT(uchar))
    case CLV_INT8:
        CLV_STORE_CASE(char, EW_CUT(char))
    case CLV_UINT16:
        CLV_STORE_CASE(ushort, EW_CUT(ushort))
    case CLV_INT16:
        CLV_STORE_CASE(short, EW_CUT(short))
    case CLV_INT32:
        CLV_STORE_CASE(int, EW_CUT(int))
    case CLV_UINT32:
        CLV_STORE_CASE(uint, EW_CUT(uint))
    case CLV_INT64:
        CLV_STORE_CASE(long, EW_CUT(long))
    case CLV_UINT64:
        CLV_STORE_CASE(ulong, EW_CUT(ulong))
    case CLV_FLOAT16: {
        global half *to = (global half *)base + index;
        for (uint i = 0; i < count; i++) {
            vstore_half_rte(in[i], i, to);
        }
        break;
    }
    case CLV_BFLOAT16:
        CLV_STORE_CASE(ushort, ew_bfloat16(in[i]))
#ifdef cl_khr_fp64
    case CLV_FLOAT64:
        CLV_STORE_CASE(double, convert_double(in[i]))
#endif
    }
}

/* --- the operations --- */

#define EW_OPERANDS_0
#define EW_OPERANDS_1 const fv x = px[i];
#define EW_OPERANDS_2 EW_OPERANDS_1 const fv y = py[i];
#define EW_OPERANDS_3 EW_OPERANDS_2 const fv z = pz[i];

static void ew_run_step(private const ew_step *step, private float *registers, uint count) {
    const uint code = step->code, num_vectors = count / EW_VECTOR;
    const float a = as_float(step->constants[0]), b = as_float(step->constants[1]);
    private fv *all = (private fv *)registers;
    private fv *out = all + (code >> 8 & 15) * EW_VECTORS;
    private const fv *px = all + (code >> 12 & 15) * EW_VECTORS;
    private const fv *py = all + (code >> 16 & 15) * EW_VECTORS;
    private const fv *pz = all + (code >> 20 & 15) * EW_VECTORS;
    switch (code & 255) {
#ifndef EW_ALL
#define EW_FLOAT_RARE(name, operands, flops, kernel_expression, reference)
#endif
#define EW_FLOAT(name, operands, flops, kernel_expression, reference) \
    case EW_FLOAT_##name:                                             \
        for (uint i = 0; i < num_vectors; i++) {                      \
            EW_OPERANDS_##operands out[i] = kernel_expression;        \
        }                                                             \
        break;
#include "kernels_cl/elementwise/elementwise_ops.def"
#undef EW_FLOAT
#undef EW_FLOAT_RARE
    }
}

#include "kernels_cl/elementwise/elementwise_body.h"

#if CLV_HAS(1)
EW_KERNEL(elementwise_f32)
#endif

/* --- channels in blocks ---------------------------------------------------------------------- */

#include "kernels_cl/blocked/lanes.h"
#include "kernels_cl/blocked/rows.h"
#include "kernels_cl/blocked/zeros.h"

/* Operands that are the same for all pixels of a block of channels, in all vectors of a register.
 */
static void ew_load_still(
    const global float *base, const ew_blocked_params *p, uint k, const clv_rows *at,
    private fv *to) {
    float lanes[CLV_WIDTH];
    const global float *from = base + at->image * p->operands[k].image + at->plane * CLV_WIDTH;
    const uint count = min((uint)CLV_WIDTH, p->channels - at->plane * CLV_WIDTH);
    for (uint i = 0; i < CLV_WIDTH; i++) {
        lanes[i] = p->modes[k] == EW_SPLAT ? base[0] : i < count ? from[i] : 0.0f;
    }
    for (uint i = 0; i < EW_VECTORS; i++) {
        to[i] = CLV_FV_TAKE(lanes);
    }
}

/* A run of `count` pixels, EW_VECTORS at most. */
static void ew_blocked_run(
    const global float *const *rows, global float *to, const ew_blocked_params *p, uint count,
    uint channels, private fv *registers) {
    for (uint k = 0; k < p->num_operands; k++) {
        for (uint i = 0; p->modes[k] == EW_DENSE && i < count; i++) {
            registers[k * EW_VECTORS + i] = CLV_FV_LOAD(rows[k] + i * CLV_WIDTH);
        }
    }
    for (uint s = 0; s < p->num_steps; s++) {
        ew_run_step(&p->steps[s], (private float *)registers, count * CLV_WIDTH);
    }
    private const fv *result = registers + p->out_register * EW_VECTORS;
    for (uint i = 0; i < count; i++) {
        CLV_FV_STORE(to + i * CLV_WIDTH, clv_first_lanes(result[i], channels));
    }
}

#if CLV_HAS(2)
/* An item does some rows of one block of channels of one image, or some columns of them. */
CLV_WIDE kernel void elementwise_blocked(
    global float *a, global float *b, global float *c, global float *d, global float *e,
    global float *out, const ew_blocked_params p, const clv_range r) {
    const ulong item = CLV_ITEM(r);
    if (item >= r.end) {
        return;
    }
    const clv_rows at = clv_find_rows(item % p.row_items, &p.deal);
    const uint begin = (uint)(item / p.row_items) * p.columns;
    const uint end = min(begin + p.columns, p.out.width);
    const global float *operands[EW_MAX_OPERANDS] = {
        CLV_AT(float, a, r.offset[0]), CLV_AT(float, b, r.offset[1]), CLV_AT(float, c, r.offset[2]),
        CLV_AT(float, d, r.offset[3]), CLV_AT(float, e, r.offset[4])};
    EW_REGISTERS(registers);
    for (uint k = 0; k < p.num_operands; k++) {
        if (p.modes[k] == EW_DENSE) {
            operands[k] += p.operands[k].lead + at.image * p.operands[k].image +
                           (ulong)at.plane * p.operands[k].plane;
        } else {
            ew_load_still(operands[k], &p, k, &at, registers + k * EW_VECTORS);
        }
    }
    out = CLV_AT(float, out, r.offset[5]) + p.out.lead + at.image * p.out.image +
          (ulong)at.plane * p.out.plane;
    const uint channels = min((uint)CLV_WIDTH, p.channels - at.plane * CLV_WIDTH);
    for (uint y = at.y; y < at.end; y++) {
        global float *row = out + y * p.out.row;
        if (p.columns == p.out.width) {
            clv_claim_row(row + (y == at.y ? 0 : p.out.row), &p.out);
        }
        for (uint x = begin; x < end; x += EW_VECTORS) {
            const global float *rows[EW_MAX_OPERANDS];
            for (uint k = 0; k < p.num_operands; k++) {
                rows[k] = operands[k] + y * p.operands[k].row + x * CLV_WIDTH;
            }
            const uint count = min((uint)EW_VECTORS, end - x);
            ew_blocked_run(rows, row + x * CLV_WIDTH, &p, count, channels, registers);
        }
        if (end == p.out.width) {
            clv_put_zeros(row, y, at.image == 0 && at.plane == 0, &p.out);
        }
    }
}
#endif
