#include "host/exec/tasks.h"

#include "host/base/memory.h"
#include "host/exec/prepare.h"
#include "host/exec/program.h"
#include "host/exec/step_order.h"
#include <stdlib.h>

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for the tasks of a request");
}

/* --- dependences ----------------------------------------------------------------------------- */

static clv_status *add_dependences(clv_step_tasks *t, const clv_step_order *order) {
    const size_t num_steps = order->num_steps;
    uint32_t count = 0;
    t->next = clv_alloc_zeroed(order->first[num_steps] + 1, sizeof *t->next);
    if (t->next == NULL) {
        return no_memory();
    }
    for (size_t s = 0; s < num_steps; s++) {
        t->tasks[s].num_waits = order->first[s + 1] - order->first[s];
        for (uint32_t i = order->first[s]; i < order->first[s + 1]; i++) {
            t->tasks[order->before[i]].num_next++;
        }
    }
    for (size_t s = 0; s < num_steps; s++) {
        t->tasks[s].first_next = count;
        count += t->tasks[s].num_next;
        t->tasks[s].num_next = 0;
    }
    for (uint32_t s = 0; s < num_steps; s++) {
        for (uint32_t i = order->first[s]; i < order->first[s + 1]; i++) {
            clv_step_task *before = &t->tasks[order->before[i]];
            t->next[before->first_next + before->num_next++] = s;
        }
    }
    return NULL;
}

/* --- priorities ------------------------------------------------------------------------------ */

typedef struct ranked {
    double rank_us;
    uint32_t step;
} ranked;

static int longest_first(const void *left, const void *right) {
    const ranked *a = left, *b = right;
    if (a->rank_us != b->rank_us) {
        return a->rank_us > b->rank_us ? -1 : 1;
    }
    return a->step < b->step ? -1 : a->step > b->step;
}

/* Upward ranks (Topcuoglu, Hariri and Wu, 2002), as schedules on the virtual clock have them. */
static clv_status *add_priorities(clv_step_tasks *t, const double *step_us) {
    const size_t num_steps = t->lowered->num_steps;
    ranked *ranks = clv_alloc_zeroed(num_steps + 1, sizeof *ranks);
    if (ranks == NULL) {
        return no_memory();
    }
    for (size_t s = num_steps; s-- > 0;) {
        const clv_step_task *task = &t->tasks[s];
        double longest_us = 0;
        for (uint32_t i = 0; i < task->num_next; i++) {
            const double us = ranks[t->next[task->first_next + i]].rank_us;
            longest_us = us > longest_us ? us : longest_us;
        }
        ranks[s] = (ranked){.rank_us = longest_us + step_us[s], .step = (uint32_t)s};
    }
    qsort(ranks, num_steps, sizeof *ranks, longest_first);
    for (uint32_t i = 0; i < num_steps; i++) {
        t->tasks[ranks[i].step].priority = i;
    }
    clv_free(ranks);
    return NULL;
}

/* --- pools and chunks ------------------------------------------------------------------------ */

/* Things of a step that may be dealt out one by one. */
static uint64_t num_things(const clv_step *step) {
    return step->kind == CLV_STEP_LAUNCH
               ? step->num_items
               : (step->bytes + CLV_COPY_ITEM_BYTES - 1) / CLV_COPY_ITEM_BYTES;
}

static uint32_t lanes_of_unit(const clv_crews *crews, uint32_t unit) {
    const uint32_t crew = crews->crew_of_unit[unit];
    uint32_t count = 0;
    for (uint32_t i = crews->first_lane[crew]; i < crews->first_lane[crew + 1]; i++) {
        count += crews->lanes[i].unit == unit ? 1 : 0;
    }
    return count;
}

