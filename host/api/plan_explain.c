/* Why one node is where it is: the report of `cleave explain`; and plans and schedules as text. */
#include "host/api/plan.h"

#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/exec/footprint.h"
#include "host/exec/lower.h"
#include "partition/evaluate.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a report")

enum { MAX_UNITS_SHOWN = 64 };

/* --- finding the node --- */

static bool has_alias(const clv_task *task, const char *name) {
    for (uint32_t k = 0; k < task->num_aliases; k++) {
        if (strcmp(task->aliases[k], name) == 0) {
            return true;
        }
    }
    return false;
}

static clv_status *find_task(const cleave_plan *p, const char *name, uint32_t *out_task) {
    const clv_workload *workload = p->workload;
    *out_task = clv_workload_find(workload, name);
    for (uint32_t i = 0; *out_task == CLV_NO_TASK && i < workload->num_tasks; i++) {
        *out_task = has_alias(&workload->tasks[i], name) ? i : CLV_NO_TASK;
    }
    if (*out_task != CLV_NO_TASK) {
        return NULL;
    }
    const char **names = clv_alloc_zeroed((size_t)workload->num_tasks + 1, sizeof *names);
    if (names == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        names[i] = workload->tasks[i].name;
    }
    const char *nearest = clv_nearest(name, names, workload->num_tasks);
    clv_status *status = CLV_ERROR(
        USAGE, "'%s' has no node '%s'%s%s%s", workload->name, name,
        nearest != NULL    ? "; did you mean '"
        : p->graph != NULL ? "; inspect --stage passes prints what passes leave"
                           : "",
        nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    clv_free(names);
    return status;
}

/* --- where it is --- */

static void write_placement(clv_json_writer *w, const cleave_plan *p, uint32_t g, uint32_t task) {
    const clv_group *group = &p->plan->groups[g];
    const clv_placement *place = &group->placements[task];
    clv_json_open_object(w, NULL);
    clv_json_add_number(w, "replica", g);
    clv_json_add_number(w, "stage", place->stage);
    clv_write_place(w, p->costs, group, task);
    if (place->split >= 0) {
        clv_json_open_array(w, "pieces_us");
        for (uint32_t k = 0; k < place->num_pieces; k++) {
            const clv_piece *piece = &group->pieces[place->first_piece + k];
            clv_json_add_number(w, NULL, clv_piece_time_us(p->costs, task, place, piece));
        }
        clv_json_close(w);
    }
    clv_json_add_number(w, "cost_us", clv_placement_time_us(p->costs, group, task));
    clv_json_add_string(w, "reason", place->reason != NULL ? place->reason : "");
    clv_json_close(w);
}

/* --- what it would cost elsewhere --- */

static bool is_moved_with(const clv_workload *workload, uint32_t task, uint32_t other) {
    const uint32_t colocation = workload->tasks[task].colocation;
    return other == task || (colocation != 0 && workload->tasks[other].colocation == colocation);
}

/* Of the tasks that share its place, the first that cannot run there; CLV_NO_TASK: all can. */
static uint32_t find_hindrance(const cleave_plan *p, uint32_t task, uint32_t unit) {
    for (uint32_t i = 0; i < p->workload->num_tasks; i++) {
        if (is_moved_with(p->workload, task, i) && isinf(clv_unit_time_us(p->costs, i, unit))) {
            return i;
        }
    }
    return CLV_NO_TASK;
}

/* The first replica with the node moved to `unit`, and what is colocated with it: what a request
 * then takes in it. */
static clv_status *measure_moved(
    const cleave_plan *p, clv_evaluator *ev, uint32_t task, uint32_t unit, double *out_bound_us,
    double *out_latency_us) {
    const clv_group *group = &p->plan->groups[0];
    uint32_t num_tasks = p->workload->num_tasks;
    clv_group moved = *group;
    clv_placement *placements = clv_alloc((size_t)num_tasks * sizeof *placements);
    clv_piece *pieces = clv_alloc(((size_t)group->num_pieces + num_tasks) * sizeof *pieces);
    clv_status *status = NULL;
    if (placements == NULL || pieces == NULL) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    memcpy(placements, group->placements, (size_t)num_tasks * sizeof *placements);
    memcpy(pieces, group->pieces, (size_t)group->num_pieces * sizeof *pieces);
    for (uint32_t i = 0; i < num_tasks; i++) {
        if (is_moved_with(p->workload, task, i)) {
            placements[i].split = -1;
            placements[i].num_pieces = 1;
            placements[i].first_piece = moved.num_pieces;
            pieces[moved.num_pieces++] = (clv_piece){.unit = unit};
        }
    }
    moved.placements = placements;
    moved.pieces = pieces;
    clv_evaluate_begin(ev);
    CLV_TRY_DONE(clv_evaluate_loads(ev, &moved, 1));
    *out_bound_us = clv_evaluate_bound(ev, NULL);
    CLV_TRY_DONE(clv_evaluate_latency(ev, &moved, out_latency_us, NULL));
done:
    clv_free(placements);
    clv_free(pieces);
    return status;
}

/* What one request takes with the node there, or why it cannot be. */
static clv_status *write_moved(
    clv_json_writer *w, const cleave_plan *p, clv_evaluator *ev, uint32_t task, uint32_t unit) {
    const uint32_t hindrance = find_hindrance(p, task, unit);
    double bound_us, latency_us;
    if (hindrance != CLV_NO_TASK) {
        char reason[512];
        clv_format(
            reason, sizeof reason, "'%.200s', which shares its unit, cannot run there",
            p->workload->tasks[hindrance].name);
        clv_json_add_string(w, "reason", reason);
        return NULL;
    }
    CLV_TRY(measure_moved(p, ev, task, unit, &bound_us, &latency_us));
    if (!isinf(bound_us) && !isinf(latency_us)) {
        double period_us = fmax(bound_us, latency_us / p->plan->groups[0].depth);
        clv_json_add_rate(w, "throughput_per_s", 1e6 / period_us);
        clv_json_add_number(w, "latency_ms", latency_us * 1e-3);
    }
    return NULL;
}

static bool is_there(const clv_group *group, uint32_t task, uint32_t unit) {
    const clv_placement *place = &group->placements[task];
    return place->num_pieces == 1 && group->pieces[place->first_piece].unit == unit;
}

/* In some replica. */
static bool is_anywhere_there(const clv_plan *plan, uint32_t task, uint32_t unit) {
    bool is_any = false;
    for (uint32_t g = 0; g < plan->num_groups && !is_any; g++) {
        is_any = is_there(&plan->groups[g], task, unit);
    }
    return is_any;
}

static const char *refusal(const cleave_plan *p, uint32_t task, uint32_t unit) {
    if (p->machine->bespoke != CLV_BESPOKE_NO) {
        return "the unit is made for others";
    }
    if (p->workload->tasks[task].num_times > 0) {
        return "no time is given for it";
    }
    return p->machine->units[unit].peak_flops > 0 ? "it cannot run there"
                                                  : "no time is given, and its peak is unknown";
}

static clv_status *write_cost(
    clv_json_writer *w, const cleave_plan *p, clv_evaluator *ev, uint32_t task, uint32_t unit) {
    const double time_us = clv_unit_time_us(p->costs, task, unit);
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "unit", p->machine->units[unit].name);
    clv_json_add_bool(w, "can_run", !isinf(time_us));
    if (isinf(time_us)) {
        clv_json_add_string(w, "reason", refusal(p, task, unit));
    } else {
        clv_json_add_number(w, "time_us", time_us);
        clv_json_add_string(w, "origin", clv_origin_name(clv_costs_origin(p->costs, task, unit)));
        clv_json_add_number(w, "launch_us", p->machine->units[unit].launch_us);
        clv_json_add_bool(w, "chosen", is_anywhere_there(p->plan, task, unit));
        CLV_TRY(write_moved(w, p, ev, task, unit));
    }
    clv_json_close(w);
    return NULL;
}

