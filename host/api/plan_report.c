/* What `cleave plan` reports. */
#include "host/api/plan.h"

#include "host/base/memory.h"
#include "partition/evaluate.h"

#include <math.h>
#include <string.h>

/* Where a task could run beside where it does: more than these sorts of units say nothing new. */
enum { MOST_ELSEWHERE = 6, MOST_DEPTHS = 12 };
/* Beyond so many operators in all replicas, those that are placed alike are written once. */
enum { MANY_OPS = 4096 };

static double per_second(double period_us) {
    return 1e6 / period_us; /* INFINITY: what takes no time */
}

double clv_unit_time_us(const clv_costs *costs, uint32_t task, uint32_t unit) {
    return clv_costs_time_us(costs, task, unit) + costs->machine->units[unit].launch_us;
}

double clv_placement_time_us(const clv_costs *costs, const clv_group *group, uint32_t task) {
    const clv_placement *p = &group->placements[task];
    double time_us = 0;
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        time_us =
            fmax(time_us, clv_piece_time_us(costs, task, p, &group->pieces[p->first_piece + k]));
    }
    return time_us;
}

void clv_write_place(
    clv_json_writer *writer, const clv_costs *costs, const clv_group *group, uint32_t task) {
    const clv_placement *p = &group->placements[task];
    const clv_piece *pieces = &group->pieces[p->first_piece];
    const clv_unit *units = costs->machine->units;
    if (p->split < 0) {
        clv_json_add_string(writer, "unit", units[pieces[0].unit].name);
        return;
    }
    clv_json_add_string(writer, "split", costs->workload->tasks[task].splits[p->split].name);
    clv_json_open_array(writer, "units");
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        clv_json_add_string(writer, NULL, units[pieces[k].unit].name);
    }
    clv_json_close(writer);
    clv_json_open_array(writer, "ends");
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        clv_json_add_number(writer, NULL, (double)pieces[k].end);
    }
    clv_json_close(writer);
}

/* The first unit of a class that the task is not on; CLV_NO_INDEX: there is none, or it cannot run
 * the task. */
static uint32_t find_other(
    const clv_costs *costs, const clv_group *group, uint32_t task, uint32_t class) {
    const clv_placement *p = &group->placements[task];
    uint32_t unit = costs->unit_of_class[class];
    if (p->split < 0 && group->pieces[p->first_piece].unit == unit) {
        unit = costs->next_of_class[class];
    }
    return unit != CLV_NO_INDEX && isfinite(clv_costs_time_us(costs, task, unit)) ? unit
                                                                                  : CLV_NO_INDEX;
}

void clv_write_elsewhere(
    clv_json_writer *writer, const clv_costs *costs, const clv_group *group, uint32_t task,
    uint32_t most) {
    uint32_t count, last = 0;
    const uint32_t *classes = clv_costs_classes(costs, task, &count);
    double last_us = -1;
    clv_json_open_object(writer, "elsewhere");
    for (uint32_t n = 0; n < most; n++) {
        uint32_t best = CLV_NO_INDEX, best_unit = 0;
        double best_us = (double)INFINITY;
        for (uint32_t k = 0; k < count; k++) {
            uint32_t unit = find_other(costs, group, task, classes[k]);
            double us = unit != CLV_NO_INDEX ? clv_unit_time_us(costs, task, unit) : INFINITY;
            bool is_next = us > last_us || (us == last_us && k > last);
            if (is_next && us < best_us) {
                best = k;
                best_us = us;
                best_unit = unit;
            }
        }
        if (best == CLV_NO_INDEX) {
            break;
        }
        clv_json_add_number(writer, costs->machine->units[best_unit].name, best_us);
        last_us = best_us;
        last = best;
    }
    clv_json_close(writer);
}

void clv_write_memory(
    clv_json_writer *writer, const clv_machine *machine, const uint64_t *memory_bytes) {
    clv_json_open_object(writer, "memory_bytes");
    for (uint32_t i = 0; i < machine->num_units; i++) {
        if (memory_bytes[i] > 0 || machine->num_units <= 64) {
            clv_json_add_number(writer, machine->units[i].name, (double)memory_bytes[i]);
        }
    }
    clv_json_close(writer);
}

/* --- stages --- */

typedef struct stage_row {
    uint32_t num_tasks, first_task, last_task;
    double in_bytes, out_bytes; /* tensors that come from other stages, and go to some */
    double weight_bytes;
} stage_row;

/* Units of one stage in order, and how long the busiest computes; [num_units] scratch. */
typedef struct stage_units {
    double *busy_us;
    uint32_t *units, num_units;
} stage_units;

