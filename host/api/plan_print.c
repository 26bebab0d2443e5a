/* Plans and schedules as text: the last two stages of `cleave inspect --stage`. */
#include "host/api/plan.h"

#include "partition/evaluate.h"
#include "scheduler/schedule.h"

enum { NAME_BYTES = 512, MOST_WAITS = 16 };

static void print_place(
    const cleave_plan *p, const clv_group *group, uint32_t task, clv_text *text) {
    const clv_placement *place = &group->placements[task];
    const clv_piece *pieces = &group->pieces[place->first_piece];
    clv_text_add(text, "  %u ", place->stage);
    clv_text_add_name(text, p->workload->tasks[task].name);
    clv_text_add(text, ": ");
    if (place->split < 0) {
        clv_text_add(text, "%s", p->machine->units[pieces[0].unit].name);
    } else {
        clv_text_add(text, "%s:", p->workload->tasks[task].splits[place->split].name);
    }
    for (uint32_t k = 0; place->split >= 0 && k < place->num_pieces; k++) {
        clv_text_add(
            text, "%s %s [%lld, %lld)", k > 0 ? "," : "", p->machine->units[pieces[k].unit].name,
            (long long)pieces[k].begin, (long long)pieces[k].end);
    }
    double cost_us = clv_piece_time_us(p->costs, task, place, &pieces[0]);
    clv_text_add(text, ", %.6g us", cost_us);
    const char *reason = place->reason;
    clv_text_add(text, reason != NULL && reason[0] != '\0' ? ": %s\n" : "\n", reason);
}

void clv_plan_print(const cleave_plan *p, clv_text *text) {
    const clv_plan *plan = p->plan;
    clv_text_add(
        text, "plan %s for %s of '", plan->policy,
        plan->objective == CLV_LATENCY ? "latency" : "throughput");
    clv_text_add_name(text, p->workload->name);
    clv_text_add(text, "' on '");
    clv_text_add_name(text, p->machine->name);
    clv_text_add(
        text, "', depth %u: %.6g us a request, latency %.6g us\n", plan->depth, plan->period_us,
        plan->latency_us);
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        const clv_group *group = &plan->groups[g];
        clv_text_add(
            text, "replica %u: %.4g of the requests, depth %u, %u stage%s%s\n", g, group->share,
            group->depth, group->num_stages, group->num_stages == 1 ? "" : "s",
            group->is_serial ? ", one thing at a time" : "");
        for (uint32_t i = 0; i < p->workload->num_tasks; i++) {
            print_place(p, group, group->order != NULL ? group->order[i] : i, text);
        }
    }
}

/* What it waits for elsewhere; what its own unit or link does before it is in the order. */
static void print_waits(const clv_schedule *s, uint32_t step, clv_text *text) {
    const clv_schedule_step *of = &s->steps[step];
    const clv_machine *machine = s->costs->machine;
    uint32_t count = 0;
    for (uint32_t k = 0; k < of->num_waits; k++) {
        char name[NAME_BYTES];
        uint32_t before = s->waits[of->first_wait + k];
        uint32_t where = s->steps[before].resources[0];
        if (where != of->resources[0] && count++ < MOST_WAITS) {
            clv_schedule_name_step(s, before, name, sizeof name);
            clv_text_add(text, "%s", count == 1 ? ", after " : ", ");
            clv_text_add_name(text, name);
            if (where < machine->num_units) {
                clv_text_add(text, " on %s", machine->units[where].name);
            }
        }
    }
    if (count > MOST_WAITS) {
        clv_text_add(text, " and %u more", count - MOST_WAITS);
    }
}

static void print_step(const clv_schedule *s, uint32_t step, clv_text *text) {
    char name[NAME_BYTES];
    const clv_run *run = s->predicted;
    clv_schedule_name_step(s, step, name, sizeof name);
    clv_text_add(text, "  %.6g - %.6g us ", run->start_us[step], run->end_us[step]);
    clv_text_add_name(text, name);
    if (run->slot[step] != CLV_NO_INDEX) {
        clv_text_add(text, ", buffer %u", run->slot[step]);
    }
    print_waits(s, step, text);
    clv_text_add(text, "\n");
}

clv_status *clv_plan_print_schedule(const cleave_plan *p, clv_text *text) {
    clv_schedule *s;
    clv_schedule_request request = {.num_requests = p->plan->depth};
    CLV_TRY(clv_schedule_create(p->costs, p->plan, &request, &s));
    clv_text_add(
        text, "schedule of %u request%s, %llu steps, %.6g us\n", s->num_requests,
        s->num_requests == 1 ? "" : "s", (unsigned long long)s->num_steps,
        s->predicted->makespan_us);
    for (uint32_t r = 0; r < s->num_resources; r++) {
        uint64_t begin = s->order_offsets[r], end = s->order_offsets[r + 1];
        const clv_machine *machine = p->machine;
        if (begin == end) {
            continue;
        }
        if (r < machine->num_units) {
            clv_text_add(text, "%s\n", machine->units[r].name);
        } else {
            const clv_link *link = &machine->links[(r - machine->num_units) / 2];
            uint32_t direction = (r - machine->num_units) % 2;
            clv_text_add(
                text, "%s, %s to %s\n", link->name, machine->memories[link->ends[direction]].name,
                machine->memories[link->ends[1 - direction]].name);
        }
        for (uint64_t i = begin; i < end; i++) {
            print_step(s, s->order[i], text);
        }
    }
    clv_schedule_destroy(s);
    return NULL;
}