/* Every unit of a small machine; of a large one those that differ, and those of the node. */
static clv_status *write_costs(clv_json_writer *w, const cleave_plan *p, uint32_t task) {
    bool is_small = p->machine->num_units <= MAX_UNITS_SHOWN;
    clv_evaluator *ev;
    clv_status *status = NULL;
    CLV_TRY(clv_evaluator_create(p->costs, &ev));
    clv_json_open_array(w, "costs");
    for (uint32_t i = 0; status == NULL && i < p->machine->num_units; i++) {
        bool is_first = p->costs->unit_of_class[p->costs->class_of_unit[i]] == i;
        if (is_small || is_first || is_there(&p->plan->groups[0], task, i)) {
            status = write_cost(w, p, ev, task, i);
        }
    }
    clv_json_close(w);
    clv_evaluator_destroy(ev);
    return status;
}

/* --- transfers --- */

typedef struct mover {
    const cleave_plan *plan;
    const clv_group *group;
    uint32_t group_index;
    clv_json_writer *writer;
} mover;

/* One tensor between a piece of its producer's and one of its reader's. */
static clv_status *write_transfer(
    const mover *m, uint32_t reader, uint32_t input, uint32_t piece, uint32_t source) {
    const cleave_plan *p = m->plan;
    const clv_task *task = &p->workload->tasks[reader];
    const clv_task_tensor *tensor = &p->workload->tensors[task->inputs[input]];
    const clv_placement *place = &m->group->placements[reader], *producer = NULL;
    const clv_piece *to = &m->group->pieces[place->first_piece + piece], *from = NULL;
    uint32_t from_unit = CLV_NO_INDEX, home = clv_machine_home(p->machine);
    if (tensor->producer != CLV_NO_TASK) {
        producer = &m->group->placements[tensor->producer];
        from = &m->group->pieces[producer->first_piece + source];
        from_unit = from->unit;
    }
    bool is_same = (from != NULL ? p->machine->units[from_unit].memory : home) ==
                   p->machine->units[to->unit].memory;
    double time_us, bytes = clv_piece_bytes(p->costs, reader, input, place, to, producer, from);
    if (is_same || bytes <= 0) {
        return NULL;
    }
    CLV_TRY(clv_costs_transfer_us(p->costs, from_unit, to->unit, bytes, &time_us));
    clv_json_writer *w = m->writer;
    const clv_machine *machine = p->machine;
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "tensor", tensor->name);
    clv_json_add_number(w, "replica", m->group_index);
    clv_json_add_string(
        w, "from",
        producer != NULL ? machine->units[from_unit].name : machine->memories[home].name);
    clv_json_add_string(w, "to", machine->units[to->unit].name);
    clv_json_add_string(w, "reader", task->name);
    clv_json_add_number(w, "bytes", bytes);
    clv_json_add_number(w, "time_us", time_us);
    clv_json_close(w);
    return NULL;
}

