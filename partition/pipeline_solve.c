/* The best cut along a lattice of down-closed sets, by dynamic programming.
 *
 * best[set][used] is the least possible load of the most loaded stage when `set` is done and
 * `used` (a number for each sort of units) are taken. Stages grow from each set by a walk over
 * larger ones that stops where compute alone, on every sort, is no better than the best cut
 * known. What a stage receives only grows with it, so that is counted too.
 * source   Tarnawski et al., Efficient Algorithms for Device Placement of DNN Graph Operators
 *          (NeurIPS 2020), section 5.1; differs: unequal units, bounds
 */
#include "host/base/memory.h"
#include "partition/pipeline.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline's table")

/* 14 bytes each: 336 MiB. */
enum { MAX_TABLE = 24 << 20 };

typedef struct solver {
    clv_pipe *pipe;
    const clv_lattice *lattice;
    clv_pipe_cut *cut;
    uint32_t num_used;            /* vectors of used units */
    double *best;                 /* [num_sets][num_used] */
    uint32_t *from;               /* [num_sets][num_used]: set before the last stage */
    uint16_t *sort;               /* [num_sets][num_used]: of the last stage */
    uint32_t *stamp;              /* [num_sets] */
    uint32_t *edge, *node, *atom; /* [num_atoms + 1]: the walk */
    double *compute_us;           /* [num_atoms + 1][num_sorts] */
    uint32_t *live;               /* [num_used]: those worth going on from */
    uint32_t num_live;
    uint64_t steps;
    double bound_us; /* of the best cut known so far */
} solver;

static uint32_t used_of(const solver *s, uint32_t vector, uint32_t sort) {
    const clv_pipe_sort *it = &s->pipe->sorts[sort];
    return vector / it->stride % (it->count + 1);
}

static uint32_t total_used(const solver *s, uint32_t vector) {
    uint32_t total = 0;
    for (uint32_t k = 0; k < s->pipe->num_sorts; k++) {
        total += used_of(s, vector, k);
    }
    return total;
}

/* Vectors at `set` that can still lead to something better than the best cut known. */
static void list_live(solver *s, uint32_t set) {
    const double *best = &s->best[(size_t)set * s->num_used];
    double rest_us = s->lattice->least_us[s->lattice->num_sets - 1] - s->lattice->least_us[set];
    s->num_live = 0;
    for (uint32_t v = 0; v < s->num_used; v++) {
        if (best[v] < s->bound_us) {
            double left = (double)s->pipe->max_stages - total_used(s, v);
            if (left > 0 && rest_us * (1 - 1e-9) < s->bound_us * left) {
                s->live[s->num_live++] = v;
            }
        }
    }
}

/* A stage from `set` to `to` on each sort. */
static void relax(solver *s, uint32_t set, uint32_t to, const double *compute_us) {
    const clv_pipe *pipe = s->pipe;
    const double *before = &s->best[(size_t)set * s->num_used];
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        if (compute_us[k] >= s->bound_us) {
            continue;
        }
        double load_us = clv_pipe_load(pipe, k, compute_us[k]);
        if (load_us >= s->bound_us) {
            continue;
        }
        for (uint32_t i = 0; i < s->num_live; i++) {
            uint32_t v = s->live[i];
            if (used_of(s, v, k) == pipe->sorts[k].count) {
                continue;
            }
            size_t at = (size_t)to * s->num_used + v + pipe->sorts[k].stride;
            double value = fmax(before[v], load_us);
            if (value < s->best[at]) {
                s->best[at] = value;
                s->from[at] = set;
                s->sort[at] = (uint16_t)k;
                if (to + 1 == s->lattice->num_sets) {
                    s->bound_us = fmin(s->bound_us, value);
                }
            }
        }
    }
}

