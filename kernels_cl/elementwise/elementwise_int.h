/* Integer arithmetic that is defined for every operand, on host and device alike: a quotient by 0
 * is 0 (NumPy's choice; a trap inside a kernel would end the process), and what overflows wraps. */
#ifndef CLV_KERNELS_ELEMENTWISE_INT_H
#define CLV_KERNELS_ELEMENTWISE_INT_H

#include "kernels_cl/clv.h"

/* x / y, rounded towards 0. */
static inline clv_i64 ew_div(clv_i64 x, clv_i64 y) {
    if (y == 0) {
        return 0;
    }
    return y == -1 ? (clv_i64)(0 - (clv_u64)x) : x / y;
}

/* The remainder with the sign of y, as Python's. */
static inline clv_i64 ew_mod(clv_i64 x, clv_i64 y) {
    if (y == 0 || y == -1) {
        return 0;
    }
    clv_i64 r = x % y;
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

/* x to the power y, by squaring; wraps. */
static inline clv_i64 ew_pow(clv_i64 x, clv_u64 y) {
    clv_u64 base = (clv_u64)x, result = 1;
    for (; y != 0; y >>= 1) {
        if ((y & 1) != 0) {
            result *= base;
        }
        base *= base;
    }
    return (clv_i64)result;
}

/* x to a power below 0, cut to an integer: 1 / x is one only for 1 and -1. 1 / 0 is 0, as in
 * ew_div. */
static inline clv_i64 ew_pow_negative(clv_i64 x, clv_i64 y) {
    if (x == 1 || (x == -1 && (y & 1) == 0)) {
        return 1;
    }
    return x == -1 ? -1 : 0;
}

#endif
