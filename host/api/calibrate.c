#include "host/api/calibrate.h"

#include "host/api/machine.h"
#include "host/base/cancel.h"
#include "host/base/env.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/tune/calibrate.h"
#include "host/tune/step_key.h"
#include "host/workload/measured.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Ways of cutting operators that are measured; further ones keep estimates. */
enum { MOST_CUTS = 4 };

typedef struct calibrator {
    const clv_graph *graph;
    const clv_machine *machine;
    clv_workload *workload;
    clv_calibration *out;
    clv_unit_table table;
    clv_unit_name *names; /* of the machine's units, in its order */
    size_t num_units;
    clv_cost_db *db;
    clv_hash *keys; /* [num_units]: the same of those that are alike */
    size_t *alike;  /* [num_alike]: the unit at hand, then those like it on its memory */
    uint32_t num_alike;
    bool has_pieces; /* are wanted, and not there yet */
    bool is_exact;
    clv_graph_inputs inputs; /* once something is measured */
} calibrator;

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for measured costs");
}

/* --- what others share ----------------------------------------------------------------------- */

static clv_status *fill_inputs(const clv_graph *graph, clv_graph_inputs *inputs) {
    inputs->values = clv_alloc_zeroed(graph->num_inputs + 1, sizeof(clv_value *));
    inputs->views = clv_alloc_zeroed(graph->num_inputs + 1, sizeof *inputs->views);
    if (inputs->values == NULL || inputs->views == NULL) {
        return no_memory();
    }
    inputs->count = graph->num_inputs;
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor *t = &graph->tensors[graph->inputs[i]];
        const clv_wanted wanted = {.name = t->name, .dtype = t->dtype, .shape = t->shape};
        if (t->data == NULL) {
            CLV_TRY(clv_value_fill(&wanted, CLV_FILL_RANDOM, 0, &inputs->values[i]));
        }
        inputs->views[i] = (clv_view){
            .dtype = t->dtype,
            .shape = t->shape,
            .data = t->data != NULL ? t->data : inputs->values[i]->data,
        };
    }
    return NULL;
}

void clv_write_tunables(clv_json_writer *writer, const clv_way *way) {
    int32_t values[CLV_MAX_TUNABLES];
    if (way->variant->num_tunables == 0) {
        return;
    }
    clv_way_tunables(way, values);
    clv_json_open_object(writer, "tunables");
    for (size_t i = 0; i < way->variant->num_tunables; i++) {
        clv_json_add_number(writer, way->variant->tunables[i].name, values[i]);
    }
    clv_json_close(writer);
}

clv_status *clv_graph_inputs_init(const clv_graph *graph, clv_graph_inputs *out_inputs) {
    *out_inputs = (clv_graph_inputs){.values = NULL};
    clv_status *status = fill_inputs(graph, out_inputs);
    if (status != NULL) {
        clv_graph_inputs_deinit(out_inputs);
    }
    return status;
}

void clv_graph_inputs_deinit(clv_graph_inputs *inputs) {
    for (size_t i = 0; i < inputs->count; i++) {
        clv_value_destroy(inputs->values[i]);
    }
    clv_free(inputs->values);
    clv_free(inputs->views);
    *inputs = (clv_graph_inputs){.values = NULL};
}

clv_status *clv_user_costs_open(clv_cost_db **out_db) {
    char *path = clv_cost_db_path_copy();
    clv_status *status = clv_cost_db_open(path, out_db);
    clv_free(path);
    return status;
}

clv_status *clv_unit_times_init(const char *unit, clv_unit_times *out_times) {
    clv_ocl *ocl = NULL;
    clv_unit_name *names = NULL;
    size_t num_names = 0;
    uint32_t count;
    clv_status *status = NULL;
    *out_times = (clv_unit_times){.db = NULL};
    CLV_TRY_DONE(clv_units_ocl(&ocl));
    CLV_TRY_DONE(clv_unit_table_init(ocl, &out_times->table));
    CLV_TRY_DONE(clv_unit_list_parse(
        unit, out_times->table.entries, out_times->table.num_entries, &names, &num_names));
    CLV_TRY_DONE(clv_user_costs_open(&out_times->db));
    out_times->times = clv_cost_db_known_times(out_times->db);
    out_times->times.info = clv_unit_info(&out_times->table, &names[0], &count);
    out_times->times.num_devices = count;
done:
    clv_free(names);
    if (status != NULL) {
        clv_unit_times_deinit(out_times);
    }
    return status;
}

