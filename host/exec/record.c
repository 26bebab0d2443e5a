#include "host/exec/record.h"

#include "host/base/memory.h"
#include "host/exec/hazard.h"

#include <math.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a record")

typedef struct gatherer {
    const clv_replica *replicas;
    size_t num_replicas;
    clv_record *record;
    uint64_t origin_ns;
    size_t num_times, num_lanes;
} gatherer;

static double us_of(const gatherer *g, uint64_t ns) {
    return (double)(int64_t)(ns - g->origin_ns) * 1e-3;
}

/* --- steps --- */

static clv_record_step describe(
    const clv_replica *replica, uint32_t group, const clv_step *step, uint32_t num_lanes) {
    clv_record_step out = {
        .kind = CLV_SCHEDULE_SEND,
        .group = group,
        .unit = step->unit,
        .num_lanes = num_lanes,
        .task = CLV_NO_TASK,
        .name = step->name,
        .from_unit = CLV_NO_INDEX,
        .to_unit = CLV_NO_INDEX,
        .bytes = step->bytes,
    };
    if (step->kind == CLV_STEP_LAUNCH) {
        const clv_piece_node *node = &replica->pieces.memories[step->memory].nodes[step->index];
        out.kind = node->is_join ? CLV_SCHEDULE_JOIN : CLV_SCHEDULE_LAUNCH;
        out.task = node->origin;
    } else if (step->kind == CLV_STEP_INPUT || step->kind == CLV_STEP_FILL) {
        out.to_unit = step->unit;
    } else if (step->kind == CLV_STEP_OUTPUT) {
        out.from_unit = step->unit;
    } else {
        const clv_piece_move *move = &replica->pieces.moves[step->index];
        const clv_storage *storages = replica->joined.all.storages;
        const uint32_t between = replica->joined.num_memories; /* the host's memory */
        const bool to_host = storages[step->operands[0].storage].memory == between;
        const bool from_host = storages[step->operands[1].storage].memory == between;
        out.to_unit = to_host ? CLV_NO_INDEX : move->to_unit;
        out.from_unit = from_host ? CLV_NO_INDEX : move->from_unit;
    }
    return out;
}

static bool is_dynamic(const clv_replica *replica) {
    return replica->tasks.tasks != NULL;
}

static void add_wait(
    gatherer *g, uint32_t group, uint32_t before, const clv_step *step, uint32_t lag) {
    const clv_lowered *lowered = &g->replicas[group].joined.all;
    const bool is_data = lag == 0 && clv_steps_feed(lowered, &lowered->steps[before], step);
    g->record->waits[g->record->num_waits++] =
        (clv_record_wait){g->record->groups[group].first_step + before, lag, is_data};
}

/* Steps without a fixed order: any lane of a crew may have been at them. */
static void add_tasks(gatherer *g, uint32_t group) {
    clv_record *record = g->record;
    const clv_replica *replica = &g->replicas[group];
    const clv_step_tasks *tasks = &replica->tasks;
    const clv_crews *crews = tasks->crews;
    const uint32_t num_steps = (uint32_t)tasks->lowered->num_steps;
    clv_record_group *out = &record->groups[group];
    *out = (clv_record_group){.first_step = record->num_steps, .depth = replica->depth};
    for (uint32_t i = 0; i < num_steps; i++) {
        const clv_step *from = &tasks->lowered->steps[i];
        const uint32_t crew = crews->crew_of_unit[from->unit];
        clv_record_step *step = &record->steps[record->num_steps++];
        *step = describe(replica, group, from, clv_crew_size(crews, crew));
        step->is_beside = crews->lanes[crews->first_lane[crew]].has_queues &&
                          from->kind != CLV_STEP_LAUNCH && from->kind != CLV_STEP_FILL;
        step->first_time = out->num_times;
        step->first_lane = (uint32_t)g->num_lanes;
        for (uint32_t k = crews->first_lane[crew]; k < crews->first_lane[crew + 1]; k++) {
            record->lanes[g->num_lanes++] =
                (clv_record_lane){crews->lanes[k].unit, crews->lanes[k].device};
        }
        out->num_steps++;
        out->num_times += step->num_lanes;
        step->num_waits = tasks->tasks[i].num_waits;
        step->first_wait = (uint32_t)record->num_waits;
        record->num_waits += step->num_waits;
    }
    const size_t num_waits = record->num_waits;
    for (uint32_t i = 0; i < num_steps; i++) {
        record->steps[out->first_step + i].num_waits = 0;
    }
    for (uint32_t i = 0; i < num_steps; i++) {
        for (uint32_t k = 0; k < tasks->tasks[i].num_next; k++) {
            const uint32_t after = tasks->next[tasks->tasks[i].first_next + k];
            clv_record_step *step = &record->steps[out->first_step + after];
            record->num_waits = step->first_wait + step->num_waits++;
            add_wait(g, group, i, &tasks->lowered->steps[after], 0);
        }
    }
    record->num_waits = num_waits;
}