static clv_status *write_input_transfers(const mover *m, uint32_t reader, uint32_t input) {
    const cleave_plan *p = m->plan;
    const clv_placement *place = &m->group->placements[reader];
    uint32_t producer = p->workload->tensors[p->workload->tasks[reader].inputs[input]].producer;
    uint32_t sources = producer == CLV_NO_TASK ? 1 : m->group->placements[producer].num_pieces;
    for (uint32_t k = 0; k < place->num_pieces; k++) {
        for (uint32_t i = 0; i < sources; i++) {
            CLV_TRY(write_transfer(m, reader, input, k, i));
        }
    }
    return NULL;
}

static clv_status *write_readers(const mover *m, uint32_t tensor_id) {
    const clv_task_tensor *tensor = &m->plan->workload->tensors[tensor_id];
    for (uint32_t k = 0; k < tensor->num_consumers; k++) {
        const clv_task *reader = &m->plan->workload->tasks[tensor->consumers[k]];
        for (uint32_t i = 0; i < reader->num_inputs; i++) {
            if (reader->inputs[i] == tensor_id) {
                CLV_TRY(write_input_transfers(m, tensor->consumers[k], i));
            }
        }
    }
    return NULL;
}

static clv_status *write_transfers(clv_json_writer *w, const cleave_plan *p, uint32_t task) {
    const clv_task *t = &p->workload->tasks[task];
    mover m = {.plan = p, .writer = w};
    clv_json_open_array(w, "transfers");
    for (uint32_t g = 0; g < p->plan->num_groups; g++) {
        m.group = &p->plan->groups[g];
        m.group_index = g;
        for (uint32_t i = 0; i < t->num_inputs; i++) {
            CLV_TRY(write_input_transfers(&m, task, i));
        }
        for (uint32_t i = 0; i < t->num_outputs; i++) {
            CLV_TRY(write_readers(&m, t->outputs[i]));
        }
    }
    clv_json_close(w);
    return NULL;
}

