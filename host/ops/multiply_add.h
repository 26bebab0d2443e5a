/* The inner loop of references that multiply: rows of sums in double. */
#ifndef CLV_OPS_MULTIPLY_ADD_H
#define CLV_OPS_MULTIPLY_ADD_H

#include <stdint.h>

enum { CLV_SUM_ROWS = 4 };

/* sums[j * pitch + i] += weights[j] * x[i * step], for CLV_SUM_ROWS rows j and `count` columns i.
 */
void clv_multiply_add(
    double *restrict sums, int64_t pitch, const float *restrict x, int64_t step, int64_t count,
    const double weights[CLV_SUM_ROWS]);

#endif
