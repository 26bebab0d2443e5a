/* Functions of vectors of float that OpenCL lacks, or that are slow there; for kernels. */
#ifndef CLV_KERNELS_ELEMENTWISE_MATH_H
#define CLV_KERNELS_ELEMENTWISE_MATH_H

#include "kernels_cl/wide.h"

typedef clv_fv fv;
#define ZERO ((fv)(0.0f))
#define ONE ((fv)(1.0f))

static fv ew_max(fv x, fv y) { /* NaN where either is */
    return x != x || x > y ? x : y;
}

static fv ew_min(fv x, fv y) {
    return x != x || x < y ? x : y;
}

static fv ew_clamp(fv x, float low, float high) {
    return ew_min(ew_max(x, (fv)(low)), (fv)(high));
}

static fv ew_hard_sigmoid(fv x, float a, float b) {
    x = x * a + b;
    x = x < ZERO ? ZERO : x;
    return x > ONE ? ONE : x;
}

static fv ew_hard_swish(fv x) {
    return x * ew_hard_sigmoid(x, 0.166666667f, 0.5f);
}

#define EW_AS_INT(x) CLV_PASTE(as_int, CLV_WIDTH)(x)
#define EW_AS_FLOAT(x) CLV_PASTE(as_float, CLV_WIDTH)(x)

/* exp(x) = (1 + rest) * power, for x from -87.3 to 88.72; from 88.71 on power is infinity. power is
 * 2^(n/16) or 2^n, with n rounded by adding 1.5 * 2^23, whose lowest bits it then is; and rest is
 * exp(r) - 1 of what is left of x, log 2 taken in two parts. Relative error 2e-7; NaN gives NaN in
 * rest.
 *
 * Where one instruction looks 16 floats up, the sixteenths of n come from a table (Tang, 1989),
 * less what n << 19 adds to the mantissa beside the exponent, and a polynomial of degree 3 is
 * enough: two thirds of the time. Else SLEEF's polynomial for expf (Shibata and Petrogalli, 2020),
 * by Estrin's scheme: a vector's own chain is what takes time. */
typedef struct ew_power {
    fv rest, power;
} ew_power;

#if defined(__AVX512F__) && CLV_WIDTH == 16
#define EW_ROOTS 16.0f
typedef float ew_plain __attribute__((__vector_size__(64)));
typedef int ew_plain_int __attribute__((__vector_size__(64)));

static ew_power ew_power_of(fv shifted, fv r) {
    const int4 t0 = (int4)(0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3);
    const int4 t4 = (int4)(0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f);
    const int4 t8 = (int4)(0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c);
    const int4 t12 = (int4)(0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d);
    const fv table = as_float16((int16)(t0, t4, t8, t12));
    ew_power parts;
    parts.rest = r * fma(fma(r, (fv)(0.16666667f), (fv)(0.50001618f)), r, ONE);
    const fv root = __builtin_astype(
        __builtin_ia32_permvarsf512(
            __builtin_astype(table, ew_plain), __builtin_astype(shifted, ew_plain_int)),
        fv);
    parts.power = EW_AS_FLOAT((EW_AS_INT(shifted) << 19) + EW_AS_INT(root));
    return parts;
}
#else
#define EW_ROOTS 1.0f

static ew_power ew_power_of(fv shifted, fv r) {
    const fv square = r * r;
    fv p = fma(r, (fv)(0.000198527617612853646f), (fv)(0.00139304355252534151f));
    p = fma(p, square, fma(r, (fv)(0.00833336077630519867f), (fv)(0.0416664853692054749f)));
    p = fma(p, square, fma(r, (fv)(0.166666671633720398f), (fv)(0.5f)));
    ew_power parts;
    parts.rest = fma(p, square, r);
    parts.power = EW_AS_FLOAT((EW_AS_INT(shifted) << 23) + 0x3f800000);
    return parts;
}
#endif

/* Of exp(x y), of which n is n times log 2 / EW_ROOTS; the product is never rounded. */
static ew_power ew_exp_product(fv x, fv y) {
    const fv shift = (fv)(12582912.0f);
    const fv shifted = fma(x * y, (fv)(1.44269504f * EW_ROOTS), shift), n = shifted - shift;
    const fv r = fma(x, y, n * (-0.693115234f / EW_ROOTS)); /* that product is exact */
    return ew_power_of(shifted, fma(n, (fv)(-3.19461850e-5f / EW_ROOTS), r));
}

static ew_power ew_exp_parts(fv x) {
    const fv shift = (fv)(12582912.0f);
    const fv shifted = fma(x, (fv)(1.44269504f * EW_ROOTS), shift), n = shifted - shift;
    const fv r = fma(n, (fv)(-0.693115234f / EW_ROOTS), x);
    return ew_power_of(shifted, fma(n, (fv)(-3.19461850e-5f / EW_ROOTS), r));
}

