/* Short measurements of what joins units: memory with all cores at it, links to devices. */
#ifndef CLV_API_PROBE_H
#define CLV_API_PROBE_H

#include "host/machine/machine.h"
#include "host/ocl/ocl.h"

/* Bytes a second that `num_threads` read at once from memory that no cache holds: the best of a few
 * sweeps, each at the pace of its slowest thread. 0: it could not be measured. */
double clv_probe_bandwidth(uint32_t num_threads);

/* Bytes a second at which one core gets what another has just written, beside what it takes to read
 * what it has already: of some rounds of a few microseconds, over the first two processors, one of
 * the quick ones, which other work has not disturbed. INFINITY: it takes no longer; 0: it could not
 * be measured. */
double clv_probe_exchange(void);

/* The rate to go on with where `known` was found earlier: that, unless several measurements in a
 * row are all clearly another, and agree; then their median as a power of two, or INFINITY. Where
 * nothing was (0): the median of as many as it takes for half of them to agree with it, likewise.
 * Where a measurement fails (0), `known`.
 *
 * out_is_known  it may be remembered: false where it failed with nothing known, or where even many
 *               do not agree */
double clv_probe_settle(
    double known, double (*measure)(void *argument), void *argument, bool *out_is_known);

/* Latency and bandwidth of the way from host memory to device `index`: the best of a few writes of
 * several sizes, each with a read, and the line through them (clv_link_probe). The device is opened
 * and closed. DEVICE_FAILED, NO_MEMORY. */
clv_status *clv_probe_link(
    clv_ocl *ocl, size_t index, double *out_latency_us, double *out_bandwidth) CLV_CHECKED;
/* What of a transfer a kernel of that device hides. */
clv_status *clv_probe_hidden(clv_ocl *ocl, size_t index, double *out_hidden) CLV_CHECKED;

#endif
