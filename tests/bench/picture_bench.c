/* Time and size of every kind of picture, from 10^3 to 10^6 steps: a chain of 100 tasks pipelined
 * over 16 units with eight buffers each.
 *
 *     BENCH                           the table
 *     BENCH SOURCE.txt OUT...         pictures of what tests/support/planned.h reads from SOURCE,
 *                                     by how OUT ends (.trace.json: the trace)
 */
#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/report/report.h"
#include "tests/support/planned.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NUM_TASKS = 100 };

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static clv_report report_of(const planned *p) {
    return (clv_report){
        .mode = p->is_dynamic ? "dynamic" : "static",
        .schedule = p->schedule,
        .run = p->run,
        .timeline = p->timeline};
}

static clv_status *measure(const planned *p) {
    static const char *const names[] = {"x.txt", "x.svg", "x.html"};
    clv_report report = report_of(p);
    printf("%9llu steps:", (unsigned long long)p->schedule->num_steps);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *text = NULL;
        double begin = now_ms();
        CLV_TRY(clv_report_picture(&report, names[i], &text));
        printf(
            "  %s %8.2f ms %8.1f KiB", names[i] + 2, now_ms() - begin, (double)strlen(text) / 1024);
        clv_free(text);
    }
    char *trace = NULL;
    double begin = now_ms();
    CLV_TRY(clv_report_trace(&report, &trace));
    printf("  trace %8.2f ms %8.1f KiB\n", now_ms() - begin, (double)strlen(trace) / 1024);
    clv_free(trace);
    return NULL;
}

static clv_status *make_source(int num_requests, clv_text *text) {
    clv_text_add(
        text, "machine p*16 buffers=8\npolicy pipeline\nrequests %d\ndepth all\n{\"tasks\":[",
        num_requests);
    for (int i = 0; i < NUM_TASKS; i++) {
        clv_text_add(
            text, "%s{\"name\":\"t%d\",\"time_us\":%d}", i > 0 ? "," : "", i, 5 + i * 7 % 11);
    }
    clv_text_add(text, "],\"edges\":[");
    for (int i = 1; i < NUM_TASKS; i++) {
        clv_text_add(
            text, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":64}", i > 1 ? "," : "", i - 1, i);
    }
    clv_text_add(text, "]}");
    return text->failed ? CLV_ERROR(NO_MEMORY, "out of host memory") : NULL;
}

static clv_status *measure_all(void) {
    for (int requests = 10; requests <= 10000; requests *= 10) {
        planned p;
        clv_text text;
        clv_text_init(&text);
        clv_status *status = make_source(requests, &text);
        if (status == NULL) {
            status = planned_make(CLEAVE_ROOT, text.data, &p);
        }
        clv_text_deinit(&text);
        if (status == NULL) {
            status = measure(&p);
            planned_drop(&p);
        }
        CLV_TRY(status);
    }
    return NULL;
}

static clv_status *draw(const char *source, char **paths, int num_paths) {
    clv_mapped_file file;
    CLV_TRY(clv_file_map(source, &file));
    char *text = clv_alloc(file.bytes + 1);
    planned p = {.workload = NULL};
    clv_status *status = text != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory");
    if (status == NULL) {
        memcpy(text, file.data, file.bytes);
        text[file.bytes] = '\0';
        char *end = strstr(text, "\n== result\n");
        if (end != NULL) {
            *end = '\0';
        }
        status = planned_make(CLEAVE_ROOT, text, &p);
    }
    clv_report report = status == NULL ? report_of(&p) : (clv_report){.title = NULL};
    for (int i = 0; status == NULL && i < num_paths; i++) {
        char *picture = NULL;
        bool is_trace = strstr(paths[i], ".trace.json") != NULL;
        status = is_trace ? clv_report_trace(&report, &picture)
                          : clv_report_picture(&report, paths[i], &picture);
        if (status == NULL) {
            status = clv_file_replace(paths[i], picture, strlen(picture));
        }
        clv_free(picture);
    }
    planned_drop(&p);
    clv_free(text);
    clv_file_unmap(&file);
    return status;
}

int main(int argc, char **argv) {
    clv_status *status = argc > 2 ? draw(argv[1], argv + 2, argc - 2) : measure_all();
    if (status != NULL) {
        fprintf(stderr, "%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return 1;
    }
    return 0;
}