void clv_unit_times_deinit(clv_unit_times *times) {
    clv_unit_table_deinit(&times->table);
    clv_cost_db_close(times->db);
    *times = (clv_unit_times){.db = NULL};
}

bool clv_is_calibrating(const cleave_options *options) {
    return !options->no_calibrate && strcmp(clv_env_get(CLV_ENV_NO_CALIBRATE), "1") != 0;
}

/* --- measuring on a unit --------------------------------------------------------------------- */

/* The unit at hand, and those beside it, as a list of devices; to be freed. */
static char *list_alike(const calibrator *c, uint32_t count) {
    const size_t capacity = count * sizeof c->names[0].text + 1;
    char *text = clv_alloc_zeroed(capacity, 1);
    size_t length = 0;
    for (uint32_t i = 0; i < count && text != NULL; i++) {
        length += (size_t)snprintf(
            text + length, capacity - length, "%s%s", i == 0 ? "" : ",",
            c->names[c->alike[i]].text);
    }
    return text;
}

static clv_status *measure_open(
    calibrator *c, const clv_open_units *units, clv_cost_setting setting) {
    uint32_t num_measured = 0;
    const clv_exec_unit **beside =
        clv_alloc_zeroed(setting.num_beside + 1, sizeof(const clv_exec_unit *));
    if (beside == NULL) {
        return no_memory();
    }
    for (uint32_t i = 0; i < setting.num_beside; i++) {
        beside[i] = &units->units[1 + i];
    }
    const clv_calibration_request request = {
        .graph = c->graph,
        .unit = &units->units[0],
        .inputs = c->inputs.views,
        .db = c->db,
        .setting = setting,
        .beside = beside,
        .cancel = clv_cancel_flag(),
    };
    clv_status *status = clv_calibrate(&request, &num_measured);
    c->out->measured += num_measured;
    clv_free((void *)beside);
    return status;
}

static clv_status *measure_on(calibrator *c, clv_cost_setting setting) {
    clv_open_units units = {.units = NULL};
    if (c->inputs.views == NULL) {
        CLV_TRY(clv_graph_inputs_init(c->graph, &c->inputs));
    }
    char *list = list_alike(c, 1 + setting.num_beside);
    clv_status *status = list != NULL ? clv_open_units_init(list, true, &units) : no_memory();
    setting.is_exact = c->is_exact;
    if (status == NULL) {
        clv_open_units_set_exact(&units, c->is_exact);
        status = measure_open(c, &units, setting);
        clv_open_units_deinit(&units);
    }
    clv_free(list);
    return status;
}

/* Estimates will do where a unit cannot be measured; but not for somebody who has had enough. */
static clv_status *measure(calibrator *c, clv_cost_setting setting) {
    clv_status *status = measure_on(c, setting);
    if (status == NULL || clv_status_code(status) == CLV_CANCELLED) {
        return status;
    }
    clv_log(
        CLV_LOG_WARNING, "%s is not measured%s, its costs are estimates: %s",
        c->names[c->alike[0]].text,
        setting.cut.split != 0    ? " with operators in pieces"
        : setting.num_beside != 0 ? " with others at work"
                                  : "",
        clv_status_message(status));
    clv_status_destroy(status);
    return NULL;
}

/* --- giving times to tasks ------------------------------------------------------------------- */

/* The first unit whose devices are like those of unit `index`, and as many. */
static size_t first_alike(const calibrator *c, size_t index) {
    const clv_hash *keys = c->keys;
    size_t first = 0;
    while (keys[first].low != keys[index].low || keys[first].high != keys[index].high) {
        first++;
    }
    return first;
}

/* What stands for all units that are like unit `index`: their kind, where there are no others of
 * it, else NULL. */
