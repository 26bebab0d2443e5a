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

/* The complementary error function for z >= 0: exp(-z^2) t P(t) with t = 1 / (1 + z / 2). P is a
 * minimax fit of degree 10, relative error 4e-9; z^2 is kept to twice the precision, since exp
 * turns its error into a relative one. */
static fv ew_erfc_positive(fv z) {
    z = fmin(z, (fv)(10.5f)); /* zero from here on */
    const fv t = ONE / (ONE + 0.5f * z);
    fv p = (fv)(0.036317803f);
    p = p * t - 0.19429734f;
    p = p * t + 0.38989735f;
    p = p * t - 0.30227065f;
    p = p * t - 0.009899112f;
    p = p * t + 0.027799597f;
    p = p * t + 0.058089834f;
    p = p * t + 0.18470062f;
    p = p * t + 0.2453359f;
    p = p * t + 0.2822368f;
    p = p * t + 0.28208917f;
    const fv square = z * z;
    const fv rest = fma(z, z, -square);
    return exp(-square) * (ONE - rest) * t * p;
}

/* Below 0.75 an odd polynomial (relative error 2e-9), above it 1 - erfc. */
static fv ew_erf(fv x) {
    const fv z = fabs(x), s = x * x;
    fv p = (fv)(-0.00067495124f);
    p = p * s + 0.0051143453f;
    p = p * s - 0.026834624f;
    p = p * s + 0.11283377f;
    p = p * s - 0.3761262f;
    p = p * s + 1.1283791f;
    const fv outer = copysign(ONE - ew_erfc_positive(z), x);
    return x != x ? x : z < (fv)(0.75f) ? x * p : outer;
}

/* x Phi(x) with Phi from erfc, so that the tail keeps its relative precision. */
static fv ew_gelu(fv x) {
    const fv tail = 0.5f * ew_erfc_positive(fabs(x) * 0.70710678f);
    return x * (x != x ? x : x < ZERO ? tail : ONE - tail);
}

/* 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static fv ew_gelu_tanh(fv x) {
    return x / (ONE + exp(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

/* x tanh(log(1 + e)) = x (e^2 + 2e) / (e^2 + 2e + 2) with e = exp(x) */
static fv ew_mish(fv x) {
    const fv e = exp(fmin(x, (fv)(20.0f))), n = e * (e + 2.0f);
    return x * (x > (fv)(20.0f) ? ONE : x != x ? x : n / (n + 2.0f));
}

#endif