/* Goes one edge up from walk[depth], if the set there is new and can be a stage. */
static bool descend(solver *s, uint32_t start, uint32_t depth) {
    const clv_pipe *pipe = s->pipe;
    uint32_t edge = s->edge[depth]++, to = s->lattice->edge_to[edge];
    uint32_t atom = s->lattice->edge_atom[edge], sorts = pipe->num_sorts;
    const double *here = &s->compute_us[(size_t)depth * sorts];
    double *there = &s->compute_us[(size_t)(depth + 1) * sorts];
    bool is_possible = false;
    if (s->stamp[to] == start + 1) {
        return false;
    }
    s->stamp[to] = start + 1;
    for (uint32_t k = 0; k < sorts; k++) {
        there[k] = here[k] + pipe->time_us[(size_t)atom * sorts + k];
        is_possible = is_possible || there[k] < s->bound_us;
    }
    if (!is_possible) {
        return false;
    }
    clv_pipe_add(s->pipe, atom);
    is_possible = false;
    for (uint32_t k = 0; k < sorts; k++) {
        is_possible = is_possible || clv_pipe_least_load(pipe, k, there[k]) < s->bound_us;
    }
    if (!is_possible) {
        clv_pipe_remove(s->pipe, atom);
        return false;
    }
    s->atom[depth + 1] = atom;
    s->node[depth + 1] = to;
    s->edge[depth + 1] = s->lattice->first_edge[to];
    relax(s, start, to, there);
    return true;
}

/* All stages that begin at `start`; false: out of steps. */
static bool grow_stages(solver *s, uint32_t start) {
    uint32_t depth = 0;
    uint64_t sorts = s->pipe->num_sorts, cost = 1 + sorts / 8 + sorts * s->num_live / 16;
    memset(s->compute_us, 0, s->pipe->num_sorts * sizeof *s->compute_us);
    s->node[0] = start;
    s->edge[0] = s->lattice->first_edge[start];
    for (;;) {
        if (s->edge[depth] < s->lattice->first_edge[s->node[depth] + 1]) {
            s->steps -= s->steps < cost ? s->steps : cost;
            depth += s->steps > 0 && descend(s, start, depth) ? 1 : 0;
            if (s->steps > 0) {
                continue;
            }
        }
        if (depth == 0) {
            break;
        }
        clv_pipe_remove(s->pipe, s->atom[depth--]);
        if (s->steps == 0) {
            s->edge[depth] = s->lattice->first_edge[s->node[depth] + 1];
        }
    }
    return s->steps > 0;
}

/* Stage numbers from the table, last stage first. */
static void trace_back(solver *s) {
    const clv_lattice *lattice = s->lattice;
    uint32_t set = lattice->num_sets - 1, vector = 0;
    const double *last = &s->best[(size_t)set * s->num_used];
    for (uint32_t v = 1; v < s->num_used; v++) {
        bool is_smaller = last[v] == last[vector] && total_used(s, v) < total_used(s, vector);
        vector = last[v] < last[vector] || is_smaller ? v : vector;
    }
    if (!(last[vector] < s->cut->load_us)) {
        return;
    }
    s->cut->load_us = last[vector];
    s->cut->num_stages = total_used(s, vector);
    for (uint32_t stage = s->cut->num_stages; stage-- > 0;) {
        size_t at = (size_t)set * s->num_used + vector;
        s->cut->sort[stage] = s->sort[at];
        s->live[stage] = set; /* for mark_stages */
        vector -= s->pipe->sorts[s->sort[at]].stride;
        set = s->from[at];
    }
}

