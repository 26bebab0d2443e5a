/* What the way between host memory and a device with queues takes: a line through transfers of
 * several sizes, both ways; and whether the device computes meanwhile. */
#ifndef CLV_TUNE_LINK_PROBE_H
#define CLV_TUNE_LINK_PROBE_H

#include "host/exec/unit.h"

/* Latency, and bytes a second (INFINITY where more bytes took no longer), of one way: the line
 * through the best of a few transfers of each of several sizes, there and back.
 *
 * unit    open, of one device with queues; it has nothing else to do
 * errors  DEVICE_FAILED, NO_MEMORY, CANCELLED; of both */
clv_status *clv_link_probe(const clv_exec_unit *unit, double *out_latency_us, double *out_bandwidth)
    CLV_CHECKED;
/* The share of a large transfer's time that a kernel on all of the device hides, 0 to 1. */
clv_status *clv_link_probe_hidden(const clv_exec_unit *unit, double *out_hidden) CLV_CHECKED;

/* The line latency + bytes / bandwidth through `count` times, two or more of different sizes, with
 * the least sum of squares of relative errors; neither below 0. */
void clv_link_fit(
    const double *bytes, const double *us, size_t count, double *out_latency_us,
    double *out_bandwidth);

#endif
