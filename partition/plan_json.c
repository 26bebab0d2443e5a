/* Plans as JSON, docs/plans.md. What a file says of speed is for people; it is worked out anew when
 * the file is read. */
#include "host/base/hash.h"
#include "host/base/json.h"
#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/base/text.h"
#include "partition/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a plan file")

static const char *const format_name = "cleave-plan-1";

enum { MAX_WHERE = 64, MAX_GROUPS = 65536, MAX_PLACEMENTS = 1 << 26 };
/* Operators of all replicas from which on those of replicas that are alike are written once. */
enum { MANY_OPS = 4096 };

/* --- writing --- */

/* null: what takes no time has no bound on its rate. */
static void write_number(clv_text *text, const char *key, double value) {
    if (isfinite(value)) {
        clv_text_add(text, "\"%s\": %.17g", key, value);
    } else {
        clv_text_add(text, "\"%s\": null", key);
    }
}

static void write_string(clv_text *text, const char *key, const char *value) {
    clv_text_add(text, "\"%s\": ", key);
    clv_text_add_json(text, value != NULL ? value : "");
}

static double per_second(double period_us) {
    return 1e6 / period_us;
}

static void write_head(const clv_costs *costs, const clv_plan *plan, clv_text *text) {
    char hash[33];
    clv_hash_format(plan->workload_hash, hash);
    clv_text_add(text, "{\n  \"format\": \"%s\",\n  ", format_name);
    write_string(text, "workload", costs->workload->name);
    clv_text_add(text, ",\n  \"workload_hash\": \"%s\",\n  ", hash);
    write_string(text, "machine", costs->machine->name);
    clv_text_add(text, ",\n  \"units\": [");
    for (uint32_t i = 0; i < costs->machine->num_units; i++) {
        const clv_unit *unit = &costs->machine->units[i];
        clv_text_add(text, "%s\n    {", i > 0 ? "," : "");
        write_string(text, "name", unit->name);
        clv_text_add(text, ", ");
        write_string(text, "kind", unit->kind);
        clv_text_add(text, ", ");
        write_string(text, "driver", unit->driver);
        clv_text_add(text, ", \"memory_bytes\": %llu}", (unsigned long long)plan->memory_bytes[i]);
    }
    clv_text_add(text, "\n  ],\n  ");
    write_string(text, "policy", plan->policy);
    clv_text_add(
        text, ",\n  \"objective\": \"%s\",\n  \"depth\": %u,\n  ",
        plan->objective == CLV_LATENCY ? "latency" : "throughput", plan->depth);
    write_number(text, "predicted_throughput_per_s", per_second(plan->period_us));
    clv_text_add(text, ",\n  ");
    write_number(text, "predicted_latency_ms", plan->latency_us / 1e3);
    clv_text_add(text, ",\n  ");
    if (plan->best_single_unit != CLV_NO_INDEX) {
        clv_text_add(text, "\"best_single\": {");
        write_string(text, "unit", costs->machine->units[plan->best_single_unit].name);
        clv_text_add(text, ", ");
        write_number(text, "throughput_per_s", per_second(plan->best_single_period_us));
        clv_text_add(text, ", ");
        write_number(text, "latency_ms", plan->best_single_latency_us / 1e3);
        clv_text_add(text, "},\n  ");
    }
    write_number(text, "gain", plan->gain);
    clv_text_add(text, ",\n  \"worth_it\": %s,\n  ", plan->worth_it ? "true" : "false");
    write_string(text, "limit", plan->limit);
    clv_text_add(text, ",\n  ");
    write_string(text, "method", plan->method);
}

