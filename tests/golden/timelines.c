/* Golden files of plans, schedules and timelines: tests/support/planned.h says how a source is
 * written. Lines "---" cut it into several, each with what stands before the first of them too. Of
 * what is long, the first lines are shown, and a hash of the rest. */
#include "host/report/report.h"

#include "host/base/hash.h"
#include "host/base/memory.h"
#include "tests/golden/golden.h"
#include "tests/support/planned.h"

#include <string.h>

enum { MAX_LINES = 80, MAX_LINES_OF_MANY = 12 };

/* Adds the first lines of `part`, and the hash of the others. */
static void add_part(clv_text *result, clv_text *part, int max_lines) {
    const char *end = part->data != NULL ? part->data : "";
    for (int i = 0; i < max_lines && *end != '\0'; i++) {
        end += strcspn(end, "\n") + 1;
    }
    clv_text_add_bytes(result, part->data != NULL ? part->data : "", (size_t)(end - part->data));
    int num_lines = 0;
    char hash[33];
    clv_hash_format(clv_hash_string(end), hash);
    for (const char *c = end; *c != '\0'; c++) {
        num_lines += *c == '\n';
    }
    if (num_lines > 0) {
        clv_text_add(result, "... and %d more lines, %.16s\n", num_lines, hash);
    }
    result->failed = result->failed || part->failed;
    clv_text_deinit(part);
}

static void add_units(clv_text *result, const planned *p, const clv_group *group, uint32_t task) {
    const clv_placement *placement = &group->placements[task];
    for (uint32_t k = 0; k < placement->num_pieces; k++) {
        const clv_piece *piece = &group->pieces[placement->first_piece + k];
        clv_text_add(result, "%s%s", k > 0 ? ", " : "", p->machine->units[piece->unit].name);
        if (placement->split >= 0) {
            clv_text_add(result, " %lld-%lld", (long long)piece->begin, (long long)piece->end);
        }
    }
    if (placement->split >= 0) {
        clv_text_add(result, " of %s", p->workload->tasks[task].splits[placement->split].name);
    }
}

static void add_plan(clv_text *result, const planned *p) {
    const clv_plan *plan = p->plan;
    clv_text_add(
        result, "-- plan: %s, depth %u, period %.6g us, latency %.6g us, gain %.4g (%s)\n",
        plan->policy, plan->depth, plan->period_us, plan->latency_us, plan->gain,
        plan->worth_it ? "worth it" : "not worth it");
    clv_text_add(result, "limit: %s; method: %s\n", plan->limit, plan->method);
    for (uint32_t g = 0; g < plan->num_groups; g++) {
        const clv_group *group = &plan->groups[g];
        clv_text_add(
            result, "group %u: share %.4g, depth %u, %u stage%s%s\n", g, group->share, group->depth,
            group->num_stages, group->num_stages == 1 ? "" : "s",
            group->is_serial ? ", serial" : "");
        for (uint32_t t = 0; t < p->workload->num_tasks; t++) {
            clv_text_add(
                result, "  %u %s: ", group->placements[t].stage, p->workload->tasks[t].name);
            add_units(result, p, group, t);
            clv_text_add(
                result, ": %s\n",
                group->placements[t].reason != NULL ? group->placements[t].reason : "-");
        }
    }
}

static void add_schedule(clv_text *result, const planned *p) {
    const clv_schedule *s = p->schedule;
    clv_text_add(result, "-- schedule: %llu steps\n", (unsigned long long)s->num_steps);
    for (uint64_t i = 0; i < s->num_steps; i++) {
        char name[128];
        uint32_t step = p->run->started[i];
        clv_schedule_name_step(s, step, name, sizeof name);
        clv_text_add(result, "%.6g-%.6g %s", p->run->start_us[step], p->run->end_us[step], name);
        if (s->steps[step].kind != CLV_SCHEDULE_SEND) {
            clv_text_add(result, " on %s", p->machine->units[p->run->unit[step]].name);
        }
        if (p->run->slot[step] != CLV_NO_INDEX) {
            clv_text_add(result, ", buffer %u", p->run->slot[step]);
        }
        clv_text_add(result, "\n");
    }
}

static clv_status *show_one(const char *source, int max_lines, clv_text *result) {
    planned p;
    char *picture = NULL;
    clv_text part;
    CLV_TRY(planned_make(CLEAVE_ROOT, source, &p));
    clv_text_init(&part);
    add_plan(&part, &p);
    add_part(result, &part, max_lines);
    add_schedule(&part, &p);
    add_part(result, &part, max_lines);
    clv_report report = {
        .mode = p.is_dynamic ? "dynamic" : "static",
        .schedule = p.schedule,
        .run = p.run,
        .timeline = p.timeline};
    clv_status *status = clv_report_gantt(&report, &picture);
    clv_text_add(result, "-- timeline\n%s", picture != NULL ? picture : "");
    clv_free(picture);
    planned_drop(&p);
    return status;
}

static clv_status *show(const char *source, clv_text *result) {
    static const char cut[] = "\n---\n";
    const char *at = strstr(source, cut);
    if (at == NULL) {
        return show_one(source, MAX_LINES, result);
    }
    size_t common = (size_t)(at - source) + 1;
    while (at != NULL) {
        clv_text one;
        const char *begin = at + strlen(cut);
        at = strstr(begin, cut);
        size_t length = at != NULL ? (size_t)(at - begin) : strlen(begin);
        clv_text_init(&one);
        clv_text_add_bytes(&one, source, common);
        clv_text_add_bytes(&one, begin, length);
        clv_text_add(result, "=== %.*s\n", (int)strcspn(begin, "\n"), begin);
        clv_status *status = show_one(one.data, MAX_LINES_OF_MANY, result);
        clv_text_deinit(&one);
        if (status != NULL) { /* a result too */
            clv_text_add(result, "%s\n", clv_status_message(status));
            clv_status_destroy(status);
        }
        clv_text_add(result, "%s", at != NULL ? "\n" : "");
    }
    return NULL;
}

int main(int argc, char **argv) {
    return golden_main(argc, argv, show);
}