/* Which stage each atom is in: walks from the empty set through the sets that end stages. */
static void mark_stages(solver *s, const uint32_t *ends) {
    const clv_lattice *lattice = s->lattice;
    uint32_t set = 0;
    for (uint32_t stage = 0; stage < s->cut->num_stages; stage++) {
        /* Depth-first search for a path to ends[stage]: sizes grow with every edge, and a set that
         * cannot reach the end is left after one look (stamps). */
        uint32_t depth = 0;
        memset(s->stamp, 0, lattice->num_sets * sizeof *s->stamp);
        s->node[0] = set;
        s->edge[0] = lattice->first_edge[set];
        while (s->node[depth] != ends[stage]) {
            if (s->edge[depth] == lattice->first_edge[s->node[depth] + 1]) {
                depth--;
                continue;
            }
            uint32_t edge = s->edge[depth]++, to = lattice->edge_to[edge];
            if (s->stamp[to] == 0 && to <= ends[stage]) {
                s->stamp[to] = 1;
                s->node[++depth] = to;
                s->atom[depth] = lattice->edge_atom[edge];
                s->edge[depth] = lattice->first_edge[to];
            }
        }
        for (uint32_t i = 1; i <= depth; i++) {
            s->cut->stage[s->atom[i]] = stage;
        }
        set = ends[stage];
    }
}

static bool count_vectors(clv_pipe *pipe, uint32_t num_sets, uint32_t *out_num_used) {
    uint64_t count = 1;
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        pipe->sorts[k].stride = (uint32_t)count;
        count *= (uint64_t)pipe->sorts[k].count + 1;
        if (count * num_sets > MAX_TABLE) {
            return false;
        }
    }
    *out_num_used = (uint32_t)count;
    return true;
}

static bool allocate(solver *s) {
    size_t sets = s->lattice->num_sets, atoms = (size_t)s->pipe->num_atoms + 2;
    size_t table = sets * s->num_used;
    s->best = clv_alloc(table * sizeof *s->best);
    s->from = clv_alloc(table * sizeof *s->from);
    s->sort = clv_alloc(table * sizeof *s->sort);
    s->stamp = clv_alloc_zeroed(sets, sizeof *s->stamp);
    s->edge = clv_alloc_zeroed(atoms * 3, sizeof *s->edge);
    s->compute_us = clv_alloc_zeroed(atoms * s->pipe->num_sorts, sizeof *s->compute_us);
    s->live = clv_alloc_zeroed(s->num_used + (size_t)s->pipe->max_stages + 1, sizeof *s->live);
    if (s->best == NULL || s->from == NULL || s->sort == NULL || s->stamp == NULL ||
        s->edge == NULL || s->compute_us == NULL || s->live == NULL) {
        return false;
    }
    s->node = s->edge + atoms;
    s->atom = s->node + atoms;
    for (size_t i = 0; i < table; i++) {
        s->best[i] = (double)INFINITY;
    }
    s->best[0] = 0;
    return true;
}

clv_status *clv_pipe_solve(
    clv_pipe *pipe, const clv_lattice *lattice, uint64_t *steps, clv_pipe_cut *cut,
    bool *out_is_complete) {
    solver s = {
        .pipe = pipe, .lattice = lattice, .cut = cut, .steps = *steps, .bound_us = cut->load_us};
    *out_is_complete = false;
    if (pipe->num_sorts > UINT16_MAX || !count_vectors(pipe, lattice->num_sets, &s.num_used)) {
        return NULL;
    }
    /* What going over the table takes. */
    uint64_t table = (uint64_t)lattice->num_sets * s.num_used * (pipe->num_sorts + 4) / 16;
    if (table >= s.steps) {
        return NULL;
    }
    s.steps -= table;
    clv_status *status = NULL;
    if (!allocate(&s)) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    bool is_complete = s.steps > 0;
    for (uint32_t set = 0; is_complete && set + 1 < lattice->num_sets; set++) {
        if (s.bound_us <= pipe->bound_us) {
            break; /* as good as can be */
        }
        list_live(&s, set);
        is_complete = s.num_live == 0 || grow_stages(&s, set);
    }
    double before_us = cut->load_us;
    trace_back(&s);
    if (cut->load_us < before_us) {
        mark_stages(&s, s.live);
    }
    *steps = s.steps;
    *out_is_complete = is_complete;
done:
    clv_free(s.best);
    clv_free(s.from);
    clv_free(s.sort);
    clv_free(s.stamp);
    clv_free(s.edge);
    clv_free(s.compute_us);
    clv_free(s.live);
    return status;
}
