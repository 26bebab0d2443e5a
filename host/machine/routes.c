#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/machine/machine.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* One source's tree of shortest paths, found when it is first asked for. */
typedef struct clv_route_tree {
    uint32_t *offsets; /* [num_memories + 1] into hops */
    uint32_t *hops;
    bool *reached;
} clv_route_tree;

struct clv_routes {
    const clv_machine *machine;
    uint32_t *edge_offsets; /* [num_memories + 1]: hops that leave a memory */
    uint32_t *edges;
    double *least_us;                 /* [num_memories]: the fastest hop that leaves it */
    uint32_t num_linked;              /* memories that a link leads to */
    pthread_mutex_t lock;             /* guards the making of trees */
    _Atomic(clv_route_tree *) *trees; /* [num_memories], NULL until asked for */
};

static const double reference_bytes = 1024.0 * 1024.0;

double clv_link_time_us(const clv_link *link, double bytes) {
    return link->latency_us + (isinf(link->bandwidth) ? 0 : bytes / link->bandwidth * 1e6);
}

static uint32_t hop_target(const clv_machine *machine, uint32_t hop) {
    return machine->links[hop / 2].ends[1 - hop % 2];
}

static void destroy_tree(clv_route_tree *tree) {
    if (tree != NULL) {
        clv_free(tree->offsets);
        clv_free(tree->hops);
        clv_free(tree->reached);
        clv_free(tree);
    }
}

void clv_routes_destroy(clv_routes *routes) {
    if (routes == NULL) {
        return;
    }
    for (uint32_t i = 0; routes->trees != NULL && i < routes->machine->num_memories; i++) {
        destroy_tree(routes->trees[i]);
    }
    clv_free(routes->trees);
    clv_free(routes->edge_offsets);
    clv_free(routes->edges);
    clv_free(routes->least_us);
    pthread_mutex_destroy(&routes->lock);
    clv_free(routes);
}

static void fill_edges(clv_routes *routes) {
    const clv_machine *machine = routes->machine;
    uint32_t *offsets = routes->edge_offsets;
    for (uint32_t i = 0; i < machine->num_links; i++) {
        offsets[machine->links[i].ends[0] + 1]++;
        offsets[machine->links[i].ends[1] + 1]++;
    }
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        offsets[i + 1] += offsets[i];
    }
    /* Filling moves every offset to the end of its run; the loop after moves them back. */
    for (uint32_t i = 0; i < 2 * machine->num_links; i++) {
        uint32_t from = machine->links[i / 2].ends[i % 2];
        routes->edges[offsets[from]++] = i;
    }
    for (uint32_t i = machine->num_memories; i > 0; i--) {
        offsets[i] = offsets[i - 1];
    }
    offsets[0] = 0;
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        routes->least_us[i] = (double)INFINITY;
        routes->num_linked += offsets[i + 1] > offsets[i] ? 1 : 0;
        for (uint32_t e = offsets[i]; e < offsets[i + 1]; e++) {
            const clv_link *link = &machine->links[routes->edges[e] / 2];
            routes->least_us[i] =
                fmin(routes->least_us[i], clv_link_time_us(link, reference_bytes));
        }
    }
}

clv_status *clv_routes_create(const clv_machine *machine, clv_routes **out_routes) {
    *out_routes = NULL;
    clv_routes *routes = clv_alloc_zeroed(1, sizeof *routes);
    if (routes == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for routes");
    }
    routes->machine = machine;
    pthread_mutex_init(&routes->lock, NULL);
    routes->edge_offsets =
        clv_alloc_zeroed((size_t)machine->num_memories + 2, sizeof *routes->edge_offsets);
    routes->edges = clv_alloc_zeroed((size_t)machine->num_links * 2 + 1, sizeof *routes->edges);
    routes->least_us =
        clv_alloc_zeroed((size_t)machine->num_memories + 1, sizeof *routes->least_us);
    routes->trees = clv_alloc_zeroed((size_t)machine->num_memories + 1, sizeof *routes->trees);
    if (routes->edge_offsets == NULL || routes->edges == NULL || routes->least_us == NULL ||
        routes->trees == NULL) {
        clv_routes_destroy(routes);
        return CLV_ERROR(NO_MEMORY, "out of host memory for routes");
    }
    fill_edges(routes);
    *out_routes = routes;
    return NULL;
}

/* Dijkstra's algorithm with a binary heap of memories. */
typedef struct search {
    const clv_routes *routes;
    double *time_us;           /* [num_memories] */
    uint32_t *num_hops;        /* [num_memories] */
    uint32_t *via;             /* [num_memories]: hop that reaches it */
    uint32_t *heap, *position; /* position CLV_NO_INDEX: not in the heap */
    uint32_t heap_size, num_reached;
    /* Once all that have links are reached: none is later, or as late by more hops. */
    double worst_us;
    uint32_t worst_hops;
} search;

