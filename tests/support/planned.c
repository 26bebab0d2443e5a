#include "tests/support/planned.h"

#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/base/text.h"
#include "host/exec/footprint.h"
#include "host/onnx/onnx.h"
#include "host/passes/bind.h"
#include "host/passes/passes.h"
#include "host/workload/from_graph.h"
#include "scheduler/steady.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORD = 1000 };

typedef struct settings {
    char machine[MAX_WORD], policy[MAX_WORD], model[MAX_WORD], tasks_file[MAX_WORD];
    clv_plan_request plan;
    clv_schedule_request schedule;
    double dispatch_us;
    bool is_dynamic;
    const char *tasks;
} settings;

static clv_status *read_number(const char *key, const char *word, double *out_value) {
    if (strcmp(word, "all") == 0) {
        *out_value = CLV_DEPTH_UNLIMITED;
        return NULL;
    }
    return clv_parse_double(word, out_value) ? NULL
                                             : CLV_ERROR(USAGE, "%s '%s': no number", key, word);
}

static clv_status *read_setting(settings *s, const char *key, const char *word) {
    double value = 0;
    if (strcmp(key, "machine") == 0) {
        snprintf(s->machine, sizeof s->machine, "%s", word);
    } else if (strcmp(key, "policy") == 0) {
        snprintf(s->policy, sizeof s->policy, "%s", word);
    } else if (strcmp(key, "model") == 0) {
        snprintf(s->model, sizeof s->model, "%s", word);
    } else if (strcmp(key, "tasks") == 0) {
        snprintf(s->tasks_file, sizeof s->tasks_file, "%s", word);
    } else if (strcmp(key, "objective") == 0) {
        s->plan.has_objective = true;
        s->plan.objective = strcmp(word, "latency") == 0 ? CLV_LATENCY : CLV_THROUGHPUT;
    } else if (strcmp(key, "mode") == 0) {
        s->is_dynamic = strcmp(word, "dynamic") == 0;
    } else {
        CLV_TRY(read_number(key, word, &value));
        if (strcmp(key, "requests") == 0) {
            s->schedule.num_requests = (uint32_t)value;
        } else if (strcmp(key, "depth") == 0) {
            s->schedule.depth = (uint32_t)value;
        } else if (strcmp(key, "chunks") == 0) {
            s->schedule.num_chunks = (uint32_t)value;
        } else if (strcmp(key, "dispatch") == 0) {
            s->dispatch_us = value;
        } else {
            return CLV_ERROR(USAGE, "unknown setting '%s'", key);
        }
    }
    return NULL;
}

static clv_status *read_settings(const char *source, settings *s) {
    *s = (settings){.schedule.num_requests = 1, .plan.allow_idle = true};
    snprintf(s->policy, sizeof s->policy, "auto");
    while (*source != '\0' && *source != '{') {
        char key[32], word[MAX_WORD];
        size_t length = strcspn(source, "\n");
        if (length > 0 && *source != '#') {
            if (length >= MAX_WORD || sscanf(source, "%31s %999[^\n]", key, word) != 2) {
                return CLV_ERROR(USAGE, "cannot read '%.*s'", (int)length, source);
            }
            CLV_TRY(read_setting(s, key, word));
        }
        source += length + (source[length] == '\n');
    }
    s->tasks = source;
    s->plan.policy = s->policy;
    return NULL;
}

/* "FILE DIM=SIZE ..." */
static clv_status *load_model(const char *root, char *words, clv_workload **out_workload) {
    clv_bound_dim dims[8];
    clv_bindings bindings = {.dims = dims};
    char path[2 * MAX_WORD], *rest = NULL, *word = strtok_r(words, " ", &rest);
    clv_graph *graph = NULL;
    snprintf(path, sizeof path, "%s/%s", root, word);
    while ((word = strtok_r(NULL, " ", &rest)) != NULL && bindings.num_dims < 8) {
        char *equals = strchr(word, '=');
        if (equals == NULL || !clv_parse_int64(equals + 1, &dims[bindings.num_dims].size)) {
            return CLV_ERROR(USAGE, "'%s' is not DIM=SIZE", word);
        }
        *equals = '\0';
        dims[bindings.num_dims++].name = word;
    }
    CLV_TRY(clv_onnx_load(path, NULL, &graph));
    clv_status *status = clv_bind_shapes(graph, &bindings);
    if (status == NULL) {
        status = clv_passes_run(graph, NULL, NULL);
    }
    if (status == NULL) {
        status = clv_workload_from_graph(graph, out_workload);
    }
    if (status == NULL) { /* as of a machine's file */
        const clv_traits core = clv_plain_core_traits();
        status = clv_workload_set_footprint(graph, &core, NULL, *out_workload);
        if (status != NULL) {
            clv_workload_destroy(*out_workload);
            *out_workload = NULL;
        }
    }
    clv_graph_destroy(graph);
    return status;
}

