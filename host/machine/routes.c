#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/machine/machine.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* A source's shortest paths for one size. */
typedef struct clv_route_tree {
    uint32_t *offsets; /* [num_memories + 1] into hops */
    uint32_t *hops;
    bool *reached;
} clv_route_tree;

/* One of the ways from a source to a target: the best one for up to so many bytes. */
typedef struct clv_route_way {
    double up_to;
    clv_path_line line;
    uint32_t *hops;
    uint32_t num_hops;
} clv_route_way;

typedef struct clv_route_ways {
    clv_route_way ways[CLV_MOST_PATHS];
    uint32_t count;
} clv_route_ways;

/* Of a source, found when it is first asked for. What has the same path for the least and for the
 * most bytes has it for all between, as times grow linearly; other targets have several ways. */
typedef struct clv_route_source {
    clv_route_tree *few, *many;
    _Atomic(clv_route_ways *) *ways; /* [num_memories]; NULL: until asked for, or only one */
    bool *has_ways;                  /* [num_memories]: that `few` and `many` differ in */
} clv_route_source;

struct clv_routes {
    const clv_machine *machine;
    uint32_t *edge_offsets; /* [num_memories + 1]: hops that leave a memory */
    uint32_t *edges;
    clv_link *least;                      /* [num_memories]: the least latency and the largest
                                             bandwidth of hops that leave it */
    uint32_t num_linked;                  /* memories that a link leads to */
    pthread_mutex_t lock;                 /* guards the making of sources and ways */
    _Atomic(clv_route_source *) *sources; /* [num_memories], NULL until asked for */
};

static const double fewest_bytes = 1, most_bytes = 1024.0 * 1024 * 1024 * 1024;

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

static void destroy_ways(clv_route_ways *ways) {
    for (uint32_t i = 0; ways != NULL && i < ways->count; i++) {
        clv_free(ways->ways[i].hops);
    }
    clv_free(ways);
}

static void destroy_source(clv_route_source *source, uint32_t num_memories) {
    if (source != NULL) {
        for (uint32_t i = 0; source->ways != NULL && i < num_memories; i++) {
            destroy_ways(source->ways[i]);
        }
        if (source->many != source->few) {
            destroy_tree(source->many);
        }
        destroy_tree(source->few);
        clv_free(source->ways);
        clv_free(source->has_ways);
        clv_free(source);
    }
}

