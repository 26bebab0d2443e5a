/* Minimum cuts of small sparse graphs: labels of two kinds that cost least together. */
#ifndef CLV_BASE_MIN_CUT_H
#define CLV_BASE_MIN_CUT_H

#include "host/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLV_CUT_SOURCE = 0, CLV_CUT_SINK = 1 }; /* the first two nodes of every graph */

#define CLV_CUT_NEVER (INT64_MAX / 4) /* a capacity that no cut should pay */

typedef struct clv_cut_edge {
    uint32_t to;
    uint32_t next;    /* of the same node; UINT32_MAX: the last one */
    int64_t capacity; /* what is left of it; edge e ^ 1 goes the other way */
} clv_cut_edge;

typedef struct clv_min_cut {
    clv_cut_edge *edges;
    size_t num_edges, capacity_edges;
    uint32_t *first_edge; /* [num_nodes] */
    uint32_t *level, *at; /* [num_nodes]: at work */
    uint32_t *queue;
    size_t num_nodes;
} clv_min_cut;

/* NO_MEMORY. `num_nodes` with the source and the sink. */
clv_status *clv_min_cut_init(clv_min_cut *cut, size_t num_nodes) CLV_CHECKED;
void clv_min_cut_deinit(clv_min_cut *cut);

/* What a cut pays that leaves `from` with the source and `to` with the sink: `capacity`, at least
 * 0; those of equal ends add up. NO_MEMORY. */
clv_status *clv_min_cut_add(clv_min_cut *cut, uint32_t from, uint32_t to, int64_t capacity)
    CLV_CHECKED;

/* Solves it, once, by Dinic's algorithm ("Algorithm for solution of a problem of maximum flow in
 * networks with power estimation", 1970). Returns what the cut pays. */
int64_t clv_min_cut_solve(clv_min_cut *cut);
/* After that: whether a node is with the sink. Of several cheapest cuts the one with the fewest
 * nodes at the source. */
bool clv_min_cut_is_at_sink(const clv_min_cut *cut, uint32_t node);

#endif