static void add_tensor(
    const clv_group *group, const clv_task_tensor *tensor, stage_row *rows, uint32_t *seen) {
    bool has_producer = tensor->producer != CLV_NO_TASK;
    uint32_t from = has_producer ? group->placements[tensor->producer].stage : 0;
    bool leaves = tensor->is_output;
    uint32_t id = seen[group->num_stages]++; /* the number of this tensor, from 1 */
    for (uint32_t i = 0; i < tensor->num_consumers; i++) {
        uint32_t to = group->placements[tensor->consumers[i]].stage;
        if ((!has_producer || to != from) && seen[to] != id) {
            rows[to].in_bytes += (double)tensor->bytes;
            seen[to] = id;
            leaves = true;
        }
    }
    if (has_producer && leaves) {
        rows[from].out_bytes += (double)tensor->bytes;
    }
}

static void fill_stages(
    const clv_workload *workload, const clv_group *group, stage_row *rows, uint32_t *seen) {
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        stage_row *row = &rows[group->placements[i].stage];
        row->first_task = row->num_tasks == 0 ? i : row->first_task;
        row->last_task = i;
        row->num_tasks++;
        row->weight_bytes += (double)workload->tasks[i].weight_bytes;
    }
    seen[group->num_stages] = 1;
    for (uint32_t i = 0; i < workload->num_tensors; i++) {
        add_tensor(group, &workload->tensors[i], rows, seen);
    }
}

static void find_units(
    const clv_costs *costs, const clv_group *group, const uint32_t *tasks, uint32_t num_tasks,
    stage_units *found) {
    for (uint32_t i = 0; i < found->num_units; i++) {
        found->busy_us[found->units[i]] = -1;
    }
    found->num_units = 0;
    for (uint32_t i = 0; i < num_tasks; i++) {
        const clv_placement *p = &group->placements[tasks[i]];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            const clv_piece *piece = &group->pieces[p->first_piece + k];
            if (found->busy_us[piece->unit] < 0) {
                found->busy_us[piece->unit] = 0;
                found->units[found->num_units++] = piece->unit;
            }
            found->busy_us[piece->unit] += clv_group_piece_us(costs, group, tasks[i], piece);
        }
    }
}

static void write_stage(
    clv_json_writer *w, const clv_costs *costs, uint32_t replica, uint32_t stage,
    const stage_row *row, const stage_units *units) {
    double compute_us = 0;
    clv_json_open_object(w, NULL);
    clv_json_add_number(w, "replica", replica);
    clv_json_add_number(w, "stage", stage);
    clv_json_open_array(w, "units");
    for (uint32_t i = 0; i < units->num_units; i++) {
        clv_json_add_string(w, NULL, costs->machine->units[units->units[i]].name);
        compute_us = fmax(compute_us, units->busy_us[units->units[i]]);
    }
    clv_json_close(w);
    clv_json_add_number(w, "ops", row->num_tasks);
    clv_json_add_string(w, "first", costs->workload->tasks[row->first_task].name);
    clv_json_add_string(w, "last", costs->workload->tasks[row->last_task].name);
    clv_json_add_number(w, "compute_us", compute_us);
    clv_json_add_number(w, "bytes_in", row->in_bytes);
    clv_json_add_number(w, "bytes_out", row->out_bytes);
    clv_json_add_number(w, "weight_bytes", row->weight_bytes);
    clv_json_close(w);
}

/* Tasks by stage, in order: `out_tasks` [num_tasks], stage s from out_first[s] on. */
static void sort_by_stage(
    const clv_group *group, uint32_t num_tasks, uint32_t *out_first, uint32_t *out_tasks) {
    memset(out_first, 0, ((size_t)group->num_stages + 2) * sizeof *out_first);
    for (uint32_t i = 0; i < num_tasks; i++) {
        out_first[group->placements[i].stage + 2]++;
    }
    for (uint32_t s = 2; s < group->num_stages + 2; s++) {
        out_first[s] += out_first[s - 1];
    }
    for (uint32_t i = 0; i < num_tasks; i++) {
        out_tasks[out_first[group->placements[i].stage + 1]++] = i;
    }
}

