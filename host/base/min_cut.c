#include "host/base/min_cut.h"

#include "host/base/memory.h"

#define NONE UINT32_MAX

clv_status *clv_min_cut_init(clv_min_cut *cut, size_t num_nodes) {
    *cut = (clv_min_cut){.num_nodes = num_nodes};
    cut->first_edge = clv_alloc_zeroed(num_nodes, sizeof *cut->first_edge);
    cut->level = clv_alloc_zeroed(num_nodes, sizeof *cut->level);
    cut->at = clv_alloc_zeroed(num_nodes, sizeof *cut->at);
    cut->queue = clv_alloc_zeroed(num_nodes, sizeof *cut->queue);
    if (cut->first_edge == NULL || cut->level == NULL || cut->at == NULL || cut->queue == NULL) {
        clv_min_cut_deinit(cut);
        return CLV_ERROR(NO_MEMORY, "out of host memory for a cut of %zu nodes", num_nodes);
    }
    for (size_t i = 0; i < num_nodes; i++) {
        cut->first_edge[i] = NONE;
    }
    return NULL;
}

void clv_min_cut_deinit(clv_min_cut *cut) {
    clv_free(cut->edges);
    clv_free(cut->first_edge);
    clv_free(cut->level);
    clv_free(cut->at);
    clv_free(cut->queue);
    *cut = (clv_min_cut){.edges = NULL};
}

static void push_edge(clv_min_cut *cut, uint32_t from, uint32_t to, int64_t capacity) {
    cut->edges[cut->num_edges] =
        (clv_cut_edge){.to = to, .next = cut->first_edge[from], .capacity = capacity};
    cut->first_edge[from] = (uint32_t)cut->num_edges++;
}

clv_status *clv_min_cut_add(clv_min_cut *cut, uint32_t from, uint32_t to, int64_t capacity) {
    if (capacity <= 0 || from == to) {
        return NULL;
    }
    if (!clv_array_reserve(
            (void **)&cut->edges, &cut->capacity_edges, cut->num_edges + 2, sizeof *cut->edges)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a cut");
    }
    push_edge(cut, from, to, capacity < CLV_CUT_NEVER ? capacity : CLV_CUT_NEVER);
    push_edge(cut, to, from, 0);
    return NULL;
}

/* Distances from the source along edges with capacity left. */
static bool find_levels(clv_min_cut *cut) {
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < cut->num_nodes; i++) {
        cut->level[i] = NONE;
        cut->at[i] = cut->first_edge[i];
    }
    cut->level[CLV_CUT_SOURCE] = 0;
    cut->queue[tail++] = CLV_CUT_SOURCE;
    while (head < tail) {
        const uint32_t node = cut->queue[head++];
        for (uint32_t e = cut->first_edge[node]; e != NONE; e = cut->edges[e].next) {
            const uint32_t to = cut->edges[e].to;
            if (cut->edges[e].capacity > 0 && cut->level[to] == NONE) {
                cut->level[to] = cut->level[node] + 1;
                cut->queue[tail++] = to;
            }
        }
    }
    return cut->level[CLV_CUT_SINK] != NONE;
}

/* The edges of a path from the source, in `queue`, are one longer or one shorter at a time; at the
 * sink the least capacity on it flows. Returns 0 where there is no path any more. */
static int64_t flow_once(clv_min_cut *cut) {
    uint32_t *path = cut->queue, node = CLV_CUT_SOURCE;
    size_t length = 0;
    while (node != CLV_CUT_SINK) {
        uint32_t e = cut->at[node];
        while (e != NONE && (cut->edges[e].capacity == 0 ||
                             cut->level[cut->edges[e].to] != cut->level[node] + 1)) {
            e = cut->edges[e].next;
        }
        cut->at[node] = e;
        if (e != NONE) {
            path[length++] = e;
            node = cut->edges[e].to;
        } else if (length == 0) {
            return 0;
        } else {
            const uint32_t last = path[--length];
            node = cut->edges[last ^ 1].to;
            cut->at[node] = cut->edges[last].next;
        }
    }
    int64_t least = CLV_CUT_NEVER;
    for (size_t i = 0; i < length; i++) {
        const int64_t left = cut->edges[path[i]].capacity;
        least = left < least ? left : least;
    }
    for (size_t i = 0; i < length; i++) {
        cut->edges[path[i]].capacity -= least;
        cut->edges[path[i] ^ 1].capacity += least;
    }
    return least;
}

int64_t clv_min_cut_solve(clv_min_cut *cut) {
    int64_t total = 0;
    while (find_levels(cut)) {
        for (int64_t flow = flow_once(cut); flow != 0; flow = flow_once(cut)) {
            total = total < CLV_CUT_NEVER ? total + flow : total;
        }
    }
    return total;
}

bool clv_min_cut_is_at_sink(const clv_min_cut *cut, uint32_t node) {
    return cut->level[node] == NONE;
}