static bool is_before(const search *s, uint32_t a, uint32_t b) {
    if (s->time_us[a] != s->time_us[b]) {
        return s->time_us[a] < s->time_us[b];
    }
    return s->num_hops[a] != s->num_hops[b] ? s->num_hops[a] < s->num_hops[b] : a < b;
}

static void heap_set(search *s, uint32_t slot, uint32_t memory) {
    s->heap[slot] = memory;
    s->position[memory] = slot;
}

static void heap_up(search *s, uint32_t slot) {
    uint32_t memory = s->heap[slot];
    while (slot > 0 && is_before(s, memory, s->heap[(slot - 1) / 2])) {
        heap_set(s, slot, s->heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    heap_set(s, slot, memory);
}

static uint32_t heap_pop(search *s) {
    uint32_t top = s->heap[0], last = s->heap[--s->heap_size], slot = 0;
    s->position[top] = CLV_NO_INDEX;
    while (s->heap_size > 0) {
        uint32_t child = 2 * slot + 1;
        if (child + 1 < s->heap_size && is_before(s, s->heap[child + 1], s->heap[child])) {
            child++;
        }
        if (child >= s->heap_size || !is_before(s, s->heap[child], last)) {
            heap_set(s, slot, last);
            break;
        }
        heap_set(s, slot, s->heap[child]);
        slot = child;
    }
    return top;
}

static void relax(search *s, uint32_t from, uint32_t hop) {
    const clv_machine *machine = s->routes->machine;
    uint32_t to = hop_target(machine, hop);
    double time_us = s->time_us[from] + clv_link_time_us(&machine->links[hop / 2], reference_bytes);
    uint32_t num_hops = s->num_hops[from] + 1;
    bool is_better =
        time_us < s->time_us[to] || (time_us == s->time_us[to] && num_hops < s->num_hops[to]);
    if (!is_better) {
        return;
    }
    s->num_reached += s->num_hops[to] == UINT32_MAX ? 1 : 0;
    s->time_us[to] = time_us;
    s->num_hops[to] = num_hops;
    s->via[to] = hop;
    if (s->position[to] == CLV_NO_INDEX) {
        heap_set(s, s->heap_size++, to);
    }
    heap_up(s, s->position[to]);
}

static void find_worst(search *s) {
    for (uint32_t i = 0; i < s->routes->machine->num_memories; i++) {
        if (s->num_hops[i] == UINT32_MAX) {
            continue;
        }
        s->worst_us = fmax(s->worst_us, s->time_us[i]);
        s->worst_hops = s->num_hops[i] > s->worst_hops ? s->num_hops[i] : s->worst_hops;
    }
}

/* Whether hops that leave a memory may still improve another: where all memories are linked to each
 * other the source's own links settle nearly everything. */
static bool is_promising(const search *s, uint32_t memory) {
    double us = s->time_us[memory] + s->routes->least_us[memory];
    return us < s->worst_us || (us == s->worst_us && s->num_hops[memory] + 1 < s->worst_hops);
}

static void run_search(search *s, uint32_t source) {
    const clv_routes *routes = s->routes;
    uint32_t num_memories = routes->machine->num_memories;
    bool is_complete = false;
    for (uint32_t i = 0; i < num_memories; i++) {
        s->time_us[i] = (double)INFINITY;
        s->num_hops[i] = UINT32_MAX;
        s->position[i] = CLV_NO_INDEX;
    }
    s->time_us[source] = 0;
    s->num_hops[source] = 0;
    s->num_reached = 1;
    heap_set(s, s->heap_size++, source);
    while (s->heap_size > 0) {
        uint32_t from = heap_pop(s);
        if (!is_complete && s->num_reached == routes->num_linked) {
            find_worst(s);
            is_complete = true;
        }
        if (is_complete && !is_promising(s, from)) {
            continue;
        }
        for (uint32_t e = routes->edge_offsets[from]; e < routes->edge_offsets[from + 1]; e++) {
            relax(s, from, routes->edges[e]);
        }
    }
}

/* Writes every path of the tree, its hops from the source on. */
static bool fill_tree(const search *s, clv_route_tree *tree) {
    const clv_machine *machine = s->routes->machine;
    size_t total = 0;
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        tree->reached[i] = s->num_hops[i] != UINT32_MAX;
        tree->offsets[i] = (uint32_t)total;
        total += tree->reached[i] ? s->num_hops[i] : 0;
    }
    tree->offsets[machine->num_memories] = (uint32_t)total;
    tree->hops = clv_alloc_zeroed(total + 1, sizeof *tree->hops);
    if (tree->hops == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < machine->num_memories; i++) {
        uint32_t at = i;
        for (uint32_t k = tree->reached[i] ? s->num_hops[i] : 0; k > 0; k--) {
            tree->hops[tree->offsets[i] + k - 1] = s->via[at];
            at = machine->links[s->via[at] / 2].ends[s->via[at] % 2];
        }
    }
    return true;
}

static clv_route_tree *make_tree(const clv_routes *routes, uint32_t source) {
    size_t count = (size_t)routes->machine->num_memories + 1;
    search s = {
        .routes = routes,
        .time_us = clv_alloc_zeroed(count, sizeof *s.time_us),
        .num_hops = clv_alloc_zeroed(count, sizeof *s.num_hops),
        .via = clv_alloc_zeroed(count, sizeof *s.via),
        .heap = clv_alloc_zeroed(count, sizeof *s.heap),
        .position = clv_alloc_zeroed(count, sizeof *s.position)};
    clv_route_tree *tree = clv_alloc_zeroed(1, sizeof *tree);
    bool is_done = false;
    if (tree != NULL) {
        tree->offsets = clv_alloc_zeroed(count + 1, sizeof *tree->offsets);
        tree->reached = clv_alloc_zeroed(count, sizeof *tree->reached);
    }
    if (tree != NULL && tree->offsets != NULL && tree->reached != NULL && s.time_us != NULL &&
        s.num_hops != NULL && s.via != NULL && s.heap != NULL && s.position != NULL) {
        run_search(&s, source);
        is_done = fill_tree(&s, tree);
    }
    clv_free(s.time_us);
    clv_free(s.num_hops);
    clv_free(s.via);
    clv_free(s.heap);
    clv_free(s.position);
    if (!is_done) {
        destroy_tree(tree);
        return NULL;
    }
    return tree;
}

uint32_t clv_routes_leaving(const clv_routes *routes, uint32_t memory, const uint32_t **out_hops) {
    *out_hops = routes->edges + routes->edge_offsets[memory];
    return routes->edge_offsets[memory + 1] - routes->edge_offsets[memory];
}

/* The tree of a memory, made when it is first asked for; NULL: out of memory. */
static const clv_route_tree *find_tree(clv_routes *routes, uint32_t source) {
    clv_route_tree *tree = atomic_load_explicit(&routes->trees[source], memory_order_acquire);
    if (tree == NULL) {
        pthread_mutex_lock(&routes->lock);
        tree = routes->trees[source];
        if (tree == NULL) {
            tree = make_tree(routes, source);
            atomic_store_explicit(&routes->trees[source], tree, memory_order_release);
        }
        pthread_mutex_unlock(&routes->lock);
    }
    return tree;
}

/* A memory with one link has the paths of its neighbour, which many such memories may share. */
static bool has_one_link(const clv_routes *routes, uint32_t memory) {
    return routes->edge_offsets[memory + 1] - routes->edge_offsets[memory] == 1;
}

clv_status *clv_routes_path(
    clv_routes *routes, uint32_t from_memory, uint32_t to_memory, uint32_t scratch[CLV_SHORT_PATH],
    const uint32_t **out_hops, uint32_t *out_count) {
    *out_hops = NULL;
    *out_count = 0;
    if (from_memory == to_memory) {
        return NULL;
    }
    uint32_t source = from_memory, num_own = 0;
    if (has_one_link(routes, from_memory)) {
        scratch[num_own++] = routes->edges[routes->edge_offsets[from_memory]];
        source = hop_target(routes->machine, scratch[0]);
        if (source == to_memory) {
            *out_hops = scratch;
            *out_count = 1;
            return NULL;
        }
    }
    for (;;) {
        const clv_route_tree *tree = find_tree(routes, source);
        if (tree == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for routes");
        }
        if (!tree->reached[to_memory]) {
            *out_count = CLV_NO_INDEX;
            return NULL;
        }
        const uint32_t *hops = tree->hops + tree->offsets[to_memory];
        uint32_t count = tree->offsets[to_memory + 1] - tree->offsets[to_memory];
        if (num_own == 0) {
            *out_hops = hops;
            *out_count = count;
            return NULL;
        }
        if (count < CLV_SHORT_PATH) {
            memcpy(scratch + 1, hops, count * sizeof *hops);
            *out_hops = scratch;
            *out_count = count + 1;
            return NULL;
        }
        source = from_memory; /* a long path: of its own tree */
        num_own = 0;
    }
}
