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

/* x Phi(x), or x - x Phi(-x) above 0, with Phi(-z) = exp(-z^2 / 2) t P(t), t = 1 / (1 + 0.212 z),
 * so that the tail keeps its relative precision. P is a minimax fit of degree 8, relative error
 * 2e-8. The exponential is 2^n exp(r), -z^2 / 2 = n log 2 + r, with r rounded but once (else z^2
 * would have to be kept to twice the precision), and the polynomial of SLEEF's expf (Shibata and
 * Petrogalli, 2020). From 13.2 on, Phi(-z) is below 1e-38: 0. */
static fv ew_gelu(fv x) {
    const fv far = (fv)(13.2f), shift = (fv)(12582912.0f); /* 1.5 * 2^23 */
    fv z = fabs(x);
    z = z > far ? far : z;
    const fv low = z * 0.5f, t = ONE / fma(z, (fv)(0.21213203f), ONE);
    const fv shifted = fma(low * z, (fv)(-1.44269504f), shift), n = shifted - shift;
    fv r = fma(-low, z, n * -0.693145752f); /* that product is exact */
    r = fma(n, (fv)(-1.42860677e-6f), r);
    fv e = (fv)(0.000198527617612853646f);
    e = fma(e, r, (fv)(0.00139304355252534151f));
    e = fma(e, r, (fv)(0.00833336077630519867f));
    e = fma(e, r, (fv)(0.0416664853692054749f));
    e = fma(e, r, (fv)(0.166666671633720398f));
    e = fma(e, r, (fv)(0.5f));
    e = ONE + fma(e, r * r, r);
    fv p = (fv)(-0.06469337f);
    p = fma(p, t, (fv)(0.24242362f));
    p = fma(p, t, (fv)(-0.25533193f));
    p = fma(p, t, (fv)(0.27284241f));
    p = fma(p, t, (fv)(-0.046541732f));
    p = fma(p, t, (fv)(0.1070862f));
    p = fma(p, t, (fv)(0.07427992f));
    p = fma(p, t, (fv)(0.08533965f));
    p = fma(p, t, (fv)(0.08459525f));
    const clv_iv power = (CLV_PASTE(as_int, CLV_WIDTH)(shifted) << 23) + 0x3f800000;
    fv tail = e * CLV_PASTE(as_float, CLV_WIDTH)(power) * (t * p);
    tail = z >= far ? ZERO : tail;
    return x > ZERO ? fma(-z, tail, x) : x * tail;
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