/* Units of a machine made for the network: by type or by node, as many as the policy needs. */
static clv_status *make_units(
    const clv_machine *pattern, const clv_workload *workload, clv_machine **out_machine) {
    const char **kinds = clv_alloc_zeroed((size_t)workload->num_tasks + 1, sizeof *kinds);
    clv_name_map seen;
    size_t num_kinds = 0;
    clv_name_map_init(&seen);
    for (uint32_t i = 0; kinds != NULL && i < workload->num_tasks; i++) {
        const clv_task *task = &workload->tasks[i];
        const char *kind = pattern->bespoke == CLV_BESPOKE_TYPE ? task->type : task->name;
        if (clv_name_map_find(&seen, kind) == NULL && clv_name_map_set(&seen, kind, 1)) {
            kinds[num_kinds++] = kind;
        }
    }
    clv_status *status = clv_machine_instantiate(pattern, kinds, num_kinds, out_machine);
    clv_name_map_deinit(&seen);
    clv_free(kinds);
    return status;
}

static clv_status *make_machine(
    const char *root, const settings *s, const clv_workload *workload, clv_machine **out_machine) {
    char path[2 * MAX_WORD];
    clv_machine *pattern;
    bool is_file = strstr(s->machine, ".json") != NULL;
    snprintf(path, sizeof path, "%s/%s", root, s->machine);
    CLV_TRY(clv_machine_load(is_file ? path : s->machine, &pattern));
    uint32_t copies;
    clv_status *status = clv_policy_copies(s->policy, &copies);
    if (status == NULL) {
        pattern->pattern_count *= copies;
        status = make_units(pattern, workload, out_machine);
    }
    clv_machine_destroy(pattern);
    return status;
}

void planned_drop(planned *p) {
    clv_timeline_destroy(p->timeline);
    clv_run_destroy(p->run);
    clv_schedule_destroy(p->schedule);
    clv_plan_destroy(p->plan);
    clv_costs_destroy(p->costs);
    clv_machine_destroy(p->machine);
    clv_workload_destroy(p->workload);
    *p = (planned){.workload = NULL};
}

static clv_status *make(const char *root, settings *s, planned *p) {
    if (s->model[0] != '\0') {
        CLV_TRY(load_model(root, s->model, &p->workload));
    } else if (s->tasks_file[0] != '\0') {
        char path[2 * MAX_WORD];
        snprintf(path, sizeof path, "%s/%s", root, s->tasks_file);
        CLV_TRY(clv_workload_load(path, &p->workload));
    } else {
        CLV_TRY(
            clv_workload_parse_json("the task graph", s->tasks, strlen(s->tasks), &p->workload));
    }
    CLV_TRY(make_machine(root, s, p->workload, &p->machine));
    CLV_TRY(clv_costs_create(p->workload, p->machine, &p->costs));
    p->costs->ask_clock = clv_steady_state;
    CLV_TRY(clv_plan_create(p->costs, &s->plan, &p->plan));
    CLV_TRY(clv_plan_verify(p->costs, p->plan));
    CLV_TRY(clv_schedule_create(p->costs, p->plan, &s->schedule, &p->schedule));
    CLV_TRY(clv_schedule_verify(p->schedule, NULL, false));
    clv_clock_request clock = {
        .mode = s->is_dynamic ? CLV_CLOCK_DYNAMIC : CLV_CLOCK_STATIC,
        .dispatch_us = s->dispatch_us};
    CLV_TRY(clv_clock_run(p->schedule, &clock, &p->run));
    CLV_TRY(clv_schedule_verify(p->schedule, p->run, s->is_dynamic));
    p->is_dynamic = s->is_dynamic;
    return clv_timeline_create(p->schedule, p->run, &p->timeline);
}

clv_status *planned_make(const char *root, const char *source, planned *out_planned) {
    settings s;
    *out_planned = (planned){.workload = NULL};
    CLV_TRY(read_settings(source, &s));
    clv_status *status = make(root, &s, out_planned);
    if (status != NULL) {
        planned_drop(out_planned);
    }
    return status;
}