static void write_op(
    const clv_costs *costs, const clv_plan *plan, uint32_t g, uint32_t task, clv_text *text) {
    const clv_group *group = &plan->groups[g];
    const clv_placement *p = &group->placements[task];
    const clv_piece *pieces = &group->pieces[p->first_piece];
    const clv_unit *units = costs->machine->units;
    double cost_us = 0;
    clv_text_add(text, "    {");
    write_string(text, "node", costs->workload->tasks[task].name);
    clv_text_add(text, ", \"replica\": %u, \"stage\": %u, ", g, p->stage);
    for (uint32_t k = 0; k < p->num_pieces; k++) {
        cost_us = fmax(cost_us, clv_piece_time_us(costs, task, p, &pieces[k]));
    }
    if (p->split < 0) {
        write_string(text, "unit", units[pieces[0].unit].name);
    } else {
        write_string(text, "split", costs->workload->tasks[task].splits[p->split].name);
        clv_text_add(text, ", \"units\": [");
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            clv_text_add(text, "%s", k > 0 ? ", " : "");
            clv_text_add_json(text, units[pieces[k].unit].name);
        }
        clv_text_add(text, "], \"ends\": [");
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            clv_text_add(text, "%s%lld", k > 0 ? ", " : "", (long long)pieces[k].end);
        }
        clv_text_add(text, "]");
    }
    clv_text_add(text, ", ");
    write_number(text, "cost_us", cost_us);
    clv_text_add(
        text, ", \"origin\": \"%s\", ",
        clv_origin_name(clv_costs_origin(costs, task, pieces[0].unit)));
    write_string(text, "reason", p->reason);
    clv_text_add(text, "}");
}

static uint32_t task_at(const clv_group *group, uint32_t i) {
    return group->order != NULL ? group->order[i] : i;
}

/* Units of a group in the order in which its operators name them first. */
typedef struct unit_list {
    uint32_t *units, count;
    uint32_t *index_of; /* [num_units]: in the list; else CLV_NO_INDEX */
} unit_list;

static void unit_list_deinit(unit_list *list) {
    clv_free(list->units);
    clv_free(list->index_of);
}

static bool unit_list_init(const clv_costs *costs, unit_list *list) {
    uint32_t num_units = costs->machine->num_units;
    *list = (unit_list){
        .units = clv_alloc_zeroed(num_units, sizeof *list->units),
        .index_of = clv_alloc_zeroed(num_units, sizeof *list->index_of)};
    for (uint32_t i = 0; list->index_of != NULL && i < num_units; i++) {
        list->index_of[i] = CLV_NO_INDEX;
    }
    return list->units != NULL && list->index_of != NULL;
}

static void list_units_of(const clv_costs *costs, const clv_group *group, unit_list *list) {
    while (list->count > 0) {
        list->index_of[list->units[--list->count]] = CLV_NO_INDEX;
    }
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        const clv_placement *p = &group->placements[task_at(group, i)];
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            uint32_t unit = group->pieces[p->first_piece + k].unit;
            if (list->index_of[unit] == CLV_NO_INDEX) {
                list->index_of[unit] = list->count;
                list->units[list->count++] = unit;
            }
        }
    }
}

/* Of the operators of a group with its units by their place in the list. */
static clv_hash hash_ops(const clv_costs *costs, const clv_group *group, const unit_list *list) {
    clv_hash hash = {0};
    for (uint32_t i = 0; i < costs->workload->num_tasks; i++) {
        uint32_t task = task_at(group, i);
        const clv_placement *p = &group->placements[task];
        int64_t words[] = {task, p->split, p->stage, p->num_pieces};
        hash = clv_hash_combine(hash, clv_hash_bytes(words, sizeof words));
        for (uint32_t k = 0; k < p->num_pieces; k++) {
            const clv_piece *piece = &group->pieces[p->first_piece + k];
            int64_t one[] = {list->index_of[piece->unit], piece->end};
            hash = clv_hash_combine(hash, clv_hash_bytes(one, sizeof one));
        }
    }
    return hash;
}

/* The first replica whose operators are on its units as this one's are on the listed ones. */
static clv_status *find_like(
    const clv_costs *costs, const clv_plan *plan, uint32_t g, unit_list *list, clv_name_map *known,
    uint32_t *out_like) {
    char name[33];
    *out_like = g;
    if ((uint64_t)plan->num_groups * costs->workload->num_tasks < MANY_OPS) {
        return NULL;
    }
    list_units_of(costs, &plan->groups[g], list);
    clv_hash_format(hash_ops(costs, &plan->groups[g], list), name);
    const uint32_t *like = clv_name_map_find(known, name);
    if (like != NULL) {
        *out_like = *like;
        return NULL;
    }
    return clv_name_map_set(known, name, g) ? NULL : NO_MEMORY_HERE();
}

