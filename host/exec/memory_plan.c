#include "host/exec/memory_plan.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/exec/lifetimes.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t padded(uint64_t bytes) {
    return (bytes + CLV_MEMORY_ALIGN - 1) / CLV_MEMORY_ALIGN * CLV_MEMORY_ALIGN;
}

/* Largest first; among equals the one that lives first, so that the order is the same everywhere.
 */
static int largest_first(const void *left, const void *right) {
    const clv_memory_piece *a = *(clv_memory_piece *const *)left;
    const clv_memory_piece *b = *(clv_memory_piece *const *)right;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    if (a->first_step != b->first_step) {
        return a->first_step < b->first_step ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

/* As they come to life, after those that live long, which would cut the free space: two slots in
 * turn then do for a chain, whatever its sizes are. */
static int earliest_first(const void *left, const void *right) {
    enum { LONG = 6 };
    const clv_memory_piece *a = *(clv_memory_piece *const *)left;
    const clv_memory_piece *b = *(clv_memory_piece *const *)right;
    const bool a_stays = a->last_step - a->first_step > LONG;
    const bool b_stays = b->last_step - b->first_step > LONG;
    if (a_stays != b_stays) {
        return a_stays ? -1 : 1;
    }
    if (a->first_step != b->first_step) {
        return a->first_step < b->first_step ? -1 : 1;
    }
    return largest_first(left, right);
}

/* What is placed already, by block and then offset. */
typedef struct placed_list {
    clv_memory_piece **pieces;
    size_t count;
    bool by_class; /* sizes are rounded up by a 16th at most, so that similar ones share a place */
    clv_memory_piece *all;         /* that are to be placed */
    const clv_memory_order *order; /* NULL: by their steps */
    clv_lifetimes lifetimes;
    uint32_t *found;        /* those that live at once with one, where they are few: indices, */
    clv_memory_piece **few; /* and in the order of `pieces` */
} placed_list;

static bool is_before(const clv_memory_order *order, size_t earlier, size_t later) {
    return order->before != NULL &&
           (order->before[later * order->words + earlier / 64] >> (earlier % 64) & 1) != 0;
}

static bool live_at_once(
    const placed_list *placed, const clv_memory_piece *a, const clv_memory_piece *b) {
    if (placed->order != NULL) {
        const size_t i = (size_t)(a - placed->all), j = (size_t)(b - placed->all);
        return !is_before(placed->order, i, j) && !is_before(placed->order, j, i);
    }
    return a->first_step <= b->last_step && b->first_step <= a->last_step;
}

static uint64_t room_of(const placed_list *placed, const clv_memory_piece *piece) {
    uint64_t room = padded(piece->bytes), step = CLV_MEMORY_ALIGN;
    while (placed->by_class && step * 32 <= room) {
        step *= 2;
    }
    return (room + step - 1) / step * step;
}

static bool is_placed_before(const clv_memory_piece *a, const clv_memory_piece *b) {
    return a->block < b->block || (a->block == b->block && a->offset <= b->offset);
}

/* How many of some that stand by block and offset do so before `piece`, or at its place. */
static size_t count_before(
    clv_memory_piece *const *pieces, size_t count, const clv_memory_piece *piece) {
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (is_placed_before(pieces[middle], piece)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void insert(placed_list *placed, clv_memory_piece *piece) {
    const size_t before = count_before(placed->pieces, placed->count, piece);
    clv_memory_piece **at = &placed->pieces[before];
    memmove(at + 1, at, (placed->count - before) * sizeof *at);
    *at = piece;
    placed->count++;
    clv_lifetimes_add(&placed->lifetimes, (size_t)(piece - placed->all));
}

/* Sorted by block and offset. */
static int compare_places(const void *left, const void *right) {
    const clv_memory_piece *a = *(const clv_memory_piece *const *)left;
    const clv_memory_piece *b = *(const clv_memory_piece *const *)right;
    if (a->block != b->block) {
        return a->block < b->block ? -1 : 1;
    }
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Placed pieces among which are all that live at once with one, by block and offset. */
static clv_memory_piece **find_neighbours(
    const placed_list *placed, const clv_memory_piece *piece, size_t *out_count) {
    enum { FEW_OF = 32 }; /* more than one of so many: sorting takes longer than looking at all */
    size_t count;
    if (placed->order != NULL ||
        !clv_lifetimes_find(
            &placed->lifetimes, piece, placed->count / FEW_OF, placed->found, &count)) {
        *out_count = placed->count;
        return placed->pieces;
    }
    for (size_t i = 0; i < count; i++) {
        placed->few[i] = &placed->all[placed->found[i]];
    }
    qsort(placed->few, count, sizeof(clv_memory_piece *), compare_places);
    *out_count = count;
    return placed->few;
}

typedef struct gap {
    uint64_t offset, bytes;
    bool found;
} gap;

static void consider(gap *best, uint64_t offset, uint64_t end, uint64_t needed) {
    if (end >= offset && end - offset >= needed && (!best->found || end - offset < best->bytes)) {
        *best = (gap){.offset = offset, .bytes = end - offset, .found = true};
    }
}

/* The smallest gap between pieces that live at the same time in one block; behind them where there
 * is none. *index: of the first of the others in the block, moved behind its last. */
static uint64_t find_gap(
    const placed_list *placed, clv_memory_piece *const *others, size_t num_others, size_t *index,
    uint32_t block, const clv_memory_piece *piece) {
    uint64_t needed = room_of(placed, piece), end = 0;
    gap best = {.found = false};
    for (; *index < num_others && others[*index]->block == block; (*index)++) {
        const clv_memory_piece *other = others[*index];
        if (live_at_once(placed, piece, other)) {
            consider(&best, end, other->offset, needed);
            uint64_t other_end = other->offset + room_of(placed, other);
            end = other_end > end ? other_end : end;
        }
    }
    return best.found ? best.offset : end;
}

static clv_status *place(
    clv_memory_piece *piece, placed_list *placed, uint64_t max_block_bytes, clv_memory_plan *plan) {
    size_t index = 0, num_others;
    uint32_t block = 0;
    clv_memory_piece *const *others = find_neighbours(placed, piece, &num_others);
    for (; block < plan->num_blocks; block++) {
        piece->block = block;
        piece->offset = find_gap(placed, others, num_others, &index, block, piece);
        if (piece->offset + room_of(placed, piece) <= max_block_bytes) {
            break;
        }
    }
    if (block == plan->num_blocks) {
        size_t capacity = plan->num_blocks;
        if (!clv_array_reserve(
                (void **)&plan->block_bytes, &capacity, plan->num_blocks + 1, sizeof(uint64_t))) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for the memory plan");
        }
        plan->block_bytes[plan->num_blocks++] = 0;
        piece->block = block;
        piece->offset = 0;
    }
    uint64_t end = piece->offset + padded(piece->bytes);
    if (end > plan->block_bytes[block]) {
        plan->block_bytes[block] = end;
    }
    insert(placed, piece);
    return NULL;
}

typedef struct edge {
    uint32_t step;
    bool ends;
    uint64_t bytes;
} edge;

static int compare_edges(const void *left, const void *right) {
    const edge *a = left, *b = right;
    if (a->step != b->step) {
        return a->step < b->step ? -1 : 1;
    }
    return (int)a->ends - (int)b->ends;
}

static clv_status *bound(const clv_memory_piece *pieces, size_t count, uint64_t *out_bytes) {
    edge *edges = clv_alloc_zeroed(2 * count + 1, sizeof *edges);
    if (edges == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the memory plan");
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = padded(pieces[i].bytes);
        edges[2 * i] = (edge){.step = pieces[i].first_step, .bytes = bytes};
        edges[2 * i + 1] = (edge){.step = pieces[i].last_step, .ends = true, .bytes = bytes};
    }
    qsort(edges, 2 * count, sizeof *edges, compare_edges);
    uint64_t live = 0;
    *out_bytes = 0;
    for (size_t i = 0; i < 2 * count; i++) {
        live = edges[i].ends ? live - edges[i].bytes : live + edges[i].bytes;
        *out_bytes = live > *out_bytes ? live : *out_bytes;
    }
    clv_free(edges);
    return NULL;
}

/* Neither one piece nor all together may overflow what follows. */
static clv_status *check_sizes(
    const clv_memory_piece *pieces, size_t count, uint64_t max_block_bytes) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].bytes > max_block_bytes || padded(pieces[i].bytes) > max_block_bytes) {
            char needed[32], most[32];
            clv_format_bytes(needed, sizeof needed, (double)pieces[i].bytes);
            clv_format_bytes(most, sizeof most, (double)max_block_bytes);
            return CLV_ERROR(
                NO_MEMORY, "'%s' takes %s, the device gives at most %s in one piece",
                pieces[i].name, needed, most);
        }
        if (total > UINT64_MAX / 4 - padded(pieces[i].bytes)) {
            return CLV_ERROR(NO_MEMORY, "the tensors together are too large");
        }
        total += padded(pieces[i].bytes);
    }
    return NULL;
}

