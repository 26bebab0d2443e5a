/* Searching for the fastest kernels of a model's operators. */
#include "host/api/calibrate.h"
#include "host/api/machine.h"

#include "host/base/cancel.h"
#include "host/base/json_writer.h"
#include "host/base/memory.h"
#include "host/passes/passes.h"
#include "host/tune/search.h"
#include "host/tune/shipped.h"
#include "host/tune/step_key.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double default_seconds = 60;

typedef struct tuner {
    const cleave_tune_options *options;
    clv_graph *graph;
    clv_open_units units;
    clv_graph_inputs inputs;
    clv_cost_db *db;
    clv_json_writer writer;
} tuner;

static void write_variant(
    clv_json_writer *w, const char *key, const clv_trial *trial, size_t node) {
    clv_json_open_object(w, key);
    const clv_way *way = &trial->ways[node];
    clv_json_add_string(w, "variant", way->variant->name);
    clv_write_tunables(w, way);
    if (!isnan(trial->node_us[node])) {
        clv_json_add_number(w, "time_us", trial->node_us[node]);
    }
    clv_json_close(w);
}

/* Of one way of a call, where it was measured. */
static void write_way(
    clv_json_writer *w, const clv_known_times *times, const clv_call *call, const clv_way *way,
    const clv_traits *traits) {
    const double us = times->find(times, call, way, traits);
    uint64_t key;
    if (isnan(us)) {
        return;
    }
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "variant", way->variant->name);
    clv_write_tunables(w, way);
    clv_json_add_number(w, "time_us", us);
    if (clv_shipped_class(traits) != NULL) {
        clv_status *status = clv_shipped_key(call, way, traits, &key);
        if (status == NULL) {
            char text[24];
            snprintf(text, sizeof text, "0x%016" PRIx64, key);
            clv_json_add_string(w, "key", text);
        }
        clv_status_destroy(status); /* a way of this unit that typical ones do not have */
    }
    clv_json_close(w);
}

static void write_shape(clv_json_writer *w, const clv_view *view) {
    char text[CLV_MAX_RANK * 21 + 1] = "";
    size_t length = 0;
    for (int32_t i = 0; i < (int32_t)view->shape.rank; i++) {
        length += (size_t)snprintf(
            text + length, sizeof text - length, "%s%" PRId64, i > 0 ? "x" : "",
            view->shape.dims[i]);
    }
    clv_json_add_string(w, NULL, text);
}

static void write_call(
    clv_json_writer *w, const clv_known_times *times, const clv_node *node, const clv_call *call,
    const clv_traits *traits) {
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "node", node->name);
    clv_json_add_string(w, "op", node->op_type);
    clv_json_open_array(w, "shapes");
    for (size_t i = 0; i < call->num_inputs; i++) {
        write_shape(w, &call->inputs[i]);
    }
    clv_json_close(w);
    clv_json_open_array(w, "ways");
    const clv_kernel_family *family = call->op->kernels;
    for (size_t i = 0; i < family->num_variants; i++) {
        clv_way way = {.variant = &family->variants[i]};
        const uint32_t count =
            clv_variant_fits(way.variant, call, traits) ? clv_variant_num_settings(way.variant) : 0;
        for (; way.setting < count; way.setting++) {
            write_way(w, times, call, &way, traits);
        }
    }
    clv_json_close(w);
    clv_json_close(w);
}

/* All that is known of the model's operators, by each of their ways. */
static clv_status *write_calls(tuner *t, size_t unit) {
    const clv_exec_unit *u = &t->units.units[unit];
    const clv_traits traits = clv_exec_unit_traits(u);
    clv_known_times times = clv_cost_db_known_times(t->db);
    times.info = &u->devices[0]->info;
    times.num_devices = u->num_devices;
    clv_status *status = NULL;
    clv_json_open_array(&t->writer, "calls");
    for (size_t i = 0; i < t->graph->num_nodes && status == NULL; i++) {
        const clv_node *node = &t->graph->nodes[i];
        clv_arena arena;
        clv_call call;
        if (node->op == NULL || node->op->kernels == NULL) {
            continue;
        }
        clv_arena_init(&arena, 0);
        status = clv_call_from_node(t->graph, node, &arena, &call);
        if (status == NULL) {
            write_call(&t->writer, &times, node, &call, &traits);
        }
        clv_arena_deinit(&arena);
    }
    clv_json_close(&t->writer);
    return status;
}

