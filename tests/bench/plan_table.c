/* Tables of plans on the virtual clock, as Markdown.
 *
 *     TABLE needs NAME=SOURCE.txt...     what each run needs and gives; a source is as
 *                                        tests/support/planned.h says
 *     TABLE policies MODEL...            every policy on three machine files, for each model;
 *                                        MODEL is as in the setting `model` there
 */
#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "tests/support/planned.h"

#include <stdio.h>
#include <string.h>

enum { REQUESTS = 64 };

static const char *const machines[] = {"two_cores", "cpu_gpu", "eight_gpus"};
static const char *const policies[] = {"single", "serial",   "branch", "tensor",
                                       "data",   "pipeline", "auto"};
enum {
    NUM_MACHINES = sizeof machines / sizeof machines[0],
    NUM_POLICIES = sizeof policies / sizeof policies[0]
};

static void print_time(double time_us) {
    if (time_us < 999.5) {
        printf(" %.3g µs |", time_us);
    } else {
        printf(" %.3g ms |", time_us / 1e3);
    }
}

/* --- needs --- */

static clv_status *read_source(const char *path, char **out_source) {
    clv_mapped_file file;
    CLV_TRY(clv_file_map(path, &file));
    *out_source = clv_alloc_zeroed(file.bytes + 1, 1);
    if (*out_source != NULL) {
        memcpy(*out_source, file.data, file.bytes);
    }
    clv_file_unmap(&file);
    return *out_source != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory");
}

static clv_status *print_needs(const char *word) {
    const char *equals = strchr(word, '=');
    char *source, bytes[32];
    planned p;
    if (equals == NULL) {
        return CLV_ERROR(USAGE, "'%s' is not NAME=SOURCE.txt", word);
    }
    CLV_TRY(read_source(equals + 1, &source));
    clv_status *status = planned_make(CLEAVE_ROOT, source, &p);
    clv_free(source);
    printf("| %.*s |", (int)(equals - word), word);
    if (status != NULL) {
        printf(" %s |\n", clv_status_message(status));
        return status;
    }
    const clv_timeline *t = p.timeline;
    double busy_us = 0;
    for (uint32_t i = 0; i < t->num_rows; i++) {
        busy_us += t->rows[i].is_unit ? t->rows[i].busy_us : 0;
    }
    clv_format_bytes(bytes, sizeof bytes, (double)t->buffer_bytes);
    printf(
        " %u | %u | %s | %g µs | %.0f | %g µs | %g µs | %.0f %% |\n", t->units_used, t->buffers,
        bytes, t->period_us, t->throughput_per_s, t->latency_us, t->makespan_us,
        100 * busy_us / t->makespan_us / t->units_used);
    planned_drop(&p);
    return NULL;
}

static clv_status *print_all_needs(char **words, int count) {
    printf("| timeline | units | buffers | bytes in them | period | requests a second | latency "
           "| all requests | units busy |\n|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < count; i++) {
        CLV_TRY(print_needs(words[i]));
    }
    return NULL;
}

/* --- policies --- */

static clv_status *print_cells(const char *model, const char *machine, const char *policy) {
    clv_text source;
    planned p;
    clv_text_init(&source);
    clv_text_add(
        &source, "machine tests/data/machines/%s.json\npolicy %s\nrequests %d\nmodel %s\n", machine,
        policy, REQUESTS, model);
    clv_status *status = source.failed ? CLV_ERROR(NO_MEMORY, "out of host memory")
                                       : planned_make(CLEAVE_ROOT, source.data, &p);
    clv_text_deinit(&source);
    CLV_TRY(status);
    double rate = p.timeline->throughput_per_s;
    printf(" %s | %.*f |", p.plan->policy, rate < 999.5 ? 1 : 0, rate);
    print_time(p.timeline->latency_us);
    printf(" %.1f %% | %.2f |", 100 * p.timeline->distance, p.plan->gain);
    planned_drop(&p);
    return NULL;
}

static clv_status *print_model(const char *model) {
    const char *slash = strrchr(model, '/');
    printf("\n### %s\n\n", slash != NULL ? slash + 1 : model);
    printf("| machine | policy | plan | requests a second | latency | above the bound | gain |\n"
           "|---|---|---|---|---|---|---|\n");
    for (int m = 0; m < NUM_MACHINES; m++) {
        for (int i = 0; i < NUM_POLICIES; i++) {
            printf("| %s | %s |", i == 0 ? machines[m] : "", policies[i]);
            clv_status *status = print_cells(model, machines[m], policies[i]);
            printf("%s\n", status != NULL ? " - |" : "");
            CLV_TRY(status);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    clv_status *status = NULL;
    if (argc < 3 || (strcmp(argv[1], "needs") != 0 && strcmp(argv[1], "policies") != 0)) {
        fprintf(stderr, "usage: %s needs NAME=SOURCE.txt... | policies MODEL...\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "needs") == 0) {
        status = print_all_needs(argv + 2, argc - 2);
    }
    for (int i = 2; strcmp(argv[1], "policies") == 0 && status == NULL && i < argc; i++) {
        status = print_model(argv[i]);
    }
    if (status != NULL) {
        fprintf(stderr, "%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return 1;
    }
    return 0;
}