static void add_steps(gatherer *g, uint32_t group) {
    clv_record *record = g->record;
    const clv_replica *replica = &g->replicas[group];
    const clv_step_program *program = &replica->program;
    const clv_lowered *lowered = program->lowered;
    clv_record_group *out = &record->groups[group];
    *out = (clv_record_group){.first_step = record->num_steps, .depth = replica->depth};
    for (uint32_t i = 0; i < lowered->num_steps; i++) {
        const clv_actor *actor = &program->actors[program->actor_of_step[i]];
        const clv_item *item = &actor->items[program->item_of_step[i]];
        clv_record_step *step = &record->steps[record->num_steps++];
        *step = describe(replica, group, &lowered->steps[i], actor->num_lanes);
        step->is_beside = actor->role != CLV_ACTOR_ALL;
        step->first_time = out->num_times;
        step->first_lane = (uint32_t)g->num_lanes;
        for (uint32_t k = 0; k < actor->num_lanes; k++) {
            record->lanes[g->num_lanes++] = (clv_record_lane){actor->unit, k};
        }
        step->first_wait = (uint32_t)record->num_waits;
        step->num_waits = item->num_waits;
        out->num_steps++;
        out->num_times += actor->num_lanes;
        for (uint32_t k = 0; k < item->num_waits; k++) {
            const clv_item_wait *wait = &program->waits[item->first_wait + k];
            const uint32_t of = program->actors[wait->actor].items[wait->item].step;
            add_wait(g, group, of, &lowered->steps[i], wait->lag);
        }
    }
}

static clv_status *make_steps(gatherer *g) {
    size_t num_steps = 0, num_waits = 0, num_lanes = 0;
    for (size_t r = 0; r < g->num_replicas; r++) {
        const clv_replica *replica = &g->replicas[r];
        const clv_step_program *program = &replica->program;
        num_steps += replica->joined.all.num_steps;
        for (uint32_t i = 0; i < replica->joined.all.num_steps; i++) {
            uint32_t count;
            clv_executor_step_spans(replica->executor, i, &count);
            num_lanes += count;
            num_waits += is_dynamic(replica) ? replica->tasks.tasks[i].num_waits : 0;
        }
        g->record->is_dynamic = g->record->is_dynamic || is_dynamic(replica);
        for (uint32_t a = 0; a < program->num_actors; a++) {
            for (uint32_t i = 0; i < program->actors[a].num_items; i++) {
                num_waits += program->actors[a].items[i].num_waits;
            }
        }
    }
    clv_record *record = g->record;
    record->steps = clv_alloc_zeroed(num_steps + 1, sizeof *record->steps);
    record->waits = clv_alloc_zeroed(num_waits + 1, sizeof *record->waits);
    record->lanes = clv_alloc_zeroed(num_lanes + 1, sizeof *record->lanes);
    record->groups = clv_alloc_zeroed(g->num_replicas + 1, sizeof *record->groups);
    record->clocks = clv_alloc_zeroed((size_t)record->num_units + 1, sizeof *record->clocks);
    if (record->steps == NULL || record->waits == NULL || record->lanes == NULL ||
        record->groups == NULL || record->clocks == NULL) {
        return NO_MEMORY_HERE();
    }
    record->num_groups = (uint32_t)g->num_replicas;
    for (uint32_t i = 0; i < record->num_groups; i++) {
        if (is_dynamic(&g->replicas[i])) {
            add_tasks(g, i);
        } else {
            add_steps(g, i);
        }
    }
    return NULL;
}

/* --- times --- */

static clv_record_time time_of(
    gatherer *g, const clv_recorded_request *request, const clv_item_span *span,
    const clv_device_clock *clock) {
    if (span->end_ns == 0) {
        return (clv_record_time){(double)NAN, (double)NAN};
    }
    if (clock == NULL) {
        return (clv_record_time){us_of(g, span->begin_ns), us_of(g, span->end_ns)};
    }
    const double slack_us =
        (double)(clock->first.uncertainty_ns > clock->last.uncertainty_ns
                     ? clock->first.uncertainty_ns
                     : clock->last.uncertainty_ns) *
        1e-3;
    const double most_us = us_of(g, request->ended_ns);
    const double queued_us = us_of(g, clv_clock_to_host(clock, span->queued_ns));
    const double least_us = fmax(us_of(g, request->submitted_ns), fmin(queued_us, most_us));
    clv_record_time time = {
        us_of(g, clv_clock_to_host(clock, span->begin_ns)),
        us_of(g, clv_clock_to_host(clock, span->end_ns))};
    g->record->num_clamped += clv_record_clamp(&time, least_us, most_us, slack_us);
    if (span->through_ns != 0) { /* a link that is slower than what was done for it */
        time.start_us = fmin(us_of(g, span->link_ns), most_us);
        time.end_us = fmax(time.end_us, fmin(us_of(g, span->through_ns), most_us));
    }
    return time;
}

