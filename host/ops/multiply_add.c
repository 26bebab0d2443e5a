#include "host/ops/multiply_add.h"

void clv_multiply_add(
    double *restrict sums, int64_t pitch, const float *restrict x, int64_t step, int64_t count,
    const double weights[CLV_SUM_ROWS]) {
    double *s0 = sums, *s1 = sums + pitch, *s2 = sums + 2 * pitch, *s3 = sums + 3 * pitch;
    if (step == 1) { /* a loop of its own, which compilers make vector code of */
        for (int64_t i = 0; i < count; i++) {
            double value = x[i];
            s0[i] += weights[0] * value;
            s1[i] += weights[1] * value;
            s2[i] += weights[2] * value;
            s3[i] += weights[3] * value;
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double value = x[i * step];
        s0[i] += weights[0] * value;
        s1[i] += weights[1] * value;
        s2[i] += weights[2] * value;
        s3[i] += weights[3] * value;
    }
}