void clv_routes_destroy(clv_routes *routes) {
    if (routes == NULL) {
        return;
    }
    for (uint32_t i = 0; routes->sources != NULL && i < routes->machine->num_memories; i++) {
        destroy_source(routes->sources[i], routes->machine->num_memories);
    }
    clv_free(routes->sources);
    clv_free(routes->edge_offsets);
    clv_free(routes->edges);
    clv_free(routes->least);
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
        clv_link *least = &routes->least[i];
        least->latency_us = (double)INFINITY;
        routes->num_linked += offsets[i + 1] > offsets[i] ? 1 : 0;
        for (uint32_t e = offsets[i]; e < offsets[i + 1]; e++) {
            const clv_link *link = &machine->links[routes->edges[e] / 2];
            least->latency_us = fmin(least->latency_us, link->latency_us);
            least->bandwidth = fmax(least->bandwidth, link->bandwidth);
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
    routes->least = clv_alloc_zeroed((size_t)machine->num_memories + 1, sizeof *routes->least);
    routes->sources = clv_alloc_zeroed((size_t)machine->num_memories + 1, sizeof *routes->sources);
    if (routes->edge_offsets == NULL || routes->edges == NULL || routes->least == NULL ||
        routes->sources == NULL) {
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
    double bytes;
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
    double time_us = s->time_us[from] + clv_link_time_us(&machine->links[hop / 2], s->bytes);
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
    double us = s->time_us[memory] + clv_link_time_us(&s->routes->least[memory], s->bytes);
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

static clv_route_tree *make_tree(const clv_routes *routes, uint32_t source, double bytes) {
    size_t count = (size_t)routes->machine->num_memories + 1;
    search s = {
        .routes = routes,
        .bytes = bytes,
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

/* --- paths by size --- */

static const uint32_t *tree_path(const clv_route_tree *tree, uint32_t to, uint32_t *out_count) {
    *out_count = tree->offsets[to + 1] - tree->offsets[to];
    return tree->hops + tree->offsets[to];
}

static clv_path_line line_of(const clv_routes *routes, const uint32_t *hops, uint32_t count) {
    clv_path_line line = {0};
    for (uint32_t i = 0; i < count; i++) {
        const clv_link *link = &routes->machine->links[hops[i] / 2];
        line.latency_us += link->latency_us;
        line.us_per_byte += 1e6 / link->bandwidth; /* 0 where it is INFINITY */
    }
    return line;
}

static bool is_same_path(
    const clv_route_tree *a, const clv_route_tree *b, uint32_t to, uint32_t *out_count) {
    uint32_t count;
    const uint32_t *x = tree_path(a, to, out_count), *y = tree_path(b, to, &count);
    return count == *out_count && memcmp(x, y, count * sizeof *x) == 0;
}

static clv_route_source *make_source(const clv_routes *routes, uint32_t from) {
    size_t count = (size_t)routes->machine->num_memories + 1;
    clv_route_source *source = clv_alloc_zeroed(1, sizeof *source);
    bool is_straight = true;
    uint32_t num_hops;
    if (source == NULL) {
        return NULL;
    }
    source->few = make_tree(routes, from, fewest_bytes);
    source->many = make_tree(routes, from, most_bytes);
    source->has_ways = clv_alloc_zeroed(count, sizeof *source->has_ways);
    source->ways = clv_alloc_zeroed(count, sizeof *source->ways);
    if (source->few == NULL || source->many == NULL || source->has_ways == NULL ||
        source->ways == NULL) {
        destroy_source(source, (uint32_t)count - 1);
        return NULL;
    }
    for (uint32_t i = 0; i + 1 < count; i++) {
        source->has_ways[i] = !is_same_path(source->few, source->many, i, &num_hops);
        is_straight = is_straight && !source->has_ways[i];
    }
    if (is_straight) { /* as nearly always */
        destroy_tree(source->many);
        source->many = source->few;
    }
    return source;
}

/* The lower envelope of the lines of all paths to one target, found from its ends inwards: where
 * the lines of two paths cross, either no path is faster, or the one that is splits the range. */
typedef struct envelope {
    const clv_routes *routes;
    uint32_t from, to;
    clv_route_ways *ways;
} envelope;

static bool add_way(envelope *e, double up_to, const clv_route_tree *tree) {
    clv_route_way *way = &e->ways->ways[e->ways->count];
    const uint32_t *hops = tree_path(tree, e->to, &way->num_hops);
    way->up_to = up_to;
    way->line = line_of(e->routes, hops, way->num_hops);
    way->hops = clv_alloc_zeroed((size_t)way->num_hops + 1, sizeof *way->hops);
    if (way->hops == NULL) {
        return false;
    }
    memcpy(way->hops, hops, way->num_hops * sizeof *hops);
    e->ways->count++;
    return true;
}

/* Adds the ways from `low` up to but for the last one, `high`: `low`, and at most `most` between
 * them; where there are more, some are left out. */
static bool add_between(
    envelope *e, const clv_route_tree *low, const clv_route_tree *high, uint32_t most) {
    uint32_t num_low, num_high, num_middle;
    const uint32_t *low_hops = tree_path(low, e->to, &num_low);
    const uint32_t *high_hops = tree_path(high, e->to, &num_high);
    clv_path_line a = line_of(e->routes, low_hops, num_low);
    clv_path_line b = line_of(e->routes, high_hops, num_high);
    double bytes = (b.latency_us - a.latency_us) / (a.us_per_byte - b.us_per_byte);
    if (most == 0 || !(bytes > fewest_bytes) || !(bytes < most_bytes)) {
        return bytes <= fewest_bytes || add_way(e, bytes < most_bytes ? bytes : most_bytes, low);
    }
    clv_route_tree *middle = make_tree(e->routes, e->from, bytes);
    if (middle == NULL) {
        return false;
    }
    const uint32_t *hops = tree_path(middle, e->to, &num_middle);
    clv_path_line c = line_of(e->routes, hops, num_middle);
    double known_us = a.latency_us + bytes * a.us_per_byte;
    bool ok = c.latency_us + bytes * c.us_per_byte < known_us * (1 - 1e-12)
                  ? add_between(e, low, middle, (most - 1) / 2) &&
                        add_between(e, middle, high, most - 1 - (most - 1) / 2)
                  : add_way(e, bytes, low);
    destroy_tree(middle);
    return ok;
}

static clv_route_ways *make_ways(
    const clv_routes *routes, const clv_route_source *source, uint32_t from, uint32_t to) {
    clv_route_ways *ways = clv_alloc_zeroed(1, sizeof *ways);
    envelope e = {.routes = routes, .from = from, .to = to, .ways = ways};
    if (ways != NULL && (!add_between(&e, source->few, source->many, CLV_MOST_PATHS - 2) ||
                         !add_way(&e, (double)INFINITY, source->many))) {
        destroy_ways(ways);
        return NULL;
    }
    return ways;
}

static const clv_route_source *find_source(clv_routes *routes, uint32_t from) {
    clv_route_source *source = atomic_load_explicit(&routes->sources[from], memory_order_acquire);
    if (source == NULL) {
        pthread_mutex_lock(&routes->lock);
        source = routes->sources[from];
        if (source == NULL) {
            source = make_source(routes, from);
            atomic_store_explicit(&routes->sources[from], source, memory_order_release);
        }
        pthread_mutex_unlock(&routes->lock);
    }
    return source;
}

static const clv_route_ways *find_ways(
    clv_routes *routes, const clv_route_source *source, uint32_t from, uint32_t to) {
    clv_route_ways *ways = atomic_load_explicit(&source->ways[to], memory_order_acquire);
    if (ways == NULL) {
        pthread_mutex_lock(&routes->lock);
        ways = source->ways[to];
        if (ways == NULL) {
            ways = make_ways(routes, source, from, to);
            atomic_store_explicit(&source->ways[to], ways, memory_order_release);
        }
        pthread_mutex_unlock(&routes->lock);
    }
    return ways;
}

/* Of the source's own; *out_count CLV_NO_INDEX: there is none. false: out of memory. */
static bool find_path(
    clv_routes *routes, uint32_t from, uint32_t to, double bytes, const uint32_t **out_hops,
    uint32_t *out_count) {
    const clv_route_source *source = find_source(routes, from);
    if (source == NULL) {
        return false;
    }
    if (!source->few->reached[to]) {
        *out_count = CLV_NO_INDEX;
        return true;
    }
    *out_hops = tree_path(source->few, to, out_count);
    if (!source->has_ways[to]) {
        return true;
    }
    const clv_route_ways *ways = find_ways(routes, source, from, to);
    if (ways == NULL) {
        return false;
    }
    uint32_t at = 0;
    while (bytes > ways->ways[at].up_to) {
        at++;
    }
    *out_hops = ways->ways[at].hops;
    *out_count = ways->ways[at].num_hops;
    return true;
}

/* A memory with one link has the paths of its neighbour, which many such memories may share. */
static bool has_one_link(const clv_routes *routes, uint32_t memory) {
    return routes->edge_offsets[memory + 1] - routes->edge_offsets[memory] == 1;
}

clv_status *clv_routes_path(
    clv_routes *routes, uint32_t from_memory, uint32_t to_memory, double bytes,
    clv_path *out_path) {
    const uint32_t *hops = NULL;
    uint32_t source = from_memory, num_own = 0, count = 0;
    out_path->hops = out_path->own;
    out_path->count = 0;
    if (from_memory == to_memory) {
        return NULL;
    }
    if (has_one_link(routes, from_memory)) {
        out_path->own[num_own++] = routes->edges[routes->edge_offsets[from_memory]];
        source = hop_target(routes->machine, out_path->own[0]);
        if (source == to_memory) {
            out_path->count = 1;
            return NULL;
        }
    }
    if (!find_path(routes, source, to_memory, bytes, &hops, &count)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for routes");
    }
    if (num_own > 0 && count != CLV_NO_INDEX && count >= CLV_SHORT_PATH) {
        num_own = 0; /* a long path: of its own source */
        if (!find_path(routes, from_memory, to_memory, bytes, &hops, &count)) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for routes");
        }
    }
    out_path->count = count;
    if (count != CLV_NO_INDEX && num_own > 0) {
        memcpy(out_path->own + 1, hops, count * sizeof *hops);
        out_path->count = count + 1;
    } else {
        out_path->hops = hops;
    }
    return NULL;
}

clv_status *clv_routes_lines(
    clv_routes *routes, uint32_t from_memory, uint32_t to_memory,
    clv_path_line out_lines[CLV_MOST_PATHS], uint32_t *out_count) {
    clv_path path;
    CLV_TRY(clv_routes_path(routes, from_memory, to_memory, fewest_bytes, &path));
    *out_count = path.count == CLV_NO_INDEX ? 0 : 1;
    out_lines[0] = line_of(routes, path.hops, path.count == CLV_NO_INDEX ? 0 : path.count);
    if (*out_count == 0 || path.count == 0) {
        return NULL;
    }
    clv_path_line own = {0};
    uint32_t from = from_memory;
    if (path.hops == path.own) { /* of the neighbour */
        own = line_of(routes, path.own, 1);
        from = hop_target(routes->machine, path.own[0]);
    }
    const clv_route_source *source = from != to_memory ? find_source(routes, from) : NULL;
    if (source == NULL || !source->has_ways[to_memory]) {
        return NULL;
    }
    const clv_route_ways *ways = find_ways(routes, source, from, to_memory);
    if (ways == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for routes");
    }
    for (uint32_t i = 0; i < ways->count; i++) {
        out_lines[i].latency_us = own.latency_us + ways->ways[i].line.latency_us;
        out_lines[i].us_per_byte = own.us_per_byte + ways->ways[i].line.us_per_byte;
    }
    *out_count = ways->count;
    return NULL;
}