static const char *common_kind(const calibrator *c, size_t index) {
    const char *kind = c->machine->units[index].kind;
    for (size_t i = 0; i < c->num_units; i++) {
        if (strcmp(c->machine->units[i].kind, kind) == 0 &&
            first_alike(c, i) != first_alike(c, index)) {
            return NULL;
        }
    }
    return kind;
}

/* Unit `index`, which is the first of its sort, and those like it that share its memory, as many of
 * them as there are processors: what more take is the plan's business. Only cores share more than a
 * link. */
static void find_alike(calibrator *c, size_t index) {
    const uint32_t most = (uint32_t)clv_num_processors();
    c->num_alike = 0;
    for (size_t i = index; i < c->num_units && c->num_alike < most; i++) {
        const bool is_beside = c->names[i].kind == CLV_UNIT_CORE && first_alike(c, i) == index &&
                               c->machine->units[i].memory == c->machine->units[index].memory;
        if (i == index || is_beside) {
            c->alike[c->num_alike++] = i;
        }
    }
}

/* A measured launch of a core has the launch itself in it, which the planner adds once for each
 * task; one of a queue has not. */
static double task_us(const clv_unit *unit, const clv_unit_costs *costs, size_t node) {
    const double launches = costs->node_launches[node];
    if (launches == 0) {
        return 0;
    }
    return unit->overlaps ? costs->node_us[node] + (launches - 1) * unit->launch_us
                          : fmax(0, costs->node_us[node] - unit->launch_us);
}

/* What a node draws of its memory's bandwidth, so that it takes as long as it did with all at work
 * when all are: of those who want more than there is each gets an even share. NAN: not known. */
static double part_drawn(
    const calibrator *c, const clv_unit_costs *alone, double busy_us, size_t i) {
    const double slowdown = busy_us / alone->node_us[i];
    return isnan(slowdown) || alone->node_us[i] == 0 ? (double)NAN
                                                     : fmin(fmax(slowdown, 1) / c->num_alike, 1);
}

/* busy: NULL: not known. */
static clv_status *give(
    calibrator *c, size_t index, const clv_unit_costs *costs, const clv_unit_costs *busy) {
    const char *kind = common_kind(c, index);
    double *time_us = clv_alloc_zeroed(2 * c->graph->num_nodes + 1, sizeof *time_us);
    clv_status *status = time_us != NULL ? NULL : no_memory();
    double *draws = time_us + c->graph->num_nodes;
    for (size_t i = 0; status == NULL && i < c->graph->num_nodes; i++) {
        time_us[i] = task_us(&c->machine->units[index], costs, i);
        draws[i] = busy != NULL ? part_drawn(c, costs, busy->node_us[i], i) : (double)NAN;
    }
    for (size_t i = index; status == NULL && i < c->num_units; i++) {
        if (first_alike(c, i) == index && (kind == NULL || i == index)) {
            status = clv_workload_add_measured(
                c->workload, kind != NULL ? kind : c->machine->units[i].name, time_us, draws);
        }
    }
    clv_free(time_us);
    return status;
}

/* --- all units ------------------------------------------------------------------------------- */

static clv_status *find(calibrator *c, clv_cost_setting setting, clv_unit_costs *out_costs) {
    setting.is_exact = c->is_exact;
    uint32_t count;
    const clv_device_info *info = clv_unit_info(&c->table, &c->names[c->alike[0]], &count);
    return clv_unit_costs_find(c->graph, info, count, c->db, setting, out_costs);
}

/* Finds what the costs of the unit at hand are, measuring what is not known. *out_is_there: false
 * where the unit has no kernels for the graph; there is nothing to deinitialise then, nor after a
 * failure. */