/* --- variants --- */

/* What variants may know of a unit that is not here: by its kind. */
static clv_traits assumed_traits(const clv_unit *unit) {
    bool is_gpu = strncmp(unit->kind, "gpu", 3) == 0;
    return is_gpu ? (clv_traits){.num_lanes = 64, .max_local_size = 256, .local_bytes = 32768}
                  : clv_plain_core_traits();
}

/* Of the way that is chosen, or of the fastest setting of one that is not. NAN: not known. */
static double least_us(
    const clv_known_times *times, const clv_call *call, const clv_traits *traits, bool is_chosen,
    clv_way *way) {
    if (times == NULL || is_chosen) {
        return times != NULL ? times->find(times, call, way, traits) : (double)NAN;
    }
    double least = (double)NAN;
    clv_way other = *way;
    for (; other.setting < clv_variant_num_settings(way->variant); other.setting++) {
        const double us = times->find(times, call, &other, traits);
        if (!isnan(us) && !(us >= least)) {
            least = us;
            *way = other;
        }
    }
    return least;
}

static void write_family(
    clv_json_writer *w, const clv_call *call, const clv_lower_options *options,
    const clv_choice *choice) {
    const clv_traits *traits = &options->traits;
    const clv_known_times *times = options->times;
    const clv_kernel_family *family = call->op->kernels;
    clv_json_open_array(w, "variants");
    for (size_t i = 0; i < family->num_variants; i++) {
        const clv_variant *variant = &family->variants[i];
        bool fits = clv_variant_fits(variant, call, traits);
        bool is_chosen = choice != NULL && choice->variant == variant;
        clv_way way = {.variant = variant, .setting = is_chosen ? choice->setting : 0};
        const double us = fits ? least_us(times, call, traits, is_chosen, &way) : (double)NAN;
        clv_json_open_object(w, NULL);
        clv_json_add_string(w, "family", family->name);
        clv_json_add_string(w, "variant", variant->name);
        clv_json_add_string(w, "summary", variant->summary);
        clv_json_add_bool(w, "chosen", is_chosen);
        clv_json_add_string(
            w, "reason",
            is_chosen ? choice->reason
            : fits    ? "it fits; the chosen one is expected to be faster"
                      : "it does not fit these shapes, types or this unit");
        if (is_chosen) {
            clv_json_add_string(w, "origin", choice->origin);
        }
        clv_write_tunables(w, &way);
        if (!isnan(us)) {
            clv_json_add_number(w, "time_us", us);
        }
        clv_json_close(w);
    }
    clv_json_close(w);
}

/* Of one node, with the whole graph lowered for a unit, or the reason why it could not be. */
static clv_status *write_choice(
    clv_json_writer *w, const cleave_plan *p, uint32_t task, const clv_lower_options *options,
    const clv_lowered *lowered, const char *failure) {
    clv_arena arena;
    clv_call call;
    clv_arena_init(&arena, 0);
    clv_status *status = clv_call_from_node(p->graph, &p->graph->nodes[task], &arena, &call);
    if (status == NULL) {
        const clv_choice *choice = lowered != NULL ? &lowered->choices[task] : NULL;
        write_family(w, &call, options, choice);
        if (choice == NULL || choice->variant == NULL) {
            clv_json_add_string(w, "no_variant", choice != NULL ? choice->reason : failure);
        }
    }
    clv_arena_deinit(&arena);
    return status;
}

