#include "host/tune/samples.h"

#include <stdlib.h>

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Between the closest ranks of what is sorted. */
static double quantile(const double *sorted, size_t count, double share) {
    const double position = share * (double)(count - 1);
    const size_t low = (size_t)position, high = low + 1 < count ? low + 1 : low;
    return sorted[low] + (sorted[high] - sorted[low]) * (position - (double)low);
}

clv_measured_cost clv_cost_of_samples(double *samples, size_t count) {
    qsort(samples, count, sizeof *samples, compare);
    const double low = quantile(samples, count, 0.25), high = quantile(samples, count, 0.75);
    const double reach = 1.5 * (high - low);
    size_t begin = 0, end = count;
    while (samples[begin] < low - reach) {
        begin++;
    }
    while (samples[end - 1] > high + reach) {
        end--;
    }
    const double *kept = samples + begin;
    const size_t num_kept = end - begin;
    return (clv_measured_cost){
        .time_us = quantile(kept, num_kept, 0.5),
        .spread_us = quantile(kept, num_kept, 0.75) - quantile(kept, num_kept, 0.25),
        .count = (uint32_t)num_kept,
    };
}

clv_measured_cost clv_mean_cost_of_samples(double *samples, size_t count, double most) {
    double sum = 0;
    qsort(samples, count, sizeof *samples, compare);
    for (size_t i = 0; i < count; i++) {
        const double limit = most * samples[0];
        sum += samples[i] < limit ? samples[i] : limit;
    }
    return (clv_measured_cost){
        .time_us = sum / (double)count,
        .spread_us = quantile(samples, count, 0.75) - quantile(samples, count, 0.25),
        .count = (uint32_t)count,
    };
}
