#include "host/workload/times.h"

#include "host/base/json.h"
#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/base/text.h"
#include "host/ops/op.h"

#include <math.h>
#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for times")

/* A time and whatever may follow from it must stay far from overflow: 30 years. */
static const double max_time_us = 1e15;

typedef struct times_reader {
    clv_workload *workload;
    const cJSON **members; /* in the file's order */
    size_t num_members;
    clv_name_map by_name; /* to an index of `members` */
    clv_name_map known;   /* names and types of the workload */
} times_reader;

static clv_status *check_time(const cJSON *value, const char *name, const char *where) {
    if (!cJSON_IsNumber(value)) {
        return CLV_ERROR(
            MALFORMED, "time of '%s'%s%s: must be a number of microseconds", name,
            where != NULL ? " on " : "", where != NULL ? where : "");
    }
    double time = value->valuedouble;
    if (!(time >= 0) || time > max_time_us) {
        return CLV_ERROR(
            MALFORMED, "time of '%s' is %g us, must be from 0 to %g", name, time, max_time_us);
    }
    return NULL;
}

static clv_status *check_member(const cJSON *member) {
    if (!cJSON_IsObject(member)) {
        return check_time(member, member->string, NULL);
    }
    if (member->child == NULL) {
        return CLV_ERROR(MALFORMED, "time of '%s': no unit is named", member->string);
    }
    for (const cJSON *a = member->child; a != NULL; a = a->next) {
        CLV_TRY(check_time(a, member->string, a->string));
        for (const cJSON *b = member->child; b != a; b = b->next) {
            if (strcmp(a->string, b->string) == 0) {
                return CLV_ERROR(
                    MALFORMED, "time of '%s': '%s' is there twice", member->string, a->string);
            }
        }
    }
    return NULL;
}

static clv_status *check_known(const times_reader *r, const char *name) {
    if (clv_name_map_find(&r->known, name) != NULL || clv_op_find("", name) != NULL) {
        return NULL;
    }
    const clv_workload *workload = r->workload;
    const char **names = clv_alloc_zeroed((size_t)workload->num_tasks + 1, sizeof *names);
    if (names == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        names[i] = workload->tasks[i].name;
    }
    const char *nearest = clv_nearest(name, names, workload->num_tasks);
    clv_status *status = CLV_ERROR(
        MALFORMED, "'%s' is neither a node nor a type of '%s'%s%s%s", name, workload->name,
        nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "'?" : "");
    clv_free(names);
    return status;
}

static clv_status *list_known(times_reader *r) {
    bool fits = true;
    for (uint32_t i = 0; fits && i < r->workload->num_tasks; i++) {
        const clv_task *task = &r->workload->tasks[i];
        fits = clv_name_map_set(&r->known, task->name, 1) &&
               clv_name_map_set(&r->known, task->type, 1);
        for (uint32_t k = 0; fits && k < task->num_aliases; k++) {
            fits = clv_name_map_set(&r->known, task->aliases[k], 1);
        }
    }
    return fits ? NULL : NO_MEMORY_HERE();
}

static clv_status *read_members(times_reader *r, const cJSON *root) {
    if (!cJSON_IsObject(root)) {
        return CLV_ERROR(MALFORMED, "must be an object of names and times");
    }
    r->members = clv_alloc_zeroed((size_t)cJSON_GetArraySize(root) + 1, sizeof *r->members);
    if (r->members == NULL) {
        return NO_MEMORY_HERE();
    }
    const cJSON *member;
    cJSON_ArrayForEach(member, root) {
        if (clv_name_map_find(&r->by_name, member->string) != NULL) {
            return CLV_ERROR(MALFORMED, "'%s' is there twice", member->string);
        }
        CLV_TRY(check_member(member));
        CLV_TRY(check_known(r, member->string));
        r->members[r->num_members] = member;
        if (!clv_name_map_set(&r->by_name, member->string, (uint32_t)r->num_members++)) {
            return NO_MEMORY_HERE();
        }
    }
    return NULL;
}

static const cJSON *find_member(const times_reader *r, const char *name) {
    const uint32_t *index = clv_name_map_find(&r->by_name, name);
    return index != NULL ? r->members[*index] : NULL;
}

/* --- giving --- */

/* Adds the time for `where` to those that are collected; a new one where it has none. */
static clv_status *add_time(
    clv_arena *arena, clv_task_time *times, uint32_t *num_times, const char *where,
    double time_us) {
    for (uint32_t i = 0; i < *num_times; i++) {
        if (strcmp(times[i].where, where) == 0) {
            times[i].time_us += time_us;
            return NULL;
        }
    }
    const char *copy = clv_arena_strdup(arena, where);
    if (copy == NULL) {
        return NO_MEMORY_HERE();
    }
    times[(*num_times)++] =
        (clv_task_time){.where = copy, .time_us = time_us, .origin = CLV_ORIGIN_GIVEN};
    return NULL;
}

static uint32_t count_times(const cJSON *member) {
    return cJSON_IsObject(member) ? (uint32_t)cJSON_GetArraySize(member) : 1;
}

static clv_status *give(
    times_reader *r, clv_task *task, const cJSON *const *members, uint32_t num_members) {
    clv_arena *arena = &r->workload->arena;
    uint32_t capacity = 0, num_times = 0;
    for (uint32_t i = 0; i < num_members; i++) {
        capacity += count_times(members[i]);
    }
    clv_task_time *times = clv_arena_alloc(arena, capacity, sizeof *times);
    if (times == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < num_members; i++) {
        if (!cJSON_IsObject(members[i])) {
            CLV_TRY(add_time(arena, times, &num_times, "*", members[i]->valuedouble));
            continue;
        }
        const cJSON *time;
        cJSON_ArrayForEach(time, members[i]) {
            CLV_TRY(add_time(arena, times, &num_times, time->string, time->valuedouble));
        }
    }
    task->times = times;
    task->num_times = num_times;
    return NULL;
}

static clv_status *give_task(times_reader *r, clv_task *task) {
    const cJSON *own = find_member(r, task->name);
    if (own != NULL) {
        return give(r, task, &own, 1);
    }
    const cJSON **parts = clv_alloc_zeroed((size_t)task->num_aliases + 1, sizeof *parts);
    uint32_t num_parts = 0;
    if (parts == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < task->num_aliases; i++) {
        const cJSON *part = find_member(r, task->aliases[i]);
        if (part != NULL) {
            parts[num_parts++] = part;
        }
    }
    if (num_parts == 0 && (parts[0] = find_member(r, task->type)) != NULL) {
        num_parts = 1;
    }
    clv_status *status = num_parts > 0 ? give(r, task, parts, num_parts) : NULL;
    clv_free(parts);
    return status;
}

clv_status *clv_workload_give_times(
    clv_workload *workload, const char *what, const char *json, size_t length) {
    times_reader r = {.workload = workload};
    cJSON *root = NULL;
    clv_status *status = NULL;
    CLV_TRY(clv_json_parse(what, json, length, &root));
    clv_name_map_init(&r.by_name);
    clv_name_map_init(&r.known);
    CLV_TRY_DONE(list_known(&r));
    CLV_TRY_DONE(read_members(&r, root));
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        CLV_TRY_DONE(give_task(&r, &workload->tasks[i]));
    }
    status = clv_workload_verify(workload);
done:
    clv_name_map_deinit(&r.by_name);
    clv_name_map_deinit(&r.known);
    clv_free(r.members);
    cJSON_Delete(root);
    return status != NULL ? clv_status_prefix(status, "times '%s'", what) : NULL;
}
