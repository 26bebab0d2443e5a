#include "host/exec/lifetimes.h"

#include "host/base/memory.h"
#include <stdlib.h>
#include <string.h>

typedef struct birth {
    uint32_t first_step, index;
} birth;

static int compare_births(const void *left, const void *right) {
    const birth *a = left, *b = right;
    if (a->first_step != b->first_step) {
        return a->first_step < b->first_step ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

static clv_status *sort_births(clv_lifetimes *l) {
    birth *births = clv_alloc_zeroed(l->num_pieces + 1, sizeof *births);
    if (births == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for lifetimes of tensors");
    }
    for (size_t i = 0; i < l->num_pieces; i++) {
        births[i] = (birth){.first_step = l->pieces[i].first_step, .index = (uint32_t)i};
    }
    qsort(births, l->num_pieces, sizeof *births, compare_births);
    for (size_t i = 0; i < l->num_pieces; i++) {
        l->by_first[i] = births[i].index;
        l->rank[births[i].index] = (uint32_t)i;
    }
    clv_free(births);
    return NULL;
}

clv_status *clv_lifetimes_init(
    const clv_memory_piece *pieces, size_t num_pieces, clv_lifetimes *out_lifetimes) {
    *out_lifetimes = (clv_lifetimes){.pieces = pieces, .num_pieces = num_pieces, .num_leaves = 1};
    clv_lifetimes *l = out_lifetimes;
    while (l->num_leaves < num_pieces) {
        l->num_leaves *= 2;
    }
    l->by_first = clv_alloc_zeroed(num_pieces + 1, sizeof *l->by_first);
    l->rank = clv_alloc_zeroed(num_pieces + 1, sizeof *l->rank);
    l->ends = clv_alloc_zeroed(2 * l->num_leaves, sizeof *l->ends);
    clv_status *status = l->by_first != NULL && l->rank != NULL && l->ends != NULL
                             ? sort_births(l)
                             : CLV_ERROR(NO_MEMORY, "out of host memory for lifetimes of tensors");
    if (status != NULL) {
        clv_lifetimes_deinit(l);
    }
    return status;
}

void clv_lifetimes_deinit(clv_lifetimes *lifetimes) {
    clv_free(lifetimes->by_first);
    clv_free(lifetimes->rank);
    clv_free(lifetimes->ends);
    *lifetimes = (clv_lifetimes){.pieces = NULL};
}

void clv_lifetimes_clear(clv_lifetimes *lifetimes) {
    memset(lifetimes->ends, 0, 2 * lifetimes->num_leaves * sizeof *lifetimes->ends);
}

void clv_lifetimes_add(clv_lifetimes *lifetimes, size_t index) {
    const uint64_t end = (uint64_t)lifetimes->pieces[index].last_step + 1;
    for (size_t at = lifetimes->num_leaves + lifetimes->rank[index]; at != 0; at /= 2) {
        lifetimes->ends[at] = lifetimes->ends[at] > end ? lifetimes->ends[at] : end;
    }
}

/* How many pieces have come to life by `step`: they stand first. */
static size_t count_born(const clv_lifetimes *l, uint32_t step) {
    size_t low = 0, high = l->num_pieces;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (l->pieces[l->by_first[middle]].first_step <= step) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool clv_lifetimes_find(
    const clv_lifetimes *lifetimes, const clv_memory_piece *piece, size_t most,
    uint32_t *out_indices, size_t *out_count) {
    typedef struct range {
        size_t node, begin, width;
    } range;
    enum { MOST_LEVELS = 66 };
    const size_t born = count_born(lifetimes, piece->last_step);
    range stack[MOST_LEVELS];
    size_t depth = 0;
    *out_count = 0;
    stack[depth++] = (range){.node = 1, .width = lifetimes->num_leaves};
    while (depth != 0) {
        const range r = stack[--depth];
        if (r.begin >= born || lifetimes->ends[r.node] <= piece->first_step) {
            continue; /* not born, or dead by then: all of them */
        }
        if (r.width > 1) {
            const size_t half = r.width / 2;
            stack[depth++] = (range){2 * r.node + 1, r.begin + half, half};
            stack[depth++] = (range){2 * r.node, r.begin, half};
        } else if (*out_count == most) {
            return false;
        } else {
            out_indices[(*out_count)++] = lifetimes->by_first[r.begin];
        }
    }
    return true;
}