static clv_status *write_group_stages(clv_json_writer *w, const cleave_plan *plan, uint32_t g) {
    const clv_costs *costs = plan->costs;
    const clv_group *group = &plan->plan->groups[g];
    uint32_t num_tasks = costs->workload->num_tasks, num_units = costs->machine->num_units;
    clv_arena arena;
    clv_arena_init(&arena, 0);
    stage_row *rows = clv_arena_alloc(&arena, group->num_stages, sizeof *rows);
    uint32_t *seen = clv_arena_alloc(&arena, (size_t)group->num_stages + 1, sizeof *seen);
    uint32_t *first = clv_arena_alloc(&arena, (size_t)group->num_stages + 2, sizeof *first);
    uint32_t *tasks = clv_arena_alloc(&arena, (size_t)num_tasks + 1, sizeof *tasks);
    stage_units found = {
        .busy_us = clv_arena_alloc(&arena, num_units, sizeof(double)),
        .units = clv_arena_alloc(&arena, num_units, sizeof(uint32_t))};
    bool fits = rows != NULL && seen != NULL && first != NULL && tasks != NULL &&
                found.busy_us != NULL && found.units != NULL;
    for (uint32_t i = 0; fits && i < num_units; i++) {
        found.busy_us[i] = -1;
    }
    if (fits) {
        fill_stages(costs->workload, group, rows, seen);
        sort_by_stage(group, num_tasks, first, tasks);
    }
    for (uint32_t s = 0; fits && s < group->num_stages; s++) {
        if (rows[s].num_tasks > 0) {
            find_units(costs, group, tasks + first[s], first[s + 1] - first[s], &found);
            write_stage(w, costs, g, s, &rows[s], &found);
        }
    }
    clv_arena_deinit(&arena);
    return fits ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for a report");
}

/* --- operators --- */

/* Replicas that have every operator where an earlier one has it, on other units. */
typedef struct likeness {
    uint32_t *model;      /* [num_groups]: the first that is placed so; itself */
    uint32_t *there, *of; /* [num_units]: 1 + the unit that stands for one of the model's; back */
} likeness;

static bool is_placed_as(
    const likeness *l, const clv_group *a, const clv_group *b, uint32_t num_tasks) {
    bool is_alike = a->num_pieces == b->num_pieces && (a->order == NULL) == (b->order == NULL);
    for (uint32_t i = 0; is_alike && i < num_tasks; i++) {
        const clv_placement *p = &a->placements[i], *q = &b->placements[i];
        is_alike = p->split == q->split && p->stage == q->stage && p->num_pieces == q->num_pieces &&
                   (a->order == NULL || a->order[i] == b->order[i]);
        for (uint32_t k = 0; is_alike && k < p->num_pieces; k++) {
            const clv_piece *x = &a->pieces[p->first_piece + k];
            const clv_piece *y = &b->pieces[q->first_piece + k];
            uint32_t *there = &l->there[x->unit], *of = &l->of[y->unit];
            bool is_new = *there == 0 && *of == 0;
            is_alike = x->begin == y->begin && x->end == y->end &&
                       (is_new || (*there == y->unit + 1 && *of == x->unit + 1));
            *there = is_alike ? y->unit + 1 : *there;
            *of = is_alike ? x->unit + 1 : *of;
        }
    }
    for (uint32_t i = 0; i < a->num_pieces; i++) {
        l->there[a->pieces[i].unit] = 0;
    }
    for (uint32_t i = 0; i < b->num_pieces; i++) {
        l->of[b->pieces[i].unit] = 0;
    }
    return is_alike;
}

static void find_models(const cleave_plan *plan, likeness *l) {
    enum { MOST_MODELS = 8 }; /* that each is compared with */
    const clv_plan *p = plan->plan;
    uint32_t models[MOST_MODELS], count = 0;
    bool has_many = (uint64_t)p->num_groups * plan->workload->num_tasks > MANY_OPS;
    for (uint32_t g = 0; g < p->num_groups; g++) {
        l->model[g] = g;
        for (uint32_t k = 0; has_many && k < count && l->model[g] == g; k++) {
            const clv_group *model = &p->groups[models[k]];
            if (is_placed_as(l, model, &p->groups[g], plan->workload->num_tasks)) {
                l->model[g] = models[k];
            }
        }
        if (l->model[g] == g && count < MOST_MODELS) {
            models[count++] = g;
        }
    }
}