static clv_status *get(
    calibrator *c, clv_cost_setting setting, clv_unit_costs *out_costs, bool *out_is_there) {
    clv_status *status = find(c, setting, out_costs);
    *out_is_there = status == NULL;
    if (clv_status_code(status) == CLV_UNSUPPORTED) {
        clv_log(
            CLV_LOG_INFO, "%s is not measured: %s", c->names[c->alike[0]].text,
            clv_status_message(status));
        clv_status_destroy(status);
        return NULL;
    }
    CLV_TRY(status);
    c->out->steps += out_costs->num_steps;
    c->out->known += out_costs->num_known;
    if (out_costs->num_known < out_costs->num_steps) {
        clv_unit_costs_deinit(out_costs);
        CLV_TRY(measure(c, setting));
        CLV_TRY(find(c, setting, out_costs));
    }
    return NULL;
}

/* What two pieces take of the whole's time; the launch, which planners add, left out. */
static clv_status *give_pieces(
    calibrator *c, uint32_t split, const clv_unit_costs *whole, const clv_unit_costs *cut) {
    const size_t num_nodes = c->graph->num_nodes;
    const double launch_us = c->machine->units[c->alike[0]].launch_us;
    clv_task_piece *pieces = clv_alloc_zeroed(num_nodes + 1, sizeof *pieces);
    clv_status *status = pieces != NULL ? NULL : no_memory();
    for (size_t k = 0; k < 2 && status == NULL; k++) {
        for (size_t i = 0; i < num_nodes; i++) {
            const double whole_us = whole->node_us[i] - launch_us;
            const double piece_us = cut->piece_us[k * num_nodes + i] - launch_us;
            const double share = cut->piece_share[k * num_nodes + i];
            /* caches may make halves faster than half; not by how much one likes */
            const double part = fmin(fmax(piece_us / whole_us, share / 2), CLV_MOST_FIXED_SHARE);
            pieces[i] = (clv_task_piece){share, whole_us > 0 && !isnan(piece_us) ? part : 0};
        }
        status = clv_workload_add_pieces(c->workload, split, pieces);
    }
    clv_free(pieces);
    return status;
}

/* The shares of first pieces that are measured: half, and where units like the one at hand are not
 * all as fast, what the fastest has beside the slowest; of many of them one's part. */
static size_t list_shares(const calibrator *c, double *out_shares) {
    double fastest = 0, slowest = (double)INFINITY;
    size_t count = 0;
    for (size_t i = c->alike[0]; i < c->num_units; i++) {
        const double speed = c->machine->units[i].speed;
        if (first_alike(c, i) == c->alike[0]) {
            fastest = fmax(fastest, speed);
            slowest = fmin(slowest, speed);
        }
    }
    out_shares[count++] = 0.5;
    if (slowest < fastest) {
        out_shares[count++] = fastest / (fastest + slowest);
    }
    if (c->num_alike > 3) {
        out_shares[count++] = 1.0 / c->num_alike;
    }
    return count;
}

static double exchange_of(const calibrator *c) {
    return c->machine->memories[c->machine->units[c->alike[0]].memory].exchange;
}

static clv_status *calibrate_cut(calibrator *c, clv_tune_cut cut, const clv_unit_costs *whole) {
    const clv_cost_setting setting = {
        .cut = cut,
        .num_beside = c->num_alike > 1 ? 1 : 0,
        .exchange = exchange_of(c),
    };
    clv_unit_costs costs;
    bool is_there;
    CLV_TRY(get(c, setting, &costs, &is_there));
    if (!is_there) {
        return NULL;
    }
    const uint32_t split = cut.split == CLV_TUNE_SHARES ? UINT32_MAX : cut.split - 1;
    clv_status *status = give_pieces(c, split, whole, &costs);
    clv_unit_costs_deinit(&costs);
    return status;
}

static clv_status *calibrate_pieces(calibrator *c, const clv_unit_costs *whole) {
    enum { MOST_SHARES = 3 };
    double shares[MOST_SHARES];
    const size_t num_shares = list_shares(c, shares);
    uint32_t most = 0;
    for (uint32_t i = 0; i < c->workload->num_tasks; i++) {
        const clv_task *task = &c->workload->tasks[i];
        const uint32_t num_splits = task->num_splits - (clv_task_shares(task) >= 0 ? 1 : 0);
        most = num_splits > most ? num_splits : most;
    }
    most = most < MOST_CUTS ? most : MOST_CUTS;
    for (uint32_t cut = 1; cut <= most + (c->num_alike > 1 ? 1 : 0); cut++) {
        for (size_t k = 0; k < num_shares; k++) {
            const uint32_t split = cut <= most ? cut : CLV_TUNE_SHARES;
            CLV_TRY(calibrate_cut(c, (clv_tune_cut){split, shares[k]}, whole));
        }
    }
    return NULL;
}

