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

/* What is said of one name. */
typedef struct times_member {
    const char *name;
    const cJSON **times; /* [num_times] */
    const char **where;  /* [num_times]: units and kinds; "*" for a number alone */
    uint32_t num_times;
    clv_name_map by_where; /* to an index of `times` */
} times_member;

typedef struct times_reader {
    clv_workload *workload;
    const clv_machine *machine;
    times_member *members; /* in the file's order */
    size_t num_members;
    clv_name_map units;   /* of the machine, by name */
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

static clv_status *add_time(times_member *member, const char *where, const cJSON *time) {
    CLV_TRY(check_time(time, member->name, strcmp(where, "*") != 0 ? where : NULL));
    if (clv_name_map_find(&member->by_where, where) != NULL) {
        return CLV_ERROR(MALFORMED, "time of '%s': '%s' is there twice", member->name, where);
    }
    if (!clv_name_map_set(&member->by_where, where, member->num_times)) {
        return NO_MEMORY_HERE();
    }
    member->where[member->num_times] = where;
    member->times[member->num_times++] = time;
    return NULL;
}

/* The member is in the reader's care, also where that fails. */
static clv_status *read_member(times_member *member, const cJSON *json) {
    size_t count = cJSON_IsObject(json) ? (size_t)cJSON_GetArraySize(json) : 1;
    member->name = json->string;
    if (count == 0) {
        return CLV_ERROR(MALFORMED, "time of '%s': no unit is named", member->name);
    }
    member->times = clv_alloc_zeroed(count, sizeof *member->times);
    member->where = clv_alloc_zeroed(count, sizeof *member->where);
    if (member->times == NULL || member->where == NULL) {
        return NO_MEMORY_HERE();
    }
    if (!cJSON_IsObject(json)) {
        return add_time(member, "*", json);
    }
    const cJSON *time;
    cJSON_ArrayForEach(time, json) {
        CLV_TRY(add_time(member, time->string, time));
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
    const cJSON *json;
    cJSON_ArrayForEach(json, root) {
        if (clv_name_map_find(&r->by_name, json->string) != NULL) {
            return CLV_ERROR(MALFORMED, "'%s' is there twice", json->string);
        }
        uint32_t index = (uint32_t)r->num_members++;
        CLV_TRY(read_member(&r->members[index], json));
        CLV_TRY(check_known(r, json->string));
        if (!clv_name_map_set(&r->by_name, json->string, index)) {
            return NO_MEMORY_HERE();
        }
    }
    return NULL;
}

static const times_member *find_member(const times_reader *r, const char *name) {
    const uint32_t *index = clv_name_map_find(&r->by_name, name);
    return index != NULL ? &r->members[*index] : NULL;
}

/* --- giving --- */

/* The member's time for a unit or a kind: the most exact that it has, NULL where it has none. */
static const cJSON *find_time(
    const times_reader *r, const times_member *member, const char *where) {
    const uint32_t *index = clv_name_map_find(&member->by_where, where);
    const uint32_t *unit = index == NULL ? clv_name_map_find(&r->units, where) : NULL;
    if (unit != NULL) {
        index = clv_name_map_find(&member->by_where, r->machine->units[*unit].kind);
    }
    index = index != NULL ? index : clv_name_map_find(&member->by_where, "*");
    return index != NULL ? member->times[*index] : NULL;
}

/* The sum of all the members' times for `where`; false where one has none. */
static bool add_up(
    const times_reader *r, const times_member *const *members, uint32_t num_members,
    const char *where, double *out_us) {
    *out_us = 0;
    for (uint32_t i = 0; i < num_members; i++) {
        const cJSON *time = find_time(r, members[i], where);
        if (time == NULL) {
            return false;
        }
        *out_us += time->valuedouble;
    }
    return true;
}

/* The task takes as long as all the members together, on units and kinds that each has a time for.
 * `seen` is empty. */
static clv_status *give(
    const times_reader *r, clv_task *task, const times_member *const *members, uint32_t num_members,
    clv_name_map *seen) {
    clv_arena *arena = &r->workload->arena;
    size_t capacity = 0;
    uint32_t num_times = 0;
    for (uint32_t i = 0; i < num_members; i++) {
        capacity += members[i]->num_times;
    }
    clv_task_time *times = clv_arena_alloc(arena, capacity, sizeof *times);
    if (times == NULL) {
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < num_members; i++) {
        for (uint32_t k = 0; k < members[i]->num_times; k++) {
            const char *where = members[i]->where[k];
            clv_task_time time = {.origin = CLV_ORIGIN_GIVEN};
            if ((num_members > 1 && clv_name_map_find(seen, where) != NULL) ||
                !add_up(r, members, num_members, where, &time.time_us)) {
                continue;
            }
            time.where = clv_arena_strdup(arena, where);
            if (time.where == NULL || (num_members > 1 && !clv_name_map_set(seen, time.where, 1))) {
                return NO_MEMORY_HERE();
            }
            times[num_times++] = time;
        }
    }
    if (num_times == 0) {
        return CLV_ERROR(
            MALFORMED, "the parts of '%s', '%s' the first, have no unit that each has a time for",
            task->name, members[0]->name);
    }
    task->times = times;
    task->num_times = num_times;
    return NULL;
}

static clv_status *give_sum(
    const times_reader *r, clv_task *task, const times_member *const *members,
    uint32_t num_members) {
    clv_name_map seen;
    clv_name_map_init(&seen);
    clv_status *status = give(r, task, members, num_members, &seen);
    clv_name_map_deinit(&seen);
    return status;
}

/* The members of what was fused into the task: all or none. */
static clv_status *find_parts(
    const times_reader *r, const clv_task *task, const times_member **parts,
    uint32_t *out_num_parts) {
    const char *missing = NULL;
    *out_num_parts = 0;
    for (uint32_t i = 0; i < task->num_aliases; i++) {
        const times_member *part = find_member(r, task->aliases[i]);
        if (part != NULL) {
            parts[(*out_num_parts)++] = part;
        } else if (missing == NULL) {
            missing = task->aliases[i];
        }
    }
    return *out_num_parts == 0 || missing == NULL
               ? NULL
               : CLV_ERROR(
                     MALFORMED,
                     "'%s' has a time and '%s' has none: both are part of '%s', which needs the "
                     "times of all its parts, or one of its own",
                     parts[0]->name, missing, task->name);
}

static clv_status *give_task(const times_reader *r, clv_task *task) {
    const times_member *own = find_member(r, task->name);
    if (own != NULL) {
        return give_sum(r, task, &own, 1);
    }
    const times_member **parts = clv_alloc_zeroed((size_t)task->num_aliases + 1, sizeof *parts);
    uint32_t num_parts = 0;
    if (parts == NULL) {
        return NO_MEMORY_HERE();
    }
    clv_status *status = find_parts(r, task, parts, &num_parts);
    if (num_parts == 0 && (parts[0] = find_member(r, task->type)) != NULL) {
        num_parts = 1;
    }
    if (status == NULL && num_parts > 0) {
        status = give_sum(r, task, parts, num_parts);
    }
    clv_free(parts);
    return status;
}

static clv_status *list_units(times_reader *r) {
    for (uint32_t i = 0; i < r->machine->num_units; i++) {
        if (!clv_name_map_set(&r->units, r->machine->units[i].name, i)) {
            return NO_MEMORY_HERE();
        }
    }
    return NULL;
}

clv_status *clv_workload_give_times(
    clv_workload *workload, const clv_machine *machine, const char *what, const char *json,
    size_t length) {
    times_reader r = {.workload = workload, .machine = machine};
    cJSON *root = NULL;
    clv_status *status = NULL;
    CLV_TRY(clv_json_parse(what, json, length, &root));
    clv_name_map_init(&r.by_name);
    clv_name_map_init(&r.known);
    clv_name_map_init(&r.units);
    CLV_TRY_DONE(list_units(&r));
    CLV_TRY_DONE(list_known(&r));
    CLV_TRY_DONE(read_members(&r, root));
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        CLV_TRY_DONE(give_task(&r, &workload->tasks[i]));
    }
    status = clv_workload_verify(workload);
done:
    clv_name_map_deinit(&r.by_name);
    clv_name_map_deinit(&r.known);
    clv_name_map_deinit(&r.units);
    for (size_t i = 0; i < r.num_members; i++) {
        clv_name_map_deinit(&r.members[i].by_where);
        clv_free(r.members[i].times);
        clv_free(r.members[i].where);
    }
    clv_free(r.members);
    cJSON_Delete(root);
    return status != NULL ? clv_status_prefix(status, "times '%s'", what) : NULL;
}