/* out_like: [num_groups] */
static clv_status *write_groups(
    const clv_costs *costs, const clv_plan *plan, clv_text *text, uint32_t *out_like) {
    clv_name_map known;
    unit_list list;
    clv_status *status = NULL;
    clv_name_map_init(&known);
    if (!unit_list_init(costs, &list)) {
        status = NO_MEMORY_HERE();
    }
    for (uint32_t g = 0; status == NULL && g < plan->num_groups; g++) {
        const clv_group *group = &plan->groups[g];
        clv_text_add(text, "%s\n    {", g > 0 ? "," : "");
        write_number(text, "share", group->share);
        clv_text_add(
            text, ", \"depth\": %u, \"stages\": %u, \"serial\": %s, \"ordered\": %s", group->depth,
            group->num_stages, group->is_serial ? "true" : "false",
            group->order != NULL ? "true" : "false");
        status = find_like(costs, plan, g, &list, &known, &out_like[g]);
        if (status == NULL && out_like[g] != g) {
            clv_text_add(text, ", \"like\": %u, \"units\": [", out_like[g]);
            for (uint32_t i = 0; i < list.count; i++) {
                clv_text_add(text, "%s", i > 0 ? ", " : "");
                clv_text_add_json(text, costs->machine->units[list.units[i]].name);
            }
            clv_text_add(text, "]");
        }
        clv_text_add(text, "}");
    }
    unit_list_deinit(&list);
    clv_name_map_deinit(&known);
    return status;
}

clv_status *clv_plan_format_json(const clv_costs *costs, const clv_plan *plan, char **out_json) {
    clv_text text;
    bool is_first = true;
    uint32_t *like = clv_alloc_zeroed(plan->num_groups, sizeof *like);
    *out_json = NULL;
    clv_text_init(&text);
    write_head(costs, plan, &text);
    clv_text_add(&text, ",\n  \"replicas\": [");
    clv_status *status = like != NULL ? write_groups(costs, plan, &text, like) : NO_MEMORY_HERE();
    clv_text_add(&text, "\n  ],\n  \"ops\": [\n");
    for (uint32_t g = 0; status == NULL && g < plan->num_groups; g++) {
        for (uint32_t i = 0; like[g] == g && i < costs->workload->num_tasks; i++) {
            clv_text_add(&text, "%s", is_first ? "" : ",\n");
            write_op(costs, plan, g, task_at(&plan->groups[g], i), &text);
            is_first = false;
        }
    }
    clv_text_add(&text, "\n  ]\n}\n");
    if (status == NULL) {
        status = clv_text_take(&text, out_json);
    }
    clv_text_deinit(&text);
    clv_free(like);
    return status;
}

/* --- reading --- */

typedef struct plan_reader {
    const clv_costs *costs;
    clv_plan *plan;
    clv_name_map tasks, units;
    uint32_t *num_ops;         /* [num_groups] */
    bool *is_ordered;          /* [num_groups]: units keep to the order even where they need not */
    uint32_t *capacity_pieces; /* [num_groups] */
    const cJSON **items;       /* [num_groups] */
    unit_list list;            /* of the replica that the one at hand is like */
} plan_reader;