/* What a unit's costs are alone, and with those like it at work. */
static clv_status *calibrate_whole(calibrator *c, size_t index, const clv_unit_costs *alone) {
    clv_unit_costs busy;
    bool is_there = false;
    if (c->num_alike > 1) {
        const clv_cost_setting setting = {
            .num_beside = c->num_alike - 1,
            .exchange = exchange_of(c),
        };
        CLV_TRY(get(c, setting, &busy, &is_there));
    }
    clv_status *status = give(c, index, alone, is_there ? &busy : NULL);
    if (is_there) {
        clv_unit_costs_deinit(&busy);
    }
    return status;
}

/* A unit that stands for all that are like it. Operators are cut over cores: the first sort of them
 * tells of pieces. */
static clv_status *calibrate_unit(calibrator *c, size_t index) {
    clv_unit_costs costs;
    bool is_there;
    find_alike(c, index);
    CLV_TRY(get(c, (clv_cost_setting){.num_beside = 0}, &costs, &is_there));
    if (!is_there) {
        return NULL;
    }
    clv_status *status = calibrate_whole(c, index, &costs);
    if (status == NULL && c->has_pieces && c->names[index].kind == CLV_UNIT_CORE) {
        c->has_pieces = false;
        status = calibrate_pieces(c, &costs);
    }
    clv_unit_costs_deinit(&costs);
    return status;
}

static clv_status *calibrate_units(calibrator *c) {
    c->keys = clv_alloc_zeroed(c->num_units + 1, sizeof *c->keys);
    c->alike = clv_alloc_zeroed(c->num_units + 1, sizeof *c->alike);
    clv_status *status = c->keys != NULL && c->alike != NULL ? NULL : no_memory();
    for (size_t i = 0; status == NULL && i < c->num_units; i++) {
        uint32_t count;
        const clv_device_info *info = clv_unit_info(&c->table, &c->names[i], &count);
        c->keys[i] = clv_unit_key(info, count);
    }
    for (size_t i = 0; status == NULL && i < c->num_units; i++) {
        status = first_alike(c, i) == i ? calibrate_unit(c, i) : NULL;
    }
    clv_free(c->alike);
    clv_free(c->keys);
    return status;
}

static clv_status *open_all(calibrator *c, const char *devices) {
    clv_ocl *ocl = NULL;
    CLV_TRY(clv_units_ocl(&ocl));
    CLV_TRY(clv_unit_table_init(ocl, &c->table));
    CLV_TRY(clv_unit_list_parse(
        devices != NULL ? devices : clv_default_devices(&c->table), c->table.entries,
        c->table.num_entries, &c->names, &c->num_units));
    return clv_user_costs_open(&c->db);
}

clv_status *clv_calibrate_workload(
    const cleave_options *options, bool pieces, const clv_graph *graph, const clv_machine *machine,
    clv_workload *workload, clv_calibration *out_calibration) {
    calibrator c = {
        .graph = graph,
        .machine = machine,
        .workload = workload,
        .has_pieces = pieces,
        .is_exact = options->exact,
        .out = out_calibration,
    };
    const double begin_us = clv_time_us();
    *out_calibration = (clv_calibration){.is_on = true};
    clv_status *status = open_all(&c, options->devices);
    if (status == NULL && c.num_units != machine->num_units) {
        status = CLV_ERROR(
            INTERNAL, "the machine has %u units, the devices %zu", machine->num_units, c.num_units);
    }
    if (status == NULL) {
        status = calibrate_units(&c);
    }
    out_calibration->time_us = clv_time_us() - begin_us;
    clv_graph_inputs_deinit(&c.inputs);
    clv_free(c.names);
    clv_unit_table_deinit(&c.table);
    clv_cost_db_close(c.db);
    return status;
}