/* Places all pieces in one order. */
static clv_status *plan_in_order(
    clv_memory_piece **order, size_t count, uint64_t max_block_bytes, placed_list *placed,
    clv_memory_plan *plan) {
    placed->count = 0;
    clv_lifetimes_clear(&placed->lifetimes);
    for (size_t i = 0; i < count; i++) {
        CLV_TRY(clv_cancel_check());
        CLV_TRY(place(order[i], placed, max_block_bytes, plan));
    }
    for (size_t i = 0; i < plan->num_blocks; i++) {
        plan->total_bytes += plan->block_bytes[i];
    }
    return NULL;
}

/* No order is best for every graph: places all pieces in another one, and keeps that where it is
 * better. */
static clv_status *try_earliest_first(
    clv_memory_piece **order, size_t count, uint64_t max_block_bytes, placed_list *placed,
    clv_memory_plan *plan) {
    clv_memory_plan other = {.lower_bound = plan->lower_bound};
    clv_memory_piece *before = clv_alloc_zeroed(count + 1, sizeof *before);
    if (before == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the memory plan");
    }
    qsort(order, count, sizeof *order, earliest_first);
    for (size_t i = 0; i < count; i++) {
        before[i] = *order[i];
    }
    clv_status *status = plan_in_order(order, count, max_block_bytes, placed, &other);
    if (status == NULL && other.total_bytes < plan->total_bytes) {
        const clv_memory_plan worse = *plan;
        *plan = other;
        other = worse;
    } else {
        for (size_t i = 0; i < count; i++) {
            *order[i] = before[i];
        }
    }
    clv_memory_plan_deinit(&other);
    clv_free(before);
    return status;
}