static clv_status *check_machine(const clv_costs *costs, const cJSON *root) {
    const cJSON *array, *item;
    uint32_t i = 0;
    CLV_TRY(clv_json_get_array(root, "plan", "units", &array));
    cJSON_ArrayForEach(item, array) {
        char where[MAX_WHERE];
        const char *name, *kind, *driver;
        snprintf(where, sizeof where, "units[%u]", i);
        CLV_TRY(clv_json_get_string(item, where, "name", &name));
        CLV_TRY(clv_json_get_string(item, where, "kind", &kind));
        CLV_TRY(clv_json_get_string(item, where, "driver", &driver));
        if (i == costs->machine->num_units) {
            i = (uint32_t)cJSON_GetArraySize(array);
            break;
        }
        const clv_unit *unit = &costs->machine->units[i];
        if (strcmp(unit->name, name) != 0 || strcmp(unit->kind, kind) != 0 ||
            strcmp(unit->driver, driver) != 0) {
            return CLV_ERROR(
                MALFORMED,
                "the plan was made for another machine: its unit %u is '%s' (%s, '%s'), here it "
                "is '%s' (%s, '%s')",
                i, name, kind, driver, unit->name, unit->kind, unit->driver);
        }
        i++;
    }
    return i == costs->machine->num_units
               ? NULL
               : CLV_ERROR(
                     MALFORMED,
                     "the plan was made for another machine: it has %u unit%s, here %s %u", i,
                     i == 1 ? "" : "s", costs->machine->num_units == 1 ? "is" : "are",
                     costs->machine->num_units);
}