/* What the operator costs in every replica that is placed as `g`, where that differs. */
static void write_replica_costs(
    clv_json_writer *w, const cleave_plan *plan, const likeness *l, uint32_t g, uint32_t task) {
    const clv_costs *costs = plan->costs;
    double own_us = clv_placement_time_us(costs, &plan->plan->groups[g], task);
    bool differ = false;
    for (uint32_t r = g; r < plan->plan->num_groups && !differ; r++) {
        differ = l->model[r] == g &&
                 clv_placement_time_us(costs, &plan->plan->groups[r], task) != own_us;
    }
    if (!differ) {
        return;
    }
    clv_json_open_array(w, "costs_us");
    for (uint32_t r = g; r < plan->plan->num_groups; r++) {
        if (l->model[r] == g) {
            clv_json_add_number(
                w, NULL, clv_placement_time_us(costs, &plan->plan->groups[r], task));
        }
    }
    clv_json_close(w);
}

static void write_op(
    clv_json_writer *w, const cleave_plan *plan, const likeness *l, uint32_t g, uint32_t task) {
    const clv_costs *costs = plan->costs;
    const clv_task *t = &costs->workload->tasks[task];
    const clv_group *group = &plan->plan->groups[g];
    const clv_placement *p = &group->placements[task];
    uint32_t unit = group->pieces[p->first_piece].unit;
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "node", t->name);
    clv_json_add_string(w, "op", t->type);
    if (t->num_aliases > 0) {
        clv_json_open_array(w, "aliases");
        for (uint32_t i = 0; i < t->num_aliases; i++) {
            clv_json_add_string(w, NULL, t->aliases[i]);
        }
        clv_json_close(w);
    }
    clv_json_add_number(w, "replica", g);
    clv_json_add_number(w, "stage", p->stage);
    clv_write_place(w, costs, group, task);
    clv_json_add_number(w, "cost_us", clv_placement_time_us(costs, group, task));
    write_replica_costs(w, plan, l, g, task);
    clv_json_add_string(w, "origin", clv_origin_name(clv_costs_origin(costs, task, unit)));
    clv_json_add_string(w, "reason", p->reason);
    clv_write_elsewhere(w, costs, group, task, MOST_ELSEWHERE);
    clv_json_close(w);
}

static void write_ops(clv_json_writer *w, const cleave_plan *plan, const likeness *l) {
    clv_json_open_array(w, "ops");
    for (uint32_t g = 0; g < plan->plan->num_groups; g++) {
        for (uint32_t i = 0; l->model[g] == g && i < plan->workload->num_tasks; i++) {
            write_op(w, plan, l, g, i);
        }
    }
    clv_json_close(w);
}

/* --- the rest --- */

static void write_head(clv_json_writer *w, const cleave_plan *plan) {
    const clv_plan *p = plan->plan;
    clv_json_add_string(w, "workload", plan->workload->name);
    clv_json_add_string(w, "machine", plan->machine->name);
    clv_json_add_string(w, "policy", p->policy);
    clv_json_add_string(w, "objective", p->objective == CLV_LATENCY ? "latency" : "throughput");
    clv_json_add_string(w, "method", p->method);
    clv_json_add_number(w, "depth", p->depth);
    clv_json_add_rate(w, "predicted_throughput_per_s", per_second(p->period_us));
    clv_json_add_number(w, "predicted_latency_ms", p->latency_us / 1e3);
    clv_json_add_number(w, "period_us", p->period_us);
    if (p->best_single_unit != CLV_NO_INDEX) {
        clv_json_open_object(w, "best_single");
        clv_json_add_string(w, "unit", plan->machine->units[p->best_single_unit].name);
        clv_json_add_rate(w, "throughput_per_s", per_second(p->best_single_period_us));
        clv_json_add_number(w, "latency_ms", p->best_single_latency_us / 1e3);
        clv_json_close(w);
        clv_json_add_number(w, "gain", p->gain);
    }
    clv_json_add_bool(w, "worth_it", p->worth_it);
    clv_json_add_string(w, "limit", p->limit);
    clv_write_memory(w, plan->machine, p->memory_bytes);
}

static void write_calibration(clv_json_writer *w, const clv_calibration *calibration) {
    if (calibration->is_on) {
        clv_json_open_object(w, "calibration");
        clv_json_add_number(w, "steps", calibration->steps);
        clv_json_add_number(w, "known", calibration->known);
        clv_json_add_number(w, "measured", calibration->measured);
        clv_json_add_number(w, "time_ms", calibration->time_us * 1e-3);
        clv_json_close(w);
    }
}

/* Units of a replica in the order in which its operators, in turn, name them. */
static void write_units(clv_json_writer *w, const cleave_plan *plan, uint32_t g, uint32_t *seen) {
    const clv_group *group = &plan->plan->groups[g];
    clv_json_open_array(w, "units");
    for (uint32_t i = 0; i < plan->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[i];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            uint32_t unit = group->pieces[p->first_piece + k].unit;
            if (seen[unit] != g + 1) {
                clv_json_add_string(w, NULL, plan->machine->units[unit].name);
                seen[unit] = g + 1;
            }
        }
    }
    clv_json_close(w);
}