clv_status *clv_memory_plan_create(
    clv_memory_piece *pieces, size_t num_pieces, uint64_t max_block_bytes,
    clv_memory_plan *out_plan) {
    return clv_memory_plan_create_unordered(pieces, num_pieces, NULL, max_block_bytes, out_plan);
}

clv_status *clv_memory_plan_create_unordered(
    clv_memory_piece *pieces, size_t num_pieces, const clv_memory_order *order_of_pieces,
    uint64_t max_block_bytes, clv_memory_plan *out_plan) {
    *out_plan = (clv_memory_plan){.num_blocks = 0};
    if (max_block_bytes > UINT64_MAX / 4) {
        max_block_bytes = UINT64_MAX / 4;
    }
    CLV_TRY(check_sizes(pieces, num_pieces, max_block_bytes));
    clv_memory_piece **order = clv_alloc_zeroed(num_pieces + 1, sizeof *order);
    placed_list placed = {
        .pieces = clv_alloc_zeroed(num_pieces + 1, sizeof *order),
        .all = pieces,
        .order = order_of_pieces,
        .found = clv_alloc_zeroed(num_pieces + 1, sizeof *placed.found),
        .few = clv_alloc_zeroed(num_pieces + 1, sizeof *order),
    };
    clv_status *status = NULL;
    if (order == NULL || placed.pieces == NULL || placed.found == NULL || placed.few == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for the memory plan");
        goto done;
    }
    size_t count = 0;
    for (size_t i = 0; i < num_pieces; i++) {
        pieces[i].block = 0;
        pieces[i].offset = 0;
        if (pieces[i].bytes != 0) {
            order[count++] = &pieces[i];
        }
    }
    CLV_TRY_DONE(clv_lifetimes_init(pieces, num_pieces, &placed.lifetimes));
    CLV_TRY_DONE(bound(pieces, num_pieces, &out_plan->lower_bound));
    qsort(order, count, sizeof *order, largest_first);
    CLV_TRY_DONE(plan_in_order(order, count, max_block_bytes, &placed, out_plan));
    for (int i = 0; i < 2 && out_plan->total_bytes > out_plan->lower_bound; i++) {
        placed.by_class = i == 1;
        CLV_TRY_DONE(try_earliest_first(order, count, max_block_bytes, &placed, out_plan));
    }
done:
    clv_free(order);
    clv_free(placed.pieces);
    clv_free(placed.found);
    clv_free(placed.few);
    clv_lifetimes_deinit(&placed.lifetimes);
    if (status != NULL) {
        clv_memory_plan_deinit(out_plan);
    }
    return status;
}

void clv_memory_plan_deinit(clv_memory_plan *plan) {
    clv_free(plan->block_bytes);
    *plan = (clv_memory_plan){.num_blocks = 0};
}

void clv_memory_plan_repeat(clv_memory_plan *plan, uint32_t copies) {
    for (size_t i = 0; i < plan->num_blocks; i++) {
        plan->block_bytes[i] *= copies;
    }
    plan->total_bytes *= copies;
    plan->lower_bound *= copies;
}

clv_status *clv_memory_plan_append(clv_memory_plan *whole, const clv_memory_plan *part) {
    size_t capacity = whole->num_blocks;
    if (part->num_blocks != 0 &&
        !clv_array_reserve(
            (void **)&whole->block_bytes, &capacity, whole->num_blocks + part->num_blocks,
            sizeof *whole->block_bytes)) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the memory plan");
    }
    for (size_t i = 0; i < part->num_blocks; i++) {
        whole->block_bytes[whole->num_blocks++] = part->block_bytes[i];
    }
    whole->total_bytes += part->total_bytes;
    whole->lower_bound += part->lower_bound;
    return NULL;
}