static clv_status *read_head(plan_reader *r, const cJSON *root) {
    static const char *const keys[] = {
        "format",   "workload",  "workload_hash", "machine",     "units",
        "policy",   "objective", "depth",         "gain",        "predicted_throughput_per_s",
        "worth_it", "limit",     "method",        "best_single", "predicted_latency_ms",
        "replicas", "ops"};
    char expected[33];
    const char *format, *hash, *policy, *objective;
    clv_policy_spec spec;
    CLV_TRY(clv_json_known_keys(root, "plan", keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(root, "plan", "format", &format));
    if (strcmp(format, format_name) != 0) {
        return CLV_ERROR(MALFORMED, "format is '%s', must be '%s'", format, format_name);
    }
    CLV_TRY(clv_json_get_string(root, "plan", "workload_hash", &hash));
    clv_hash_format(r->costs->workload->hash, expected);
    if (strcmp(hash, expected) != 0) {
        return CLV_ERROR(
            MALFORMED, "the plan was made for another model: its hash is %s, '%s' has %s", hash,
            r->costs->workload->name, expected);
    }
    CLV_TRY(check_machine(r->costs, root));
    CLV_TRY(clv_json_get_string(root, "plan", "policy", &policy));
    clv_status *status = clv_policy_parse(policy, &spec);
    if (status != NULL && clv_status_code(status) == CLV_USAGE) {
        clv_status *malformed = CLV_ERROR(MALFORMED, "%s", clv_status_message(status));
        clv_status_destroy(status);
        return malformed;
    }
    CLV_TRY(status);
    CLV_TRY(clv_json_get_string(root, "plan", "objective", &objective));
    if (strcmp(objective, "latency") != 0 && strcmp(objective, "throughput") != 0) {
        return CLV_ERROR(MALFORMED, "objective '%s' is not latency or throughput", objective);
    }
    r->plan->objective = strcmp(objective, "latency") == 0 ? CLV_LATENCY : CLV_THROUGHPUT;
    r->plan->policy = clv_arena_strdup(&r->plan->arena, policy);
    r->plan->workload_hash = r->costs->workload->hash;
    r->plan->method = "read from a file";
    return r->plan->policy != NULL ? NULL : NO_MEMORY_HERE();
}

static clv_status *read_flag(
    const cJSON *item, const char *where, const char *key, bool fallback, bool *out_flag) {
    const cJSON *flag = clv_json_find(item, key);
    if (flag != NULL && !cJSON_IsBool(flag)) {
        return CLV_ERROR(MALFORMED, "%s: '%s' is neither true nor false", where, key);
    }
    *out_flag = flag != NULL ? cJSON_IsTrue(flag) : fallback;
    return NULL;
}

/* total: the replicas' depths. */
static clv_status *check_depth(const cJSON *root, int64_t total) {
    int64_t said;
    if (total > CLV_MOST_DEPTH) {
        return CLV_ERROR(
            MALFORMED, "the replicas' depths add up to %lld, at most %d requests may be in flight",
            (long long)total, (int)CLV_MOST_DEPTH);
    }
    if (clv_json_find(root, "depth") == NULL) {
        return NULL;
    }
    CLV_TRY(clv_json_get_int(root, "plan", "depth", 1, CLV_MOST_DEPTH, &said));
    if (said != total) {
        return CLV_ERROR(
            MALFORMED, "depth is %lld, and the replicas' depths add up to %lld", (long long)said,
            (long long)total);
    }
    return NULL;
}

static clv_status *read_groups(plan_reader *r, const cJSON *root) {
    static const char *const keys[] = {"share",   "depth", "stages", "serial",
                                       "ordered", "like",  "units"};
    const cJSON *array, *item;
    clv_plan *plan = r->plan;
    size_t tasks = r->costs->workload->num_tasks;
    int64_t total = 0;
    CLV_TRY(clv_json_get_array(root, "plan", "replicas", &array));
    size_t count = (size_t)cJSON_GetArraySize(array);
    if (count == 0 || count > MAX_GROUPS) {
        return CLV_ERROR(MALFORMED, "replicas: %zu, must be 1 to %d", count, (int)MAX_GROUPS);
    }
    if (count > r->costs->machine->num_units) {
        return CLV_ERROR(
            MALFORMED, "%zu replicas on %u unit%s; each has units of its own", count,
            r->costs->machine->num_units, r->costs->machine->num_units == 1 ? "" : "s");
    }
    if (count * tasks > MAX_PLACEMENTS) {
        return CLV_ERROR(
            MALFORMED, "%zu replicas of %zu operators are more than a plan may have (%d in all)",
            count, tasks, (int)MAX_PLACEMENTS);
    }
    plan->groups = clv_arena_alloc(&plan->arena, count, sizeof *plan->groups);
    r->items = clv_arena_alloc(&plan->arena, count, sizeof *r->items);
    r->is_ordered = clv_arena_alloc(&plan->arena, count, sizeof *r->is_ordered);
    r->num_ops = clv_arena_alloc(&plan->arena, count, sizeof *r->num_ops);
    r->capacity_pieces = clv_arena_alloc(&plan->arena, count, sizeof *r->capacity_pieces);
    if (plan->groups == NULL || r->items == NULL || r->is_ordered == NULL || r->num_ops == NULL ||
        r->capacity_pieces == NULL) {
        return NO_MEMORY_HERE();
    }
    cJSON_ArrayForEach(item, array) {
        char where[MAX_WHERE];
        clv_group *group = &plan->groups[plan->num_groups];
        int64_t depth, stages;
        r->items[plan->num_groups] = item;
        snprintf(where, sizeof where, "replicas[%u]", plan->num_groups++);
        CLV_TRY(clv_json_get_number(item, where, "share", 0, 1, &group->share));
        CLV_TRY(clv_json_get_int(item, where, "depth", 1, CLV_MOST_DEPTH, &depth));
        CLV_TRY(clv_json_get_int(item, where, "stages", 1, UINT32_MAX / 2, &stages));
        group->depth = (uint32_t)depth;
        group->num_stages = (uint32_t)stages;
        CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
        CLV_TRY(read_flag(item, where, "serial", false, &group->is_serial));
        CLV_TRY(read_flag(item, where, "ordered", true, &r->is_ordered[plan->num_groups - 1]));
        total += depth;
        group->placements = clv_arena_alloc(&plan->arena, tasks, sizeof *group->placements);
        group->order = clv_arena_alloc(&plan->arena, tasks, sizeof *group->order);
        if (group->placements == NULL || group->order == NULL) {
            return NO_MEMORY_HERE();
        }
    }
    return check_depth(root, total);
}

static clv_status *find_unit(
    const plan_reader *r, const char *where, const char *name, uint32_t *out_unit) {
    const uint32_t *unit = clv_name_map_find(&r->units, name);
    if (unit == NULL) {
        return CLV_ERROR(MALFORMED, "%s: the machine has no unit '%s'", where, name);
    }
    *out_unit = *unit;
    return NULL;
}

static clv_status *read_pieces(
    plan_reader *r, const cJSON *item, const char *where, const clv_task *task,
    clv_placement *placement, clv_piece *pieces) {
    const cJSON *units, *ends;
    const char *name;
    placement->split = -1;
    bool is_whole = clv_json_find(item, "split") == NULL;
    const char *others[] = {is_whole ? "units" : "unit", is_whole ? "ends" : "unit"};
    for (int i = 0; i < 2; i++) {
        if (clv_json_find(item, others[i]) != NULL) {
            return CLV_ERROR(
                MALFORMED,
                "%s: '%s' is %s and has '%s': whole operators have 'unit', split ones "
                "'units' and 'ends'",
                where, task->name, is_whole ? "whole" : "split", others[i]);
        }
    }
    if (is_whole) {
        CLV_TRY(clv_json_get_string(item, where, "unit", &name));
        return find_unit(r, where, name, &pieces[0].unit);
    }
    CLV_TRY(clv_json_get_string(item, where, "split", &name));
    for (uint32_t i = 0; i < task->num_splits; i++) {
        if (placement->split < 0 && strcmp(task->splits[i].name, name) == 0) {
            placement->split = (int32_t)i;
        }
    }
    if (placement->split < 0) {
        return CLV_ERROR(MALFORMED, "%s: '%s' has no split '%s'", where, task->name, name);
    }
    CLV_TRY(clv_json_get_array(item, where, "units", &units));
    CLV_TRY(clv_json_get_array(item, where, "ends", &ends));
    if (cJSON_GetArraySize(units) != cJSON_GetArraySize(ends)) {
        return CLV_ERROR(MALFORMED, "%s: units and ends differ in number", where);
    }
    const cJSON *unit = units->child, *end = ends->child;
    int64_t begin = 0;
    for (uint32_t k = 0; k < placement->num_pieces; k++, unit = unit->next, end = end->next) {
        if (!cJSON_IsString(unit) || !cJSON_IsNumber(end) || !(end->valuedouble >= 0) ||
            end->valuedouble > (double)CLV_JSON_MOST_INTEGER ||
            end->valuedouble != floor(end->valuedouble)) {
            return CLV_ERROR(
                MALFORMED, "%s: units must be names, ends whole numbers from 0 on", where);
        }
        CLV_TRY(find_unit(r, where, unit->valuestring, &pieces[k].unit));
        pieces[k].begin = begin;
        pieces[k].end = begin = (int64_t)end->valuedouble;
    }
    return NULL;
}

static clv_status *read_op(plan_reader *r, const cJSON *item, uint32_t index) {
    static const char *const keys[] = {"node",  "replica", "stage",   "unit",   "units",
                                       "split", "ends",    "cost_us", "origin", "reason"};
    char where[MAX_WHERE];
    const char *node, *reason = "";
    int64_t replica, stage;
    snprintf(where, sizeof where, "ops[%u]", index);
    CLV_TRY(clv_json_known_keys(item, where, keys, sizeof keys / sizeof keys[0]));
    CLV_TRY(clv_json_get_string(item, where, "node", &node));
    CLV_TRY(clv_json_get_int(item, where, "replica", 0, r->plan->num_groups - 1, &replica));
    CLV_TRY(clv_json_get_int(item, where, "stage", 0, UINT32_MAX / 2, &stage));
    if (clv_json_find(item, "reason") != NULL) {
        CLV_TRY(clv_json_get_string(item, where, "reason", &reason));
    }
    const uint32_t *task = clv_name_map_find(&r->tasks, node);
    clv_group *group = &r->plan->groups[replica];
    if (task == NULL) {
        return CLV_ERROR(MALFORMED, "%s: the model has no node '%s'", where, node);
    }
    clv_placement *placement = &group->placements[*task];
    if (placement->num_pieces > 0) {
        return CLV_ERROR(
            MALFORMED, "%s: '%s' is placed twice in replica %lld", where, node, (long long)replica);
    }
    const cJSON *units = clv_json_find(item, "units");
    bool is_split = clv_json_find(item, "split") != NULL && cJSON_IsArray(units);
    uint32_t count = is_split ? (uint32_t)cJSON_GetArraySize(units) : 1;
    size_t needed = (size_t)group->num_pieces + count;
    if (count == 0 || needed > UINT32_MAX / 2) {
        return CLV_ERROR(MALFORMED, "%s: '%s' is on no unit", where, node);
    }
    if (needed > r->capacity_pieces[replica]) {
        size_t capacity = 2 * needed + r->costs->workload->num_tasks;
        clv_piece *pieces = clv_arena_alloc(&r->plan->arena, capacity, sizeof *pieces);
        if (pieces == NULL) {
            return NO_MEMORY_HERE();
        }
        if (group->num_pieces > 0) {
            memcpy(pieces, group->pieces, group->num_pieces * sizeof *pieces);
        }
        group->pieces = pieces;
        r->capacity_pieces[replica] = (uint32_t)capacity;
    }
    *placement = (clv_placement){
        .first_piece = group->num_pieces,
        .num_pieces = count,
        .stage = (uint32_t)stage,
        .reason = clv_arena_strdup(&r->plan->arena, reason)};
    if (placement->reason == NULL) {
        return NO_MEMORY_HERE();
    }
    group->num_pieces += count;
    group->order[r->num_ops[replica]++] = *task;
    return read_pieces(
        r, item, where, &r->costs->workload->tasks[*task], placement,
        &group->pieces[placement->first_piece]);
}

/* Places the operators of a replica as those of `from`, on `units` for those listed of it. */
static clv_status *copy_group(
    plan_reader *r, const clv_group *from, const uint32_t *units, const char *reason,
    clv_group *group) {
    uint32_t num_tasks = r->costs->workload->num_tasks;
    group->num_pieces = from->num_pieces;
    group->pieces = clv_arena_alloc(&r->plan->arena, from->num_pieces, sizeof *group->pieces);
    if (group->pieces == NULL || reason == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < num_tasks; i++) {
        group->order[i] = task_at(from, i);
        group->placements[i] = from->placements[i];
        group->placements[i].reason = reason;
    }
    for (uint32_t k = 0; k < from->num_pieces; k++) {
        group->pieces[k] = from->pieces[k];
        group->pieces[k].unit = units[r->list.index_of[from->pieces[k].unit]];
    }
    return NULL;
}

/* A replica that says which earlier one it is like, and on which units. */
static clv_status *read_like(plan_reader *r, uint32_t g) {
    char where[MAX_WHERE];
    const cJSON *names;
    int64_t like;
    uint32_t count = 0;
    snprintf(where, sizeof where, "replicas[%u]", g);
    if (g == 0) {
        return CLV_ERROR(MALFORMED, "%s: there is no replica before it to be like", where);
    }
    CLV_TRY(clv_json_get_int(r->items[g], where, "like", 0, g - 1, &like));
    CLV_TRY(clv_json_get_array(r->items[g], where, "units", &names));
    if (r->num_ops[g] > 0 || clv_json_find(r->items[like], "like") != NULL) {
        return CLV_ERROR(
            MALFORMED, "%s: %s", where,
            r->num_ops[g] > 0 ? "it is like another, and has operators of its own"
                              : "the one that it is like is like another");
    }
    const clv_group *from = &r->plan->groups[like];
    list_units_of(r->costs, from, &r->list);
    uint32_t *units = clv_alloc_zeroed(r->list.count, sizeof *units);
    clv_status *status = units != NULL ? NULL : NO_MEMORY_HERE();
    for (const cJSON *name = names->child; status == NULL && name != NULL; name = name->next) {
        if (!cJSON_IsString(name) || count == r->list.count) {
            break;
        }
        status = find_unit(r, where, name->valuestring, &units[count++]);
    }
    if (status == NULL &&
        (count < r->list.count || (uint32_t)cJSON_GetArraySize(names) != r->list.count)) {
        status = CLV_ERROR(
            MALFORMED, "%s: units must be %u names, as replica %lld is on so many", where,
            r->list.count, (long long)like);
    }
    if (status == NULL) {
        const char *reason =
            clv_arena_printf(&r->plan->arena, "as in replica %lld", (long long)like);
        status = copy_group(r, from, units, reason, &r->plan->groups[g]);
    }
    clv_free(units);
    return status;
}

/* A replica has the stages that its operators name. */
static clv_status *check_stages(const plan_reader *r, uint32_t g) {
    const clv_group *group = &r->plan->groups[g];
    uint32_t num_stages = 0;
    for (uint32_t i = 0; i < r->costs->workload->num_tasks; i++) {
        uint32_t stage = group->placements[i].stage;
        num_stages = stage >= num_stages ? stage + 1 : num_stages;
    }
    if (group->num_stages > num_stages) { /* of fewer, clv_plan_verify names the operator */
        return CLV_ERROR(
            MALFORMED, "replicas[%u].stages is %u, its operators name %u", g, group->num_stages,
            num_stages);
    }
    return NULL;
}

static clv_status *read_ops(plan_reader *r, const cJSON *root) {
    const clv_workload *workload = r->costs->workload;
    const cJSON *array, *item;
    uint32_t index = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        if (!clv_name_map_set(&r->tasks, workload->tasks[i].name, i)) {
            return NO_MEMORY_HERE();
        }
    }
    for (uint32_t i = 0; i < r->costs->machine->num_units; i++) {
        if (!clv_name_map_set(&r->units, r->costs->machine->units[i].name, i)) {
            return NO_MEMORY_HERE();
        }
    }
    CLV_TRY(clv_json_get_array(root, "plan", "ops", &array));
    cJSON_ArrayForEach(item, array) {
        CLV_TRY(read_op(r, item, index++));
    }
    for (uint32_t g = 0; g < r->plan->num_groups; g++) {
        clv_group *group = &r->plan->groups[g];
        bool is_by_index = !r->is_ordered[g];
        if (clv_json_find(r->items[g], "like") != NULL) {
            CLV_TRY(read_like(r, g));
        }
        for (uint32_t i = 0; i < workload->num_tasks; i++) {
            is_by_index = is_by_index && group->order[i] == i;
            if (group->placements[i].num_pieces == 0) {
                return CLV_ERROR(
                    MALFORMED, "replica %u does not say where '%s' runs", g,
                    workload->tasks[i].name);
            }
        }
        group->order = is_by_index ? NULL : group->order;
        CLV_TRY(check_stages(r, g));
    }
    return NULL;
}