static void add_request(gatherer *g, uint32_t group, const clv_recorded_request *recorded) {
    clv_record *record = g->record;
    const clv_replica *replica = &g->replicas[group];
    clv_record_request *request = &record->requests[record->num_requests++];
    *request = (clv_record_request){
        .group = group,
        .number = recorded->number,
        .submitted_us = us_of(g, recorded->submitted_ns),
        .ended_us = us_of(g, recorded->ended_ns),
        .first_time = g->num_times,
    };
    record->groups[group].num_requests++;
    record->wall_us = fmax(record->wall_us, request->ended_us);
    for (uint32_t i = 0; i < replica->joined.all.num_steps; i++) {
        uint32_t count;
        const size_t at = clv_executor_step_spans(replica->executor, i, &count);
        const clv_device_clock *clock =
            is_dynamic(replica)
                ? NULL
                : clv_executor_clock(replica->executor, replica->program.actor_of_step[i]);
        for (uint32_t k = 0; k < count; k++) {
            record->times[g->num_times++] = time_of(g, recorded, &recorded->spans[at + k], clock);
        }
    }
}

/* When what is looked at begins: with the first request; or, where a replica's first ones were not
 * kept, when all of those have ended, which whoever was let in a depth later knows. */
static void find_origin(gatherer *g) {
    uint64_t begun, first, end, least_ns = UINT64_MAX, dropped_ns = 0;
    for (size_t r = 0; r < g->num_replicas; r++) {
        const clv_replica *replica = &g->replicas[r];
        clv_executor_recorded_range(replica->executor, &begun, &first, &end);
        const uint64_t later =
            first + replica->depth - 1 < end ? first + replica->depth - 1 : end - 1;
        for (uint64_t n = first; n < end; n++) {
            const clv_recorded_request *recorded = clv_executor_recorded(replica->executor, n);
            if (recorded != NULL && recorded->submitted_ns < least_ns) {
                least_ns = recorded->submitted_ns;
            }
            if (recorded != NULL && begun < first && n == later) {
                const uint64_t ns = recorded->submitted_ns;
                dropped_ns = ns > dropped_ns ? ns : dropped_ns;
            }
        }
        g->record->num_dropped += first - begun;
    }
    g->origin_ns = dropped_ns != 0 ? dropped_ns : least_ns;
}

static clv_status *add_requests(gatherer *g) {
    clv_record *record = g->record;
    uint64_t begun, first, end;
    size_t num_requests = 0, num_times = 0;
    for (size_t r = 0; r < g->num_replicas; r++) {
        clv_executor_recorded_range(g->replicas[r].executor, &begun, &first, &end);
        num_requests += (size_t)(end - first);
        num_times += (size_t)(end - first) * record->groups[r].num_times;
    }
    record->requests = clv_alloc_zeroed(num_requests + 1, sizeof *record->requests);
    record->times = clv_alloc_zeroed(num_times + 1, sizeof *record->times);
    if (record->requests == NULL || record->times == NULL) {
        return NO_MEMORY_HERE();
    }
    find_origin(g);
    for (uint32_t r = 0; r < record->num_groups; r++) {
        record->groups[r].first_request = record->num_requests;
        clv_executor_recorded_range(g->replicas[r].executor, &begun, &first, &end);
        for (uint64_t n = first; n < end; n++) {
            const clv_recorded_request *recorded =
                clv_executor_recorded(g->replicas[r].executor, n);
            if (recorded != NULL && recorded->ended_ns > g->origin_ns) {
                add_request(g, r, recorded);
            } else if (recorded != NULL) {
                record->num_dropped++;
            }
        }
    }
    return NULL;
}

static clv_status *read_clocks(gatherer *g) {
    for (size_t r = 0; r < g->num_replicas; r++) {
        const clv_replica *replica = &g->replicas[r];
        CLV_TRY(clv_executor_end_record(replica->executor));
        for (uint32_t a = 0; a < replica->program.num_actors; a++) {
            const clv_device_clock *clock = clv_executor_clock(replica->executor, a);
            clv_record_clock *out = &g->record->clocks[replica->program.actors[a].unit];
            if (clock != NULL) {
                const uint64_t one = clock->first.uncertainty_ns, two = clock->last.uncertainty_ns;
                out->is_known = true;
                out->uncertainty_us = (double)(one > two ? one : two) * 1e-3;
                out->drift_us = (double)clv_clock_drift_ns(clock) * 1e-3;
            }
        }
    }
    return NULL;
}

clv_status *clv_record_create(
    const clv_replica *replicas, size_t num_replicas, uint32_t num_units, clv_record **out_record) {
    *out_record = NULL;
    gatherer g = {
        .replicas = replicas,
        .num_replicas = num_replicas,
        .record = clv_alloc_zeroed(1, sizeof *g.record),
    };
    if (g.record == NULL) {
        return NO_MEMORY_HERE();
    }
    g.record->num_units = num_units;
    clv_status *status = make_steps(&g);
    if (status == NULL) {
        status = read_clocks(&g);
    }
    if (status == NULL) {
        status = add_requests(&g);
    }
    if (status != NULL) {
        clv_record_destroy(g.record);
        return status;
    }
    *out_record = g.record;
    return NULL;
}