/* exp(x) as a part of sums and quotients: 1.2e-38 below -87.3, infinity from 88.71 on. */
static fv ew_exp_part(fv x) {
    x = x < (fv)(-87.3f) ? (fv)(-87.3f) : x;
    x = x > (fv)(88.72f) ? (fv)(88.72f) : x;
    const ew_power parts = ew_exp_parts(x);
    return (ONE + parts.rest) * parts.power;
}

/* exp(x) for x <= 0; 0 below -87. */
static fv ew_exp_negative(fv x) {
    const ew_power parts = ew_exp_parts(x);
    return x < (fv)(-87.0f) ? ZERO : fma(parts.rest, parts.power, parts.power);
}

/* exp(x) - 1 for x <= 0, also near 0. */
static fv ew_expm1_negative(fv x) {
    x = x < (fv)(-87.0f) ? (fv)(-87.0f) : x;
    const ew_power parts = ew_exp_parts(x);
    return fma(parts.rest, parts.power, parts.power - ONE);
}

/* Relative error 4e-7. */
static fv ew_sigmoid(fv x) {
    return ONE / (ONE + ew_exp_part(-x));
}

/* Relative error 4e-7. */
static fv ew_tanh(fv x) {
    const fv e = ew_expm1_negative(-2.0f * fabs(x));
    return copysign(e / (e + 2.0f), x);
}

static fv ew_swish(fv x, float a) {
    return x / (ONE + ew_exp_part(x * -a));
}

static fv ew_elu(fv x, float a) {
    return x < ZERO ? ew_expm1_negative(x) * a : x;
}

/* max(x, 0) + log(1 + e) with e = exp(-|x|), log(1 + e) = 2 atanh(t), t = e / (2 + e) <= 1 / 3; the
 * polynomial is a minimax fit, relative error 4e-9. */
static fv ew_softplus(fv x) {
    const fv e = ew_exp_negative(-fabs(x)), t = e / (e + 2.0f), s = t * t;
    fv p = fma(s, (fv)(0.140891671f), (fv)(0.139803007f));
    p = fma(p, s, (fv)(0.200124547f));
    p = fma(p, s, (fv)(0.333331585f));
    p = fma(p, s, ONE);
    return fma(t + t, p, ew_max(x, ZERO));
}

/* x P(x^2) / Q(x^2) up to 3.88, a minimax fit with relative error 2e-8, as it is computed 4e-7;
 * above it the sign. */
static fv ew_erf(fv x) {
    const fv z = fabs(x), s = x * x;
    fv p = (fv)(2.0830525500e-6f), q = (fv)(3.8452126319e-5f);
    p = fma(p, s, (fv)(0.00028528104f));
    q = fma(q, s, (fv)(0.00115246454f));
    p = fma(p, s, (fv)(0.00371198636f));
    q = fma(q, s, (fv)(0.0148612596f));
    p = fma(p, s, (fv)(0.0525906272f));
    q = fma(q, s, (fv)(0.113537356f));
    p = fma(p, s, (fv)(0.188946545f));
    q = fma(q, s, (fv)(0.500782311f));
    p = fma(p, s, (fv)(1.12837911f));
    q = fma(q, s, ONE);
    const fv y = z * p / q;
    return copysign(z > (fv)(3.88f) || y > ONE ? ONE : y, x);
}

/* x Phi(x), or x - x Phi(-x) above 0, with Phi(-z) = exp(-z^2 / 2) P(z) / Q(z), a minimax fit with
 * relative error 4e-7, so that the tail keeps its relative precision: 1e-6 as it is computed. From
 * 13.2 on, Phi(-z) is below 1e-38: 0. */
static fv ew_gelu(fv x) {
    const fv far = (fv)(13.2f);
    fv z = fabs(x);
    z = z > far ? far : z;
    fv p = (fv)(0.0168362872f), q = (fv)(0.0422078446f);
    p = fma(p, z, (fv)(0.118637942f));
    q = fma(q, z, (fv)(0.297164450f));
    p = fma(p, z, (fv)(0.360412061f));
    q = fma(q, z, (fv)(0.949155152f));
    p = fma(p, z, (fv)(0.499999827f));
    q = fma(q, z, (fv)(1.51869130f));
    q = fma(q, z, ONE);
    const ew_power e = ew_exp_product(-0.5f * z, z);
    fv tail = fma(e.rest, e.power, e.power) * (p / q);
    tail = z >= far ? ZERO : tail;
    return x > ZERO ? fma(-z, tail, x) : x * tail;
}

/* 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static fv ew_gelu_tanh(fv x) {
    return x / (ONE + ew_exp_part(x * fma(x * x, (fv)(-0.0713548162f), (fv)(-1.5957691216f))));
}

/* x tanh(log(1 + exp(x))) = x n / (n + 2) with n = e^2 + 2e, e = exp(x); above 0 by exp(-x). */
static fv ew_mish(fv x) {
    const fv e = ew_exp_negative(-fabs(x));
    const fv n = x > ZERO ? ONE + 2.0f * e : e * (e + 2.0f);
    return x * (n / (n + (x > ZERO ? 2.0f * e * e : (fv)(2.0f))));
}

#endif
