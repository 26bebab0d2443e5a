/* Of samples: percentiles, and requests a second out of when each began and ended: what ends of a
 * measurement leave. */
#ifndef CLV_CLI_RATE_H
#define CLV_CLI_RATE_H

#include <stddef.h>

/* For qsort. */
int cli_compare_doubles(const void *a, const void *b);
/* Linear interpolation between closest ranks, as numpy.percentile; `values` [count], at least one,
 * are sorted. */
double cli_percentile(const double *values, size_t count, double share);

typedef struct cli_span {
    double start_ms, end_ms;
} cli_span;

/* Requests a second while as many are in flight as may be. `spans` [count] get sorted by ends.
 *
 * Of many requests, the rate of the median of some 20 stretches of as many each, several times
 * `depth`, so that a pause of the machine is in one of them alone. Of fewer, the rate from when
 * `depth` have ended (a pipeline is full then) until less than `depth` are left (from then on some
 * units have nothing to do, for as long as a request), of those under way at either the part. */
double cli_steady_rate(cli_span *spans, size_t count, size_t depth);

#endif