static int compare_births(const void *left, const void *right) {
    const clv_memory_piece *a = *(const clv_memory_piece *const *)left;
    const clv_memory_piece *b = *(const clv_memory_piece *const *)right;
    return a->first_step < b->first_step ? -1 : a->first_step > b->first_step;
}

static int compare_deaths(const void *left, const void *right) {
    const clv_memory_piece *a = *(const clv_memory_piece *const *)left;
    const clv_memory_piece *b = *(const clv_memory_piece *const *)right;
    return a->last_step < b->last_step ? -1 : a->last_step > b->last_step;
}

static bool overlap(const clv_memory_piece *a, const clv_memory_piece *b) {
    return a->block == b->block && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

/* Pieces that live at one time, by place. As no two of them overlap, a piece that comes to life can
 * only overlap those beside it. */
static clv_status *check_lives(
    clv_memory_piece **births, clv_memory_piece **deaths, size_t count, clv_memory_piece **live) {
    size_t num_live = 0, num_dead = 0;
    for (size_t i = 0; i < count; i++) {
        clv_memory_piece *piece = births[i];
        CLV_TRY(clv_cancel_check());
        for (; deaths[num_dead]->last_step < piece->first_step; num_dead++, num_live--) {
            clv_memory_piece **at = &live[count_before(live, num_live, deaths[num_dead]) - 1];
            memmove(at, at + 1, (size_t)(&live[num_live] - at - 1) * sizeof *at);
        }
        clv_memory_piece **at = &live[count_before(live, num_live, piece)];
        const clv_memory_piece *other = at != live && overlap(at[-1], piece)             ? at[-1]
                                        : at != &live[num_live] && overlap(at[0], piece) ? at[0]
                                                                                         : NULL;
        if (other != NULL) {
            return CLV_ERROR(
                INTERNAL, "memory plan: '%s' (steps %u to %u) and '%s' (steps %u to %u) overlap",
                other->name, other->first_step, other->last_step, piece->name, piece->first_step,
                piece->last_step);
        }
        memmove(at + 1, at, (size_t)(&live[num_live] - at) * sizeof *at);
        *at = piece;
        num_live++;
    }
    return NULL;
}

static clv_status *check_overlaps(const clv_memory_piece *pieces, size_t num_pieces) {
    clv_memory_piece **births = clv_alloc_zeroed(num_pieces + 1, sizeof *births);
    clv_memory_piece **deaths = clv_alloc_zeroed(num_pieces + 1, sizeof *deaths);
    clv_memory_piece **live = clv_alloc_zeroed(num_pieces + 1, sizeof *live);
    clv_status *status = NULL;
    if (births == NULL || deaths == NULL || live == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for checking the memory plan");
        goto done;
    }
    size_t count = 0;
    for (size_t i = 0; i < num_pieces; i++) {
        if (pieces[i].bytes != 0) {
            births[count] = deaths[count] = (clv_memory_piece *)&pieces[i]; /* are only read */
            count++;
        }
    }
    qsort(births, count, sizeof *births, compare_births);
    qsort(deaths, count, sizeof *deaths, compare_deaths);
    CLV_TRY_DONE(check_lives(births, deaths, count, live));
done:
    clv_free(births);
    clv_free(deaths);
    clv_free(live);
    return status;
}

static clv_status *check_places(
    const clv_memory_piece *pieces, size_t num_pieces, const clv_memory_plan *plan) {
    for (size_t i = 0; i < num_pieces; i++) {
        const clv_memory_piece *piece = &pieces[i];
        if (piece->first_step > piece->last_step) {
            return CLV_ERROR(INTERNAL, "memory plan: '%s' ends before it begins", piece->name);
        }
        if (piece->bytes == 0) {
            continue;
        }
        if (piece->block >= plan->num_blocks || piece->offset % CLV_MEMORY_ALIGN != 0 ||
            piece->offset > plan->block_bytes[piece->block] ||
            piece->bytes > plan->block_bytes[piece->block] - piece->offset) {
            return CLV_ERROR(
                INTERNAL, "memory plan: '%s' is outside its block or not aligned", piece->name);
        }
    }
    return NULL;
}

clv_status *clv_memory_plan_verify(
    const clv_memory_piece *pieces, size_t num_pieces, const clv_memory_plan *plan) {
    CLV_TRY(check_places(pieces, num_pieces, plan));
    return check_overlaps(pieces, num_pieces);
}
