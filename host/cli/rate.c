#include "host/cli/rate.h"

#include <math.h>
#include <stdlib.h>

enum { STRETCHES = 20, LEAST_STRETCHES = 5 };

static int compare_ends(const void *a, const void *b) {
    const double x = ((const cli_span *)a)->end_ms, y = ((const cli_span *)b)->end_ms;
    return x < y ? -1 : x > y;
}

int cli_compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double cli_percentile(const double *values, size_t count, double share) {
    const double position = share * (double)(count - 1);
    const size_t low = (size_t)position, high = low + 1 < count ? low + 1 : low;
    return values[low] + (values[high] - values[low]) * (position - (double)low);
}

/* From when as many have ended as may be in flight, where there are enough of them, until fewer
 * than that are left: what a request did meanwhile is the part of its time. */
static double rate_of_few(const cli_span *spans, size_t count, size_t depth) {
    const double until_ms = spans[count > depth ? count - depth : 0].end_ms;
    double from_ms = (double)INFINITY, done = 0;
    for (size_t i = 0; i < count; i++) {
        from_ms = fmin(from_ms, spans[i].start_ms);
    }
    if (depth > 1 && count >= 3 * depth) {
        from_ms = spans[depth - 1].end_ms;
    }
    for (size_t i = 0; i < count; i++) {
        const double begin_ms = fmax(spans[i].start_ms, from_ms);
        const double end_ms = fmin(spans[i].end_ms, until_ms);
        const double took_ms = fmax(spans[i].end_ms - spans[i].start_ms, 1e-6);
        done += fmax(end_ms - begin_ms, 0) / took_ms;
    }
    return done / fmax(until_ms - from_ms, 1e-6) * 1e3;
}

double cli_steady_rate(cli_span *spans, size_t count, size_t depth) {
    double stretch_ms[2 * STRETCHES];
    const size_t fine = count / STRETCHES, coarse = 4 * depth;
    const size_t length = fine > coarse ? fine : coarse;
    const size_t stretches = count == 0 ? 0 : (count - 1) / length;
    if (count == 0) {
        return 0;
    }
    qsort(spans, count, sizeof *spans, compare_ends);
    if (stretches < LEAST_STRETCHES || stretches > 2 * STRETCHES) {
        return rate_of_few(spans, count, depth);
    }
    for (size_t i = 0; i < stretches; i++) {
        stretch_ms[i] = spans[(i + 1) * length].end_ms - spans[i * length].end_ms;
    }
    qsort(stretch_ms, stretches, sizeof *stretch_ms, cli_compare_doubles);
    const double median_ms = cli_percentile(stretch_ms, stretches, 0.5);
    return median_ms > 0 ? (double)length / median_ms * 1e3 : rate_of_few(spans, count, depth);
}
