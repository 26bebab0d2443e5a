/* Operators of a session under what its units reach at best. */
#include "host/report/roofline.h"
#include "host/api/session.h"

#include "host/base/memory.h"
#include "host/ir/call.h"
#include "host/ops/op.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for a roofline");
}

/* --- units ----------------------------------------------------------------------------------- */

static void add_reached(clv_reached *sum, const clv_reached *more) {
    sum->flops += more->flops;
    for (int i = 0; i < CLV_NUM_LEVELS; i++) {
        sum->bandwidth[i] += more->bandwidth[i];
    }
}

static const clv_roofline_unit *unit_named(
    const clv_roofline *r, const char *name, size_t length, size_t *out_index) {
    for (size_t i = 0; i < r->num_units; i++) {
        if (strlen(r->units[i].name) == length && memcmp(r->units[i].name, name, length) == 0) {
            *out_index = i;
            return &r->units[i];
        }
    }
    return NULL;
}

/* An operator in pieces is on "core:0,core:1": what these reach is added up. There is room for one
 * unit more for each operator. */
static uint32_t find_unit(clv_roofline *r, const char *name) {
    size_t index = 0;
    if (unit_named(r, name, strlen(name), &index) != NULL) {
        return (uint32_t)index;
    }
    clv_roofline_unit all = {.name = name};
    for (const char *at = name; *at != '\0';) {
        const size_t length = strcspn(at, ",");
        const clv_roofline_unit *one = unit_named(r, at, length, &index);
        if (one != NULL && all.ceilings.num_lanes == 0) {
            all.ceilings = one->ceilings;
        } else if (one != NULL) {
            add_reached(&all.ceilings.all, &one->ceilings.all);
            all.ceilings.num_lanes += one->ceilings.num_lanes;
            for (int i = 0; i < CLV_LEVEL_MEMORY; i++) {
                all.ceilings.level_bytes[i] += one->ceilings.level_bytes[i];
            }
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    r->units[r->num_units] = all;
    return (uint32_t)r->num_units++;
}

static clv_status *measure_units(const cleave_session *s, size_t num_nodes, clv_roofline *r) {
    r->units = clv_alloc_zeroed(s->units.num_units + num_nodes + 1, sizeof *r->units);
    if (r->units == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < s->units.num_units; i++) {
        clv_roofline_unit *unit = &r->units[i];
        unit->name = s->units.names[i].text;
        CLV_TRY(clv_unit_ceilings_measure(&s->units.units[i], &unit->ceilings));
        r->num_units++;
    }
    return NULL;
}

/* --- operators ------------------------------------------------------------------------------- */

static clv_status *add_op(
    clv_roofline *r, const clv_graph *graph, const clv_node_report *node_report) {
    const clv_node *node = &graph->nodes[node_report->node];
    clv_cost cost;
    if (node_report->variant == NULL || !(node_report->time_us > 0)) {
        return NULL; /* it runs nothing */
    }
    CLV_TRY(clv_node_cost(graph, node, &cost));
    r->ops[r->num_ops++] = (clv_roofline_op){
        .node = node->name,
        .op = node->op_type,
        .variant = node_report->variant,
        .unit = find_unit(r, node_report->unit),
        .flops = cost.flops,
        .bytes = cost.read_bytes + cost.write_bytes,
        .weight_bytes = cost.weight_bytes,
        .time_us = node_report->time_us,
        .launches = node_report->launches,
        .num_sums = node_report->num_sums,
    };
    return NULL;
}

static clv_status *add_ops(
    const cleave_session *s, const clv_session_report *exec, clv_roofline *r) {
    r->ops = clv_alloc_zeroed(exec->num_nodes + 1, sizeof *r->ops);
    if (r->ops == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < exec->num_nodes; i++) {
        CLV_TRY(add_op(r, s->graph, &exec->nodes[i]));
    }
    return NULL;
}

/* --- the report ------------------------------------------------------------------------------ */

static void write_reached(cJSON *item, const clv_reached *reached) {
    cJSON_AddNumberToObject(item, "peak_gflops", reached->flops * 1e-9);
    cJSON_AddNumberToObject(item, "bandwidth_gbs", reached->bandwidth[CLV_LEVEL_MEMORY] * 1e-9);
    cJSON *levels = cJSON_AddObjectToObject(item, "levels_gbs");
    for (int i = 0; i < CLV_NUM_LEVELS; i++) {
        if (reached->bandwidth[i] > 0) {
            cJSON_AddNumberToObject(
                levels, clv_memory_level_name((clv_memory_level)i), reached->bandwidth[i] * 1e-9);
        }
    }
}

static void write_unit(cJSON *units, const clv_roofline_unit *unit) {
    const clv_unit_ceilings *c = &unit->ceilings;
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "name", unit->name);
    cJSON_AddNumberToObject(item, "lanes", c->num_lanes);
    write_reached(item, &c->all);
    write_reached(cJSON_AddObjectToObject(item, "one_lane"), &c->one);
    cJSON *sizes = cJSON_AddObjectToObject(item, "levels_bytes");
    for (int i = 0; i < CLV_LEVEL_MEMORY; i++) {
        if (c->all.bandwidth[i] > 0) {
            cJSON_AddNumberToObject(
                sizes, clv_memory_level_name((clv_memory_level)i), (double)c->level_bytes[i]);
        }
    }
    cJSON_AddNumberToObject(item, "launch_us", c->launch_us);
    cJSON_AddNumberToObject(item, "multiply_add_ns", c->chain_ns);
    cJSON_AddNumberToObject(
        item, "sums_needed", c->one.flops / (2.0 * c->width) * c->chain_ns * 1e-9);
    if (c->memory_ns > 0) {
        cJSON_AddNumberToObject(item, "memory_ns", c->memory_ns);
        cJSON_AddNumberToObject(
            item, "bytes_needed", c->one.bandwidth[CLV_LEVEL_MEMORY] * c->memory_ns * 1e-9);
    }
    cJSON_AddItemToArray(units, item);
}

static void write_op(cJSON *ops, const clv_roofline *r, const clv_roofline_op *op) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "node", op->node);
    cJSON_AddStringToObject(item, "op", op->op);
    cJSON_AddStringToObject(item, "unit", r->units[op->unit].name);
    cJSON_AddStringToObject(item, "variant", op->variant);
    cJSON_AddNumberToObject(item, "flops", op->flops);
    cJSON_AddNumberToObject(item, "bytes", op->bytes);
    cJSON_AddNumberToObject(item, "weight_bytes", op->weight_bytes);
    cJSON_AddNumberToObject(item, "intensity", op->intensity);
    cJSON_AddNumberToObject(item, "time_us", op->time_us);
    cJSON_AddNumberToObject(item, "gflops", op->flops / op->time_us * 1e-3);
    cJSON_AddNumberToObject(item, "gbs", op->bytes / op->time_us * 1e-3);
    cJSON_AddStringToObject(item, "bound", op->bound);
    cJSON_AddNumberToObject(item, "least_us", op->least_us);
    cJSON_AddNumberToObject(item, "of_ceiling", op->least_us / op->time_us);
    if (op->num_sums != 0) {
        cJSON_AddNumberToObject(item, "sums", op->num_sums);
        cJSON_AddNumberToObject(item, "sums_needed", op->needed);
    }
    cJSON_AddItemToArray(ops, item);
}

