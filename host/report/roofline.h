/* Operators under the ceilings of their units: what binds each, and how near it comes.
 *
 * The least time of an operator is the longest of three: its operations at the rate of multiply-
 * adds; its bytes, activations from the level that holds the operator's own and weights from the
 * level that holds all weights of a request; its launches. Bytes are counted once each, operations
 * as the operator's definition has them: a kernel that does with fewer (Winograd's) may come out
 * above its ceiling.
 */
#ifndef CLV_REPORT_ROOFLINE_H
#define CLV_REPORT_ROOFLINE_H

#include "host/tune/ceilings.h"

typedef struct clv_roofline_op {
    const char *node, *op, *variant; /* borrowed; variant may be NULL */
    uint32_t unit;
    double flops, bytes, weight_bytes; /* bytes: all, with weights */
    double time_us;
    uint32_t launches, num_sums; /* as of clv_node_report */
    /* What clv_roofline_place() sets: */
    double intensity;  /* flops a byte */
    double least_us;   /* under the ceilings */
    const char *bound; /* "compute", the name of a level, or "launch" */
    double needed;     /* vectors of sums that a lane has to have under way for its peak */
} clv_roofline_op;

typedef struct clv_roofline_unit {
    const char *name; /* borrowed */
    clv_unit_ceilings ceilings;
    double weight_bytes; /* of all operators on it, set by clv_roofline_place() */
} clv_roofline_unit;

typedef struct clv_roofline {
    const char *title;
    clv_roofline_unit *units;
    size_t num_units;
    clv_roofline_op *ops;
    size_t num_ops;
} clv_roofline;

void clv_roofline_place(clv_roofline *roofline);
/* A page that needs nothing but a browser: for each unit a log-log picture and a table of ceilings,
 * then a table of operators. Names are escaped. Free with clv_free. NO_MEMORY. */
clv_status *clv_roofline_page(const clv_roofline *roofline, char **out_html) CLV_CHECKED;

#endif