static clv_status *read_plan(plan_reader *r, const char *json, size_t length) {
    cJSON *root = NULL;
    clv_status *status = NULL;
    CLV_TRY(clv_json_parse(NULL, json, length, &root));
    if (!cJSON_IsObject(root)) {
        status = CLV_ERROR(MALFORMED, "a plan must be an object");
        goto done;
    }
    CLV_TRY_DONE(read_head(r, root));
    CLV_TRY_DONE(read_groups(r, root));
    CLV_TRY_DONE(read_ops(r, root));
done:
    cJSON_Delete(root);
    return status;
}

clv_status *clv_plan_parse_json(
    const clv_costs *costs, const char *what, const char *json, size_t length, uint32_t depth,
    clv_plan **out_plan) {
    plan_reader r = {.costs = costs};
    clv_status *status = NULL;
    *out_plan = NULL;
    r.plan = clv_alloc_zeroed(1, sizeof *r.plan);
    if (r.plan == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_arena_init(&r.plan->arena, 0);
    clv_name_map_init(&r.tasks);
    clv_name_map_init(&r.units);
    if (!unit_list_init(costs, &r.list)) {
        status = NO_MEMORY_HERE();
        goto done;
    }
    CLV_TRY_DONE(read_plan(&r, json, length));
    CLV_TRY_DONE(clv_plan_structure_verify(costs, r.plan));
    if (depth != 0) {
        CLV_TRY_DONE(clv_plan_deal(costs, r.plan, depth));
    }
    CLV_TRY_DONE(clv_plan_measure(costs, r.plan));
    CLV_TRY_DONE(clv_plan_verify(costs, r.plan));
    *out_plan = r.plan;
    r.plan = NULL;
done:
    clv_name_map_deinit(&r.tasks);
    clv_name_map_deinit(&r.units);
    unit_list_deinit(&r.list);
    clv_plan_destroy(r.plan);
    return status != NULL ? clv_status_prefix(status, "plan '%s'", what) : NULL;
}
