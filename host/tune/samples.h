/* What several runs of one thing say of it. */
#ifndef CLV_TUNE_SAMPLES_H
#define CLV_TUNE_SAMPLES_H

#include "host/tune/cost_db.h"

/* The median of those that are within one and a half times the distance of the quartiles from the
 * nearer quartile (Tukey's fences), the distance of their quartiles, and how many they are.
 *
 * samples  microseconds, at least one; sorted in place */
clv_measured_cost clv_cost_of_samples(double *samples, size_t count);

/* The mean, for what is slow now and then by nature, as beside others who are not always at the
 * same. Each counts at most as `most` times the least of them.
 *
 * samples  microseconds, at least one; sorted in place */
clv_measured_cost clv_mean_cost_of_samples(double *samples, size_t count, double most);

#endif