static clv_status *write_unit(tuner *t, size_t unit, const clv_search_result *result) {
    const clv_trial *before = &result->before;
    const clv_trial *after = result->is_changed ? &result->after : before;
    clv_json_writer *w = &t->writer;
    const clv_traits traits = clv_exec_unit_traits(&t->units.units[unit]);
    clv_json_open_object(w, NULL);
    clv_json_add_string(w, "name", t->units.names[unit].text);
    const char *class_name = clv_shipped_class(&traits);
    if (class_name != NULL) {
        clv_json_add_string(w, "class", class_name);
    }
    clv_json_add_number(w, "rounds", result->rounds);
    clv_json_add_number(w, "measured", result->measured);
    clv_json_add_number(w, "repeated", result->repeated);
    clv_json_add_number(w, "left_over", result->left_over);
    clv_json_add_number(w, "not_kept", result->not_kept);
    clv_json_add_number(w, "before_ms", before->total_us * 1e-3);
    clv_json_add_number(w, "after_ms", after->total_us * 1e-3);
    clv_json_open_array(w, "changed");
    for (size_t i = 0; i < t->graph->num_nodes; i++) {
        const clv_way *from = &before->ways[i], *to = &after->ways[i];
        if (from->variant != NULL && to->variant != NULL &&
            (from->variant != to->variant || from->setting != to->setting)) {
            clv_json_open_object(w, NULL);
            clv_json_add_string(w, "node", t->graph->nodes[i].name);
            clv_json_add_string(w, "op", t->graph->nodes[i].op_type);
            write_variant(w, "from", before, i);
            write_variant(w, "to", after, i);
            clv_json_close(w);
        }
    }
    clv_json_close(w);
    clv_status *status = write_calls(t, unit);
    clv_json_close(w);
    return status;
}

static clv_status *tune_unit(tuner *t, size_t unit) {
    const double seconds = t->options->seconds > 0 ? t->options->seconds : default_seconds;
    static const clv_search_level levels[] = {
        [CLEAVE_TUNE_FAST] = CLV_SEARCH_FAST,
        [CLEAVE_TUNE_NORMAL] = CLV_SEARCH_NORMAL,
        [CLEAVE_TUNE_EXHAUSTIVE] = CLV_SEARCH_EXHAUSTIVE,
    };
    const clv_search_request request = {
        .calibration =
            {
                .graph = t->graph,
                .unit = &t->units.units[unit],
                .inputs = t->inputs.views,
                .db = t->db,
                .cancel = clv_cancel_flag(),
            },
        .level = levels[t->options->level],
        .budget_us = seconds * 1e6,
    };
    clv_search_result result;
    uint32_t num_steps;
    clv_status *status = clv_search(&request, &result);
    if (status == NULL) { /* what plans will go by */
        status = clv_calibrate(&request.calibration, &num_steps);
    }
    if (status == NULL) {
        status = write_unit(t, unit, &result);
    }
    clv_search_result_deinit(&result);
    return status;
}

/* Whether a unit before it has the same devices: what is found for one is found for all. */
static bool is_alike_before(const tuner *t, size_t unit) {
    const clv_exec_unit *units = t->units.units;
    const clv_hash key = clv_unit_key(&units[unit].devices[0]->info, units[unit].num_devices);
    for (size_t i = 0; i < unit; i++) {
        const clv_hash other = clv_unit_key(&units[i].devices[0]->info, units[i].num_devices);
        if (other.low == key.low && other.high == key.high) {
            return true;
        }
    }
    return false;
}

static clv_status *tune(cleave_model *model, const cleave_options *options, tuner *t) {
    if (t->options->level > CLEAVE_TUNE_EXHAUSTIVE) {
        return CLV_ERROR(USAGE, "there is no level %d of tuning", (int)t->options->level);
    }
    CLV_TRY(clv_model_bind(model, options, CLV_BIND_VALUES, &t->graph));
    CLV_TRY(clv_passes_run(t->graph, NULL, NULL));
    CLV_TRY(clv_open_units_init(options->devices, true, &t->units));
    clv_open_units_set_exact(&t->units, options->exact);
    CLV_TRY(clv_graph_inputs_init(t->graph, &t->inputs));
    CLV_TRY(clv_user_costs_open(&t->db));
    clv_json_open_array(&t->writer, "units");
    for (size_t i = 0; i < t->units.num_units; i++) {
        if (!is_alike_before(t, i)) {
            CLV_TRY(tune_unit(t, i));
        }
    }
    clv_json_close(&t->writer);
    return NULL;
}

cleave_status *cleave_tune(
    cleave_model *model, const cleave_options *options, const cleave_tune_options *tune_options,
    char **out_json) {
    static const cleave_options defaults;
    static const cleave_tune_options tune_defaults = {.level = CLEAVE_TUNE_NORMAL};
    tuner t = {.options = tune_options != NULL ? tune_options : &tune_defaults};
    *out_json = NULL;
    clv_json_begin(&t.writer, 2);
    clv_status *status = tune(model, options != NULL ? options : &defaults, &t);
    if (status == NULL) {
        status = clv_json_take(&t.writer, out_json);
    }
    clv_json_deinit(&t.writer);
    clv_cost_db_close(t.db);
    clv_graph_inputs_deinit(&t.inputs);
    clv_open_units_deinit(&t.units);
    clv_graph_destroy(t.graph);
    return public_status(status);
}
