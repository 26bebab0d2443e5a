/* Filling units one after another along an order of atoms: what is left where there are too many
 * sorts of units for a table.
 */
#include "host/base/memory.h"
#include "partition/pipeline.h"

#include <math.h>
#include <stdlib.h>

enum { NUM_UNIT_ORDERS = 3, NUM_HALVINGS = 40 };

typedef struct rank {
    double key_us; /* the least first */
    uint32_t sort;
} rank;

typedef struct filler {
    clv_pipe *pipe;
    const uint32_t *order;
    uint32_t *sorts;  /* [num_units]: sorts in the order that units are filled */
    double *total_us; /* [num_sorts]: all atoms that it can run */
    rank *ranks;      /* [num_sorts] */
    uint32_t num_units;
    uint32_t *end, *used; /* [num_units]: of each stage so far; its sort */
} filler;

/* The longest stage from `begin` on a sort within `limit_us`; *out_load_us its load. */
static uint32_t fill_stage(
    const filler *f, uint32_t begin, uint32_t sort, double limit_us, double *out_load_us) {
    clv_pipe *pipe = f->pipe;
    uint32_t at = begin, best = begin;
    double compute_us = 0;
    while (at < pipe->num_atoms) {
        double time_us = pipe->time_us[(size_t)f->order[at] * pipe->num_sorts + sort];
        if (compute_us + time_us > limit_us) {
            break;
        }
        compute_us += time_us;
        clv_pipe_add(pipe, f->order[at++]);
        double load_us = clv_pipe_load(pipe, sort, compute_us);
        if (load_us <= limit_us) {
            best = at;
            *out_load_us = load_us;
        }
    }
    while (at > begin) {
        clv_pipe_remove(pipe, f->order[--at]);
    }
    return best;
}

/* Whether all atoms fit under the limit; *out_load_us is the largest load. */
static bool fill_all(
    const filler *f, double limit_us, uint32_t *out_num_stages, double *out_load_us) {
    uint32_t at = 0;
    *out_num_stages = 0;
    *out_load_us = 0;
    for (uint32_t i = 0; i < f->num_units && at < f->pipe->num_atoms; i++) {
        double load_us = 0;
        uint32_t end = fill_stage(f, at, f->sorts[i], limit_us, &load_us);
        if (end > at && *out_num_stages < f->pipe->max_stages) {
            f->end[*out_num_stages] = end;
            f->used[(*out_num_stages)++] = f->sorts[i];
            *out_load_us = fmax(*out_load_us, load_us);
            at = end;
        }
    }
    return at == f->pipe->num_atoms;
}

static void keep_fill(const filler *f, uint32_t num_stages, double load_us, clv_pipe_cut *cut) {
    uint32_t at = 0;
    cut->num_stages = num_stages;
    cut->load_us = load_us;
    for (uint32_t stage = 0; stage < num_stages; stage++) {
        cut->sort[stage] = f->used[stage];
        for (; at < f->end[stage]; at++) {
            cut->stage[f->order[at]] = stage;
        }
    }
}

/* Halves the interval between a load that is too small and one that some cut keeps. */
static void search_limit(const filler *f, clv_pipe_cut *cut) {
    double low_us = 0, high_us = 0, load_us;
    uint32_t num_stages;
    for (uint32_t i = 0; i < f->pipe->num_sorts; i++) {
        high_us = fmax(high_us, f->total_us[i]);
    }
    high_us = fmin(high_us * 2 + 1, cut->load_us);
    for (int i = 0; i < 60 && !fill_all(f, high_us, &num_stages, &load_us); i++) {
        if (high_us >= cut->load_us) {
            return;
        }
        low_us = high_us;
        high_us = fmin(high_us * 4, cut->load_us);
    }
    for (int i = 0; i < NUM_HALVINGS; i++) {
        double middle_us = low_us + (high_us - low_us) / 2;
        if (fill_all(f, middle_us, &num_stages, &load_us)) {
            high_us = fmin(middle_us, load_us);
            if (load_us < cut->load_us) {
                keep_fill(f, num_stages, load_us, cut);
            }
        } else {
            low_us = middle_us;
        }
    }
}

static int compare_ranks(const void *left, const void *right) {
    const rank *a = left, *b = right;
    if (a->key_us != b->key_us) {
        return a->key_us < b->key_us ? -1 : 1;
    }
    return (a->sort > b->sort) - (a->sort < b->sort);
}

/* Units as given, fastest first, slowest first. */
static void order_units(const filler *f, uint32_t which) {
    const clv_pipe *pipe = f->pipe;
    uint32_t count = 0;
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        f->ranks[k] = (rank){which == 0 ? 0 : which == 1 ? f->total_us[k] : -f->total_us[k], k};
    }
    if (pipe->num_sorts > 0) {
        qsort(f->ranks, pipe->num_sorts, sizeof *f->ranks, compare_ranks);
    }
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        for (uint32_t i = 0; i < pipe->sorts[f->ranks[k].sort].count; i++) {
            f->sorts[count++] = f->ranks[k].sort;
        }
    }
}

clv_status *clv_pipe_fill(clv_pipe *pipe, const uint32_t *order, clv_pipe_cut *cut) {
    filler f = {.pipe = pipe, .order = order};
    clv_status *status = NULL;
    for (uint32_t k = 0; k < pipe->num_sorts; k++) {
        f.num_units += pipe->sorts[k].count;
    }
    f.sorts = clv_alloc_zeroed((size_t)f.num_units * 3 + 1, sizeof *f.sorts);
    f.total_us = clv_alloc_zeroed(pipe->num_sorts, sizeof *f.total_us);
    f.ranks = clv_alloc_zeroed(pipe->num_sorts, sizeof *f.ranks);
    if (f.sorts == NULL || f.total_us == NULL || f.ranks == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline");
        goto done;
    }
    f.end = f.sorts + f.num_units;
    f.used = f.end + f.num_units;
    for (uint32_t atom = 0; atom < pipe->num_atoms; atom++) {
        for (uint32_t k = 0; k < pipe->num_sorts; k++) {
            double time_us = pipe->time_us[(size_t)atom * pipe->num_sorts + k];
            f.total_us[k] += isinf(time_us) ? 0 : time_us;
        }
    }
    for (uint32_t which = 0; which < NUM_UNIT_ORDERS; which++) {
        if (which == 0 || pipe->num_sorts > 1) {
            order_units(&f, which);
            search_limit(&f, cut);
        }
    }
done:
    clv_free(f.sorts);
    clv_free(f.total_us);
    clv_free(f.ranks);
    return status;
}