static clv_status *write_all(const clv_roofline *r, char **out_json, char **out_html) {
    cJSON *report = cJSON_CreateObject();
    cJSON *units = cJSON_AddArrayToObject(report, "units");
    for (size_t i = 0; i < r->num_units; i++) {
        write_unit(units, &r->units[i]);
    }
    cJSON *ops = cJSON_AddArrayToObject(report, "ops");
    for (size_t i = 0; i < r->num_ops; i++) {
        write_op(ops, r, &r->ops[i]);
    }
    char *page = NULL;
    clv_status *status = out_html != NULL ? clv_roofline_page(r, &page) : NULL;
    if (status != NULL) {
        cJSON_Delete(report);
        return status;
    }
    status = clv_report_take(report, out_json);
    if (status != NULL) {
        clv_free(page);
        page = NULL;
    }
    if (out_html != NULL) {
        *out_html = page;
    }
    return status;
}

static clv_status *make(cleave_session *s, clv_roofline *r, char **out_json, char **out_html) {
    const clv_session_report *exec = clv_session_report_get(s->session);
    if (!s->profile || s->num_requests == 0) {
        return CLV_ERROR(
            USAGE, "a roofline needs a session that %s",
            s->profile ? "has served requests" : "was made with `profile`");
    }
    CLV_TRY(measure_units(s, exec->num_nodes, r));
    CLV_TRY(add_ops(s, exec, r));
    clv_roofline_place(r);
    return write_all(r, out_json, out_html);
}

cleave_status *cleave_session_roofline(cleave_session *session, char **out_json, char **out_html) {
    char title[256];
    clv_roofline r = {.title = title};
    *out_json = NULL;
    if (out_html != NULL) {
        *out_html = NULL;
    }
    pthread_mutex_lock(&session->lock);
    clv_status *status = clv_recovery_settle(session);
    if (status == NULL) {
        snprintf(
            title, sizeof title, "Roofline of %.160s on %.64s",
            session->graph->name != NULL ? session->graph->name : "a model", session->devices);
        status = make(session, &r, out_json, out_html);
    }
    pthread_mutex_unlock(&session->lock);
    clv_free(r.units);
    clv_free(r.ops);
    return public_status(status);
}