static uint32_t chunks_of(const clv_step *step, uint32_t num_lanes, double us, double chunk_us) {
    const uint64_t things = num_things(step), most = (uint64_t)num_lanes * CLV_CHUNKS_OF_LANE;
    if (num_lanes == 1 || step->has_link || us < 2 * chunk_us) {
        return 1;
    }
    const double wanted = us / chunk_us;
    const uint64_t count = wanted < (double)most ? (uint64_t)wanted : most;
    return (uint32_t)(count < things ? count : things);
}

static void add_pools(clv_step_tasks *t, const clv_step_tasks_request *request) {
    const clv_crews *crews = request->crews;
    const double chunk_us = request->chunk_us > 0 ? request->chunk_us : CLV_CHUNK_US;
    for (size_t s = 0; s < t->lowered->num_steps; s++) {
        const clv_step *step = &t->lowered->steps[s];
        clv_step_task *task = &t->tasks[s];
        const uint32_t crew = crews->crew_of_unit[step->unit];
        const bool is_bound = request->is_bound != NULL && request->is_bound[s];
        const uint32_t num_lanes = crews->lanes[crews->first_lane[crew]].has_queues ? 1
                                   : is_bound ? lanes_of_unit(crews, step->unit)
                                              : clv_crew_size(crews, crew);
        task->pool = is_bound ? crews->num_crews + step->unit : crew;
        task->num_chunks = chunks_of(step, num_lanes, request->step_us[s], chunk_us);
        task->is_op = request->is_op == NULL || request->is_op[s];
        t->pool_size[task->pool]++;
    }
}

void clv_step_task_items(
    const clv_step_tasks *tasks, uint32_t index, const uint32_t chunks[2], uint64_t out_items[2]) {
    const clv_step *step = &tasks->lowered->steps[index];
    const uint32_t count = tasks->tasks[index].num_chunks;
    const bool is_launch = step->kind == CLV_STEP_LAUNCH;
    const uint64_t things = num_things(step), all = is_launch ? step->num_items : step->bytes;
    for (uint32_t k = 0; k < 2; k++) {
        const uint64_t at =
            clv_share(things, chunks[k], count) * (is_launch ? 1 : CLV_COPY_ITEM_BYTES);
        out_items[k] = (at < all ? at : all) + (is_launch ? step->first_item : 0);
    }
}

/* --- all of it ------------------------------------------------------------------------------- */

clv_status *clv_step_tasks_create(
    const clv_step_tasks_request *request, clv_step_tasks *out_tasks) {
    const clv_lowered *lowered = request->lowered;
    const clv_crews *crews = request->crews;
    clv_step_order order = {.num_steps = 0};
    clv_status *status = NULL;
    *out_tasks = (clv_step_tasks){
        .lowered = lowered,
        .crews = crews,
        .tasks = clv_alloc_zeroed(lowered->num_steps + 1, sizeof(clv_step_task)),
        .num_pools = crews->num_crews + crews->num_units,
        .depth = request->depth > 1 ? request->depth : 1,
    };
    out_tasks->pool_size = clv_alloc_zeroed((size_t)out_tasks->num_pools + 1, sizeof(uint32_t));
    if (out_tasks->tasks == NULL || out_tasks->pool_size == NULL) {
        status = no_memory();
        goto done;
    }
    CLV_TRY_DONE(clv_step_order_create(
        lowered, request->is_serial ? CLV_TURNS_ALL : CLV_TURNS_NONE, &order));
    CLV_TRY_DONE(add_dependences(out_tasks, &order));
    add_pools(out_tasks, request);
    CLV_TRY_DONE(add_priorities(out_tasks, request->step_us));
done:
    clv_step_order_deinit(&order);
    if (status != NULL) {
        clv_step_tasks_deinit(out_tasks);
    }
    return status;
}

void clv_step_tasks_deinit(clv_step_tasks *tasks) {
    clv_free(tasks->tasks);
    clv_free(tasks->next);
    clv_free(tasks->pool_size);
    *tasks = (clv_step_tasks){.lowered = NULL};
}