/* `seen` [num_units]: 0. */
static void write_replicas(
    clv_json_writer *w, const cleave_plan *plan, const likeness *l, uint32_t *seen) {
    for (uint32_t g = 0; g < plan->plan->num_groups; g++) {
        const clv_group *group = &plan->plan->groups[g];
        clv_json_open_object(w, NULL);
        clv_json_add_number(w, "share", group->share);
        clv_json_add_number(w, "depth", group->depth);
        clv_json_add_number(w, "stages", group->num_stages);
        clv_json_add_bool(w, "serial", group->is_serial);
        clv_json_add_number(w, "period_us", group->period_us);
        clv_json_add_number(w, "latency_us", group->latency_us);
        write_units(w, plan, g, seen);
        if (l->model[g] != g) {
            clv_json_add_number(w, "placed_as", l->model[g]);
        }
        clv_json_close(w);
    }
}

/* Up to two beyond the plan's depth; of many a dozen. Nothing for serial plans. */
static clv_status *write_depths(clv_json_writer *w, const cleave_plan *plan) {
    uint32_t last = plan->plan->depth + 2, count = 0;
    uint32_t step = (last + MOST_DEPTHS - 1) / MOST_DEPTHS;
    clv_plan_depth rows[MOST_DEPTHS + 2];
    bool is_serial = true;
    for (uint32_t g = 0; g < plan->plan->num_groups; g++) {
        is_serial = is_serial && plan->plan->groups[g].is_serial;
    }
    if (is_serial || last > 4096) {
        return NULL;
    }
    for (uint32_t i = 0; i < last; i++) {
        if (i % step == 0 || i + 1 == plan->plan->depth || i + 1 == last) {
            rows[count++] = (clv_plan_depth){.depth = i + 1};
        }
    }
    CLV_TRY(clv_plan_depths(plan->costs, plan->plan, count, rows));
    clv_json_open_array(w, "depths");
    for (uint32_t i = 0; i < count; i++) {
        clv_json_open_object(w, NULL);
        clv_json_add_number(w, "depth", rows[i].depth);
        clv_json_add_rate(w, "throughput_per_s", per_second(rows[i].period_us));
        clv_json_add_number(w, "memory_bytes", (double)rows[i].memory_bytes);
        clv_json_add_bool(w, "fits", rows[i].fits);
        clv_json_close(w);
    }
    clv_json_close(w);
    return NULL;
}

static clv_status *write_report(clv_json_writer *w, const cleave_plan *plan, bool has_ops) {
    size_t units = plan->machine->num_units;
    clv_status *status = NULL;
    uint32_t *block = clv_alloc_zeroed(plan->plan->num_groups + 2 * units, sizeof *block);
    if (block == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a report");
    }
    likeness l = {block, block + plan->plan->num_groups, block + plan->plan->num_groups + units};
    find_models(plan, &l);
    write_head(w, plan);
    write_calibration(w, &plan->calibration);
    clv_json_open_array(w, "replicas");
    write_replicas(w, plan, &l, l.there);
    clv_json_close(w);
    CLV_TRY_DONE(write_depths(w, plan));
    clv_json_open_array(w, "stages");
    for (uint32_t g = 0; g < plan->plan->num_groups; g++) {
        CLV_TRY_DONE(write_group_stages(w, plan, g));
    }
    clv_json_close(w);
    if (has_ops) {
        write_ops(w, plan, &l);
    }
done:
    clv_free(block);
    return status;
}

static clv_status *make_report(const cleave_plan *plan, bool has_ops, char **out_json) {
    clv_json_writer writer;
    *out_json = NULL;
    clv_json_begin(&writer, 2);
    clv_status *status = write_report(&writer, plan, has_ops);
    if (status == NULL) {
        status = clv_json_take(&writer, out_json);
    }
    clv_json_deinit(&writer);
    return status;
}

cleave_status *cleave_plan_report(const cleave_plan *plan, char **out_json) {
    return public_status(make_report(plan, true, out_json));
}

cleave_status *cleave_plan_summary(const cleave_plan *plan, char **out_json) {
    return public_status(make_report(plan, false, out_json));
}

size_t cleave_plan_num_ops(const cleave_plan *plan) {
    return (size_t)plan->workload->num_tasks * plan->plan->num_groups;
}