static clv_status *write_choices(
    clv_json_writer *w, const cleave_plan *p, uint32_t task, const clv_lower_options *options) {
    clv_lowered lowered;
    clv_status *failure = clv_lower(p->graph, options, &lowered);
    if (clv_status_code(failure) == CLV_NO_MEMORY) {
        return failure;
    }
    clv_status *status = write_choice(
        w, p, task, options, failure == NULL ? &lowered : NULL, clv_status_message(failure));
    if (failure == NULL) {
        clv_lowered_deinit(&lowered);
    }
    clv_status_destroy(failure);
    return status;
}

/* Variants on the unit of the node's first piece. */
static clv_status *write_variants(clv_json_writer *w, const cleave_plan *p, uint32_t task) {
    const clv_node *node = &p->graph->nodes[task];
    const clv_group *group = &p->plan->groups[0];
    uint32_t unit = group->pieces[group->placements[task].first_piece].unit;
    clv_lower_options options = {
        .traits = p->traits != NULL ? p->traits[unit] : assumed_traits(&p->machine->units[unit]),
        .max_block_bytes = UINT64_MAX / 4};
    clv_json_add_string(w, "traits", p->traits != NULL ? "of the device" : "assumed");
    if (node->op == NULL || node->op->kernels == NULL) {
        return NULL;
    }
    if (!p->calibration.is_on) {
        const clv_known_times shipped = clv_cost_db_known_times(NULL);
        options.times = p->traits != NULL ? &shipped : NULL;
        return write_choices(w, p, task, &options);
    }
    clv_unit_times known;
    CLV_TRY(clv_unit_times_init(p->machine->units[unit].name, &known));
    options.times = &known.times;
    clv_status *status = write_choices(w, p, task, &options);
    clv_unit_times_deinit(&known);
    return status;
}

/* --- the whole --- */

static void write_splits(clv_json_writer *w, const clv_task *task) {
    clv_json_open_array(w, "splits");
    for (uint32_t i = 0; i < task->num_splits; i++) {
        const clv_task_split *split = &task->splits[i];
        clv_json_open_object(w, NULL);
        clv_json_add_string(w, "name", split->name);
        clv_json_add_number(w, "extent", (double)split->extent);
        clv_json_add_number(w, "grain", (double)split->grain);
        clv_json_add_string(w, "join", clv_task_join_name(split->join));
        clv_json_close(w);
    }
    clv_json_close(w);
}

static clv_status *write_report(clv_json_writer *w, const cleave_plan *p, uint32_t task) {
    const clv_task *t = &p->workload->tasks[task];
    clv_json_add_string(w, "node", t->name);
    clv_json_add_string(w, "op", t->type);
    clv_json_open_array(w, "aliases");
    for (uint32_t i = 0; i < t->num_aliases; i++) {
        clv_json_add_string(w, NULL, t->aliases[i]);
    }
    clv_json_close(w);
    if (p->graph != NULL && p->graph->nodes[task].note != NULL) {
        clv_json_add_string(w, "note", p->graph->nodes[task].note);
    }
    clv_json_add_string(w, "workload", p->workload->name);
    clv_json_add_string(w, "machine", p->machine->name);
    clv_json_add_string(w, "policy", p->plan->policy);
    clv_json_add_number(w, "flops", t->flops);
    clv_json_add_number(w, "bytes", t->traffic_bytes);
    clv_json_add_number(w, "weight_bytes", (double)t->weight_bytes);
    clv_json_open_array(w, "placements");
    for (uint32_t g = 0; g < p->plan->num_groups; g++) {
        write_placement(w, p, g, task);
    }
    clv_json_close(w);
    write_splits(w, t);
    CLV_TRY(write_costs(w, p, task));
    CLV_TRY(write_transfers(w, p, task));
    return p->graph != NULL ? write_variants(w, p, task) : NULL;
}

cleave_status *cleave_plan_explain(const cleave_plan *plan, const char *node, char **out_json) {
    clv_json_writer writer;
    uint32_t task;
    *out_json = NULL;
    clv_status *status = find_task(plan, node, &task);
    if (status != NULL) {
        return public_status(status);
    }
    clv_json_begin(&writer, 2);
    status = write_report(&writer, plan, task);
    if (status == NULL) {
        status = clv_json_take(&writer, out_json);
    }
    clv_json_deinit(&writer);
    return public_status(status);
}
