/* The proof that a program has no hazards, independent of how its waits were made: what each item
 * knows to be done is followed through everything that the actors do, for as many requests as
 * can touch each other's memory; then every pair that conflicts is looked up. */
#include "host/exec/program.h"

#include "host/base/memory.h"
#include "host/exec/hazard.h"
#include <string.h>

/* clock[actor]: items of it that are done, counted over requests; for each item, when it begins. */
typedef struct prover {
    const clv_step_program *program;
    uint64_t *clocks; /* [num_requests][num_steps][num_actors] */
    uint64_t *ends;   /* [num_actors][num_actors]: what an actor knew after its last item */
    uint32_t num_requests;
} prover;

static uint64_t *clock_of(const prover *v, uint32_t request, uint32_t step) {
    const clv_step_program *p = v->program;
    return &v->clocks[((size_t)request * p->lowered->num_steps + step) * p->num_actors];
}

static void learn(uint64_t *clock, const uint64_t *other, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        clock[i] = clock[i] > other[i] ? clock[i] : other[i];
    }
}

/* Everything in the order of one request after another; waits point backwards in it. */
static clv_status *follow(prover *v) {
    const clv_step_program *p = v->program;
    for (uint32_t r = 0; r < v->num_requests; r++) {
        for (uint32_t s = 0; s < p->lowered->num_steps; s++) {
            const uint32_t a = p->actor_of_step[s];
            const clv_item *item = &p->actors[a].items[p->item_of_step[s]];
            uint64_t *clock = clock_of(v, r, s), *end = &v->ends[(size_t)a * p->num_actors];
            for (uint32_t i = 0; i < item->num_waits; i++) {
                const clv_item_wait *wait = &p->waits[item->first_wait + i];
                if (wait->lag > r) {
                    continue;
                }
                const clv_actor *other = &p->actors[wait->actor];
                const uint32_t step = other->items[wait->item].step;
                if (wait->lag == 0 && step >= s) {
                    return CLV_ERROR(
                        INTERNAL, "'%s' waits for '%s', which comes after it",
                        p->lowered->steps[s].name, p->lowered->steps[step].name);
                }
                learn(end, clock_of(v, r - wait->lag, step), p->num_actors);
                const uint64_t done = (uint64_t)(r - wait->lag) * other->num_items + wait->item + 1;
                end[wait->actor] = end[wait->actor] > done ? end[wait->actor] : done;
            }
            memcpy(clock, end, p->num_actors * sizeof *clock);
            if (p->actors[a].num_lanes ==
                1) { /* lanes of one actor are not in step by themselves */
                end[a] = (uint64_t)r * p->actors[a].num_items + p->item_of_step[s] + 1;
            }
        }
    }
    return NULL;
}

static clv_status *check_pair(
    const prover *v, uint32_t earlier, uint32_t earlier_request, uint32_t later,
    uint32_t later_request) {
    const clv_step_program *p = v->program;
    const uint32_t a = p->actor_of_step[earlier];
    const clv_item *first = &p->actors[a].items[p->item_of_step[earlier]];
    const clv_item *second = &p->actors[p->actor_of_step[later]].items[p->item_of_step[later]];
    if (a == p->actor_of_step[later] &&
        (p->actors[a].num_lanes == 1 || (first->is_first_only && second->is_first_only))) {
        return NULL; /* one lane does both, in this order */
    }
    const uint64_t done =
        (uint64_t)earlier_request * p->actors[a].num_items + p->item_of_step[earlier] + 1;
    if (clock_of(v, later_request, later)[a] >= done) {
        return NULL;
    }
    return CLV_ERROR(
        INTERNAL, "nothing orders '%s' and '%s' of %s request, which touch the same memory",
        p->lowered->steps[earlier].name, p->lowered->steps[later].name,
        earlier_request == later_request ? "the same" : "a later");
}

static clv_status *check_all(const prover *v) {
    const clv_step_program *p = v->program;
    const clv_lowered *lowered = p->lowered;
    const uint32_t last = v->num_requests - 1;
    for (uint32_t i = 0; i < lowered->num_steps; i++) {
        for (uint32_t k = 0; k < lowered->num_steps; k++) {
            const bool may_be_apart = p->actor_of_step[i] != p->actor_of_step[k] ||
                                      p->actors[p->actor_of_step[i]].num_lanes > 1;
            if (!may_be_apart ||
                !clv_steps_conflict(lowered, &lowered->steps[i], &lowered->steps[k])) {
                continue;
            }
            if (i < k) {
                CLV_TRY(check_pair(v, i, last, k, last));
            }
            const uint32_t lag = clv_steps_lag(lowered, &lowered->steps[i], &lowered->steps[k]);
            if (lag < p->depth) { /* else that request has ended before this one begins */
                CLV_TRY(check_pair(v, i, last - lag, k, last));
            }
        }
    }
    return NULL;
}

clv_status *clv_step_program_verify(const clv_step_program *program) {
    const size_t num_steps = program->lowered->num_steps, num_actors = program->num_actors;
    prover v = {.program = program, .num_requests = program->depth + 1};
    v.clocks =
        clv_alloc_zeroed((size_t)v.num_requests * num_steps * num_actors + 1, sizeof *v.clocks);
    v.ends = clv_alloc_zeroed(num_actors * num_actors + 1, sizeof *v.ends);
    clv_status *status =
        v.clocks != NULL && v.ends != NULL
            ? follow(&v)
            : CLV_ERROR(NO_MEMORY, "out of host memory for checking the order of steps");
    if (status == NULL) {
        status = check_all(&v);
    }
    clv_free(v.clocks);
    clv_free(v.ends);
    return status;
}
