#include "host/workload/measured.h"

#include <math.h>
#include <string.h>

static bool is_given(const clv_task *task) {
    for (uint32_t i = 0; i < task->num_times; i++) {
        if (task->times[i].origin != CLV_ORIGIN_MEASURED) {
            return true;
        }
    }
    return false;
}

clv_status *clv_workload_add_measured(
    clv_workload *workload, const char *where, const double *time_us, const double *draws) {
    clv_arena *arena = &workload->arena;
    const char *name = clv_arena_strdup(arena, where);
    if (name == NULL) {
        return CLV_NO_ARENA("measured times");
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        clv_task *task = &workload->tasks[i];
        if (isnan(time_us[i]) || is_given(task)) {
            continue;
        }
        clv_task_time *times = clv_arena_alloc(arena, (size_t)task->num_times + 1, sizeof *times);
        if (times == NULL) {
            return CLV_NO_ARENA("measured times");
        }
        if (task->num_times != 0) {
            memcpy(times, task->times, task->num_times * sizeof *times);
        }
        times[task->num_times] = (clv_task_time){
            .where = name,
            .time_us = time_us[i],
            .origin = CLV_ORIGIN_MEASURED,
            .draws = draws != NULL && draws[i] > 0 ? draws[i] : 0,
        };
        task->times = times;
        task->num_times++;
    }
    return NULL;
}

/* Puts a piece where its share says. `pieces` has room for one more. */
static uint32_t insert(clv_task_piece *pieces, uint32_t count, clv_task_piece piece) {
    const double same = 1e-9;
    uint32_t at = 0;
    while (at < count && pieces[at].share < piece.share - same) {
        at++;
    }
    if (at < count && pieces[at].share <= piece.share + same) {
        pieces[at].part = fmax(pieces[at].part, piece.part);
    } else {
        memmove(&pieces[at + 1], &pieces[at], (count - at) * sizeof *pieces);
        pieces[at] = piece;
        count++;
    }
    for (uint32_t i = 1; i < count; i++) { /* a larger one takes no less: that is noise */
        pieces[i].part = fmax(pieces[i].part, pieces[i - 1].part);
    }
    return count;
}

static clv_status *add_piece(clv_arena *arena, clv_task_split *split, clv_task_piece piece) {
    const uint32_t count = split->num_measured;
    clv_task_piece *pieces = clv_arena_alloc(arena, (size_t)count + 1, sizeof *pieces);
    if (pieces == NULL) {
        return CLV_NO_ARENA("measured pieces");
    }
    if (count != 0) {
        memcpy(pieces, split->measured, count * sizeof *pieces);
    }
    split->num_measured = insert(pieces, count, piece);
    split->measured = pieces;
    return NULL;
}

clv_status *clv_workload_add_pieces(
    clv_workload *workload, uint32_t split, const clv_task_piece *pieces) {
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        clv_task *task = &workload->tasks[i];
        const clv_task_piece piece = pieces[i];
        const uint32_t index = split != UINT32_MAX ? split : (uint32_t)clv_task_shares(task);
        if (index >= task->num_splits || !(piece.share > 0 && piece.share < 1) ||
            !(piece.part > 0) || isinf(piece.part)) {
            continue;
        }
        clv_task_split *splits =
            clv_arena_copy(&workload->arena, task->splits, task->num_splits * sizeof *splits);
        if (splits == NULL) {
            return CLV_NO_ARENA("measured pieces");
        }
        task->splits = splits;
        CLV_TRY(add_piece(&workload->arena, &splits[index], piece));
    }
    return NULL;
}
