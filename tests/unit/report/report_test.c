/* Pictures: what is in them is what the timeline says, names are only names, sizes stay bounded. */
#include "host/report/report.h"

#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/report/picture.h"
#include "tests/support/check.h"
#include "tests/support/planned.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef clv_status *(*picture_function)(const clv_report *report, char **out_text);
static const picture_function all[] = {
    clv_report_gantt, clv_report_svg, clv_report_html, clv_report_trace};

static clv_report report_of(const planned *p) {
    return (clv_report){
        .mode = "static", .schedule = p->schedule, .run = p->run, .timeline = p->timeline};
}

static const char small[] =
    "machine core*2; gpu overlap=no; link gpu* host bw=1G latency=5us\n"
    "policy branch\nrequests 3\n"
    "{\"tasks\":[{\"name\":\"read\",\"time_us\":{\"core\":20}},"
    "{\"name\":\"left\",\"type\":\"Conv\",\"time_us\":{\"core\":90,\"gpu\":30}},"
    "{\"name\":\"right\",\"time_us\":{\"core\":60,\"gpu\":15}},"
    "{\"name\":\"join\",\"time_us\":{\"core\":10}}],"
    "\"edges\":[{\"from\":\"read\",\"to\":\"left\",\"bytes\":20000},"
    "{\"from\":\"read\",\"to\":\"right\",\"bytes\":20000},"
    "{\"from\":\"left\",\"to\":\"join\",\"bytes\":10000},"
    "{\"from\":\"right\",\"to\":\"join\",\"bytes\":5000}]}";

/* --- readers --- */

/* Well-formed as far as an attacker cares: tags nest, attributes are quoted, nothing loose. */
static void check_xml(const char *text) {
    char open[64][16];
    int depth = 0;
    for (const char *at = text; *at != '\0';) {
        if (*at == '&') {
            size_t length = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz#0123456789");
            assert_true(length > 0 && at[1 + length] == ';');
        }
        assert_true((unsigned char)*at >= 0x20 || *at == '\n');
        if (*at++ != '<') {
            continue;
        }
        bool is_end = *at == '/';
        at += is_end;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz");
        assert_true(length > 0 && length < 16);
        const char *name = at;
        at += length;
        while (*at != '>' && *at != '/') {
            assert_true(*at == ' ');
            at += 1 + strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-:0123");
            assert_true(at[0] == '=' && at[1] == '"');
            size_t value = strcspn(at + 2, "\"<");
            assert_true(at[2 + value] == '"');
            at += 3 + value;
        }
        if (is_end) {
            assert_true(depth > 0 && strncmp(open[depth - 1], name, length) == 0);
            depth--;
        } else if (*at == '>') {
            assert_true(depth < 64);
            memcpy(open[depth], name, length);
            open[depth++][length] = '\0';
        }
        at += *at == '/' ? 2 : 1;
        assert_true(at[-1] == '>');
    }
    assert_int_equal(depth, 0);
}

/* The data of a page, as a script would read it. */
static cJSON *read_page(const char *page) {
    static const char begin[] = "<script id=\"data\" type=\"application/json\">";
    const char *at = strstr(page, begin);
    assert_non_null(at);
    at += strlen(begin);
    const char *end = strstr(at, "</script");
    assert_non_null(end);
    cJSON *json = cJSON_ParseWithLength(at, (size_t)(end - at));
    assert_non_null(json);
    return json;
}

static const cJSON *at(const cJSON *json, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    assert_non_null(item);
    return item;
}

static double number(const cJSON *json, const char *key) {
    return cJSON_GetNumberValue(at(json, key));
}

static size_t count_of(const char *text, const char *part) {
    size_t count = 0;
    for (const char *found = strstr(text, part); found != NULL; found = strstr(found + 1, part)) {
        count++;
    }
    return count;
}

/* --- tests --- */

static void a_page_holds_every_span(void **state) {
    (void)state;
    planned p;
    char *page;
    assert_ok(planned_make(CLEAVE_ROOT, small, &p));
    clv_report report = report_of(&p);
    assert_ok(clv_report_html(&report, &page));
    cJSON *data = read_page(page);
    const cJSON *row, *rows = at(data, "rows");
    uint32_t index = 0;
    assert_true(number(data, "end") == p.timeline->makespan_us);
    assert_int_equal(cJSON_GetArraySize(rows), p.timeline->num_rows);
    cJSON_ArrayForEach(row, rows) {
        const clv_timeline_row *expected = &p.timeline->rows[index++];
        const cJSON *value = at(cJSON_GetArrayItem(at(row, "layers"), 0), "spans")->child;
        assert_true(fabs(number(row, "busy") - expected->busy) < 1e-5);
        for (uint64_t i = 0; i < expected->num_spans; i++) {
            const clv_span *span = &p.timeline->spans[expected->first_span + i];
            double read[9];
            for (int k = 0; k < 9; k++, value = value->next) {
                assert_non_null(value);
                read[k] = value->valuedouble;
            }
            assert_true(fabs(read[0] - span->start_us) < 1e-6);
            assert_true(fabs(read[0] + read[1] - span->end_us) < 1e-4);
            const cJSON *what = cJSON_GetArrayItem(at(data, "what"), (int)read[2]);
            const clv_schedule_step *step = &p.schedule->steps[span->step];
            const char *name = cJSON_GetStringValue(
                cJSON_GetArrayItem(at(data, "names"), (int)number(what, "name")));
            bool is_send = step->kind == CLV_SCHEDULE_SEND;
            assert_string_equal(
                name, is_send ? p.workload->tensors[step->tensor].name
                              : p.workload->tasks[step->task].name);
            assert_int_equal((int)read[3], step->request);
            assert_int_equal((int)read[4] & 1, is_send);
        }
        assert_null(value);
    }
    cJSON_Delete(data);
    clv_free(page);
    planned_drop(&p);
}

static void a_trace_holds_every_span(void **state) {
    (void)state;
    planned p;
    char *trace;
    assert_ok(planned_make(CLEAVE_ROOT, small, &p));
    clv_report report = report_of(&p);
    assert_ok(clv_report_trace(&report, &trace));
    cJSON *data = cJSON_Parse(trace), *event;
    assert_non_null(data);
    uint64_t num_spans = 0, num_begins = 0, num_ends = 0;
    cJSON_ArrayForEach(event, at(data, "traceEvents")) {
        const char *phase = cJSON_GetStringValue(at(event, "ph"));
        num_spans += *phase == 'X';
        num_begins += *phase == 's';
        num_ends += *phase == 'f';
        bool is_end = *phase == 's' || *phase == 'f', is_inside = false;
        const cJSON *slice;
        cJSON_ArrayForEach(slice, at(data, "traceEvents")) {
            if (*cJSON_GetStringValue(at(slice, "ph")) == 'X' &&
                number(slice, "pid") == number(event, "pid") && is_end &&
                number(slice, "tid") == number(event, "tid")) {
                double since_us = number(event, "ts") - number(slice, "ts");
                is_inside = is_inside || (since_us >= 0 && since_us < number(slice, "dur"));
            }
        }
        assert_true(is_inside == is_end);
    }
    assert_int_equal(num_spans, p.timeline->num_spans);
    assert_true(num_begins > 0 && num_begins == num_ends);
    cJSON_Delete(data);
    clv_free(trace);
    planned_drop(&p);
}

/* In JSON, as a file would have it. */
#define HOSTILE "</script><script>alert(1)//\\\"'&amp;<!--\\u001b[31m\\u0085\\n]]>\\u2028\\u007f%s"

static void names_are_only_names(void **state) {
    (void)state;
    static const char source[] =
        "machine p1; p2; link p1 p2 bw=1G\npolicy pipeline\nrequests 2\n"
        "{\"tasks\":[{\"name\":\"" HOSTILE "\",\"type\":\"T" HOSTILE
        "\",\"time_us\":{\"p1\":20}},{\"name\":\"b\",\"time_us\":{\"p2\":30}}],"
        "\"edges\":[{\"from\":\"" HOSTILE "\",\"to\":\"b\",\"bytes\":20000}]}";
    planned p;
    char *text;
    assert_ok(planned_make(CLEAVE_ROOT, source, &p));
    clv_report report = report_of(&p);
    report.title = p.workload->tasks[0].name;
    assert_non_null(strstr(report.title, "</script>"));

    assert_ok(clv_report_svg(&report, &text));
    check_xml(text);
    assert_int_equal(count_of(text, "<script"), 0);
    clv_free(text);

    assert_ok(clv_report_html(&report, &text));
    assert_int_equal(count_of(text, "<script"), 2);
    assert_int_equal(count_of(text, "</script"), 2);
    assert_int_equal(count_of(text, "<!--"), 0);
    cJSON *data = read_page(text);
    assert_string_equal(cJSON_GetStringValue(at(data, "title")), report.title);
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetArrayItem(at(data, "types"), 0)), p.workload->tasks[0].type);
    cJSON_Delete(data);
    clv_free(text);

    assert_ok(clv_report_trace(&report, &text));
    data = cJSON_Parse(text);
    assert_non_null(data);
    cJSON_Delete(data);
    clv_free(text);

    assert_ok(clv_report_gantt(&report, &text));
    for (const char *c = text; *c != '\0'; c++) {
        assert_true(((unsigned char)*c >= 0x20 && *c != 0x7f) || *c == '\n');
        assert_false((unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0);
    }
    clv_free(text);
    planned_drop(&p);
}

static void a_measured_run_is_laid_under(void **state) {
    (void)state;
    planned p;
    char *text;
    clv_run *run;
    clv_timeline *measured;
    assert_ok(planned_make(CLEAVE_ROOT, small, &p));
    clv_clock_request clock = {.mode = CLV_CLOCK_DYNAMIC, .dispatch_us = 7};
    assert_ok(clv_clock_run(p.schedule, &clock, &run));
    assert_ok(clv_timeline_create(p.schedule, run, &measured));
    clv_report report = report_of(&p);
    report.measured_run = run;
    report.measured = measured;
    assert_ok(clv_report_gantt(&report, &text));
    assert_int_equal(count_of(text, "\n  measured "), measured->num_rows);
    assert_non_null(strstr(text, "predicted:\nmakespan"));
    clv_free(text);
    assert_ok(clv_report_svg(&report, &text));
    check_xml(text);
    clv_free(text);
    assert_ok(clv_report_html(&report, &text));
    cJSON *data = read_page(text);
    assert_true(number(data, "end") == fmax(measured->makespan_us, p.timeline->makespan_us));
    assert_int_equal(cJSON_GetArraySize(at(data, "layers")), 2);
    cJSON_Delete(data);
    clv_free(text);
    assert_ok(clv_report_trace(&report, &text));
    assert_int_equal(count_of(text, "\"ph\":\"X\""), p.timeline->num_spans + measured->num_spans);
    clv_free(text);
    clv_timeline_destroy(measured);
    clv_run_destroy(run);
    planned_drop(&p);
}

/* Parts of a step of a dynamic run may go on while what needs the others runs: arrows from where it
 * ended led back in time. */
static void arrows_lead_on(void **state) {
    (void)state;
    planned p;
    char *text;
    clv_run *run;
    clv_timeline *measured;
    assert_ok(planned_make(CLEAVE_ROOT, small, &p));
    clv_clock_request clock = {.mode = CLV_CLOCK_DYNAMIC, .dispatch_us = 7};
    assert_ok(clv_clock_run(p.schedule, &clock, &run));
    for (uint64_t i = 0; i < run->num_steps; i++) {
        run->end_us[i] = run->makespan_us;
    }
    assert_ok(clv_timeline_create(p.schedule, run, &measured));
    clv_report report = report_of(&p);
    report.measured_run = run;
    report.measured = measured;
    assert_ok(clv_report_trace(&report, &text));
    cJSON *data = cJSON_Parse(text), *event;
    double begin_us = NAN;
    uint32_t num_measured = 0;
    cJSON_ArrayForEach(event, at(data, "traceEvents")) {
        const char phase = *cJSON_GetStringValue(at(event, "ph"));
        begin_us = phase == 's' ? number(event, "ts") : begin_us;
        if (phase == 'f') {
            assert_true(number(event, "ts") >= begin_us);
            num_measured += number(event, "pid") > 2;
        }
    }
    assert_true(num_measured > 0);
    cJSON_Delete(data);
    clv_free(text);
    clv_timeline_destroy(measured);
    clv_run_destroy(run);
    planned_drop(&p);
}

/* --- what was executed: steps of its own --- */

typedef struct executed {
    planned p;
    clv_schedule *schedule;
    clv_timeline *timeline;
    clv_accounts *accounts;
    clv_record_clock clocks[3];
    clv_step_error errors[2];
    clv_report report;
} executed;

/* core:0 reads [0, 20], which gpu:0 is sent [21, 26] and computes on [27, 60]; of one request. */
static void execute(executed *e) {
    clv_record_wait waits[] = {{.step = 0, .is_data = true}, {.step = 1, .is_data = true}};
    clv_record_step steps[] = {
        {.kind = CLV_SCHEDULE_LAUNCH, .unit = 0, .num_lanes = 1, .task = 0, .name = "read"},
        {.kind = CLV_SCHEDULE_SEND,
         .unit = 2,
         .num_lanes = 1,
         .task = CLV_NO_TASK,
         .name = "read",
         .from_unit = 0,
         .to_unit = 2,
         .bytes = 20000,
         .is_beside = true,
         .first_time = 1,
         .num_waits = 1},
        {.kind = CLV_SCHEDULE_LAUNCH,
         .unit = 2,
         .num_lanes = 1,
         .task = 1,
         .name = "left",
         .first_time = 2,
         .first_wait = 1,
         .num_waits = 1}};
    clv_record_group group = {.num_steps = 3, .num_times = 3, .depth = 1, .num_requests = 1};
    clv_record_request request = {.ended_us = 60};
    clv_record_time times[] = {{0, 20}, {21, 26}, {27, 60}};
    const clv_record record = {
        .num_units = 3,
        .steps = steps,
        .num_steps = 3,
        .waits = waits,
        .num_waits = 2,
        .groups = &group,
        .num_groups = 1,
        .requests = &request,
        .num_requests = 1,
        .times = times,
        .wall_us = 60};
    assert_ok(planned_make(CLEAVE_ROOT, small, &e->p));
    assert_ok(clv_record_schedule(&record, e->p.costs, e->p.plan, NULL, &e->schedule));
    assert_ok(clv_timeline_create(e->schedule, NULL, &e->timeline));
    assert_ok(clv_accounts_create(&record, &e->accounts));
    e->clocks[2] = (clv_record_clock){.is_known = true, .uncertainty_us = 1.5};
    e->errors[0] = (clv_step_error){0, 0, 20, 20, 0};
    e->errors[1] = (clv_step_error){1, 2, 30, 33, 0};
    e->report = report_of(&e->p);
    e->report.measured_schedule = e->schedule;
    e->report.measured = e->timeline;
    e->report.accounts = e->accounts;
    e->report.clocks = e->clocks;
    e->report.num_clamped = 4;
    e->report.errors = e->errors;
    e->report.num_errors = 2;
}

static void drop_executed(executed *e) {
    clv_accounts_destroy(e->accounts);
    clv_timeline_destroy(e->timeline);
    clv_schedule_destroy(e->schedule);
    planned_drop(&e->p);
}

static void what_was_executed_has_steps_of_its_own(void **state) {
    (void)state;
    executed e = {.errors = {{0}}};
    char *text;
    execute(&e);
    const clv_timeline_row *last = &e.timeline->rows[e.timeline->num_rows - 1];
    assert_false(last->is_unit); /* the way to the gpu is a link's */
    assert_int_equal(last->num_spans, 1);
    assert_ok(clv_report_gantt(&e.report, &text));
    assert_non_null(strstr(text, "core:0: 33 % busy, 67 % idle\n"));
    assert_non_null(
        strstr(text, "gpu:0: 55 % busy, 8.3 % transfers, 33 % waiting for data of core:0"));
    assert_non_null(strstr(text, "the clock of gpu:0 is known to 1.5 us; 4 times of devices"));
    assert_non_null(strstr(text, "-9.1 %"));
    clv_free(text);
    assert_ok(clv_report_svg(&e.report, &text));
    check_xml(text);
    assert_non_null(strstr(text, "waiting for data of core:0"));
    clv_free(text);
    assert_ok(clv_report_html(&e.report, &text));
    cJSON *data = read_page(text);
    assert_int_equal(cJSON_GetArraySize(at(data, "errors")), 2);
    const cJSON *account, *part;
    cJSON_ArrayForEach(account, at(data, "accounts")) {
        double sum_us = 0;
        cJSON_ArrayForEach(part, at(account, "parts")) {
            sum_us += part->valuedouble;
        }
        assert_true(fabs(sum_us - number(data, "wall")) < 1e-6);
    }
    cJSON_Delete(data);
    clv_free(text);
    assert_ok(clv_report_trace(&e.report, &text));
    assert_int_equal(count_of(text, "\"ph\":\"X\""), e.p.timeline->num_spans + 3);
    assert_non_null(strstr(text, "units, measured"));
    clv_free(text);
    drop_executed(&e);
}

static void make_long(clv_text *source, int num_requests) {
    clv_text_init(source);
    clv_text_add(
        source, "machine p*16 buffers=8\npolicy pipeline\nrequests %d\ndepth all\n{\"tasks\":[",
        num_requests);
    for (int i = 0; i < 100; i++) {
        clv_text_add(
            source, "%s{\"name\":\"t%d\",\"time_us\":%d}", i > 0 ? "," : "", i, 5 + i * 7 % 11);
    }
    clv_text_add(source, "],\"edges\":[");
    for (int i = 1; i < 100; i++) {
        clv_text_add(
            source, "%s{\"from\":\"t%d\",\"to\":\"t%d\",\"bytes\":64}", i > 1 ? "," : "", i - 1, i);
    }
    clv_text_add(source, "]}");
}

/* Bins of a row add up to its busy time; windows have their spans. */
static void check_summary(const cJSON *data, const clv_timeline *timeline) {
    const cJSON *row, *windows = at(cJSON_GetArrayItem(at(data, "layers"), 0), "windows");
    uint64_t num_kept = 0;
    assert_int_equal(cJSON_GetArraySize(windows), 3);
    cJSON_ArrayForEach(row, at(data, "rows")) {
        const cJSON *layer = cJSON_GetArrayItem(at(row, "layers"), 0);
        const char *covered = cJSON_GetStringValue(at(layer, "covered"));
        size_t count = strlen(covered) / 4 * 3;
        count -= covered[strlen(covered) - 1] == '=';
        count -= covered[strlen(covered) - 2] == '=';
        num_kept += (uint64_t)cJSON_GetArraySize(at(layer, "spans")) / 9;
        double sum = 0;
        for (size_t i = 0; i < strlen(covered); i += 4) {
            static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            unsigned bits = 0;
            for (int k = 0; k < 4; k++) {
                const char *digit = strchr(digits, covered[i + (size_t)k]);
                bits = bits << 6 | (digit != NULL ? (unsigned)(digit - digits) : 0);
            }
            sum += (bits >> 16) + (bits >> 8 & 255) + (bits & 255);
        }
        assert_true(fabs(sum / 255 / (double)count - number(row, "busy")) < 0.005);
    }
    assert_true(num_kept > 20000 && num_kept < 61000 && num_kept < timeline->num_spans);
}

/* A trace's counters add up to a row's busy time; its events are those of three windows. Line by
 * line, as the whole is long for functions that a sanitizer has look for its end. */
static void check_short_trace(const char *text, const planned *p) {
    static const char counter[] = "{\"ph\":\"C\",\"name\":\"";
    const clv_timeline *t = p->timeline;
    size_t of_phase[128] = {0};
    double last_us = 0, value = 0, *busy_us = clv_alloc_zeroed(t->num_rows, sizeof *busy_us);
    uint32_t row = 0;
    assert_non_null(busy_us);
    for (const char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        char line[2048];
        const size_t length = (size_t)(end - at);
        assert_true(length < sizeof line);
        memcpy(line, at, length);
        line[length] = '\0';
        of_phase[strncmp(line, "{\"ph\":\"", 7) == 0 ? line[7] & 127 : 0]++;
        assert_true(
            at != text || (strstr(line, "of 150000 spans those of the beginning") != NULL &&
                           strstr(line, "\"windows_us\":[[[") != NULL));
        if (strncmp(line, counter, sizeof counter - 1) != 0) {
            continue;
        }
        const char *name = line + sizeof counter - 1;
        const double time_us = strtod(strstr(line, "\"ts\":") + 5, NULL);
        const double next = strtod(strstr(line, "\"busy\":") + 7, NULL);
        for (row = time_us == 0 ? 0 : row; time_us == 0 && row < t->num_rows; row++) {
            const size_t own = strlen(t->rows[row].name);
            if (strncmp(name, t->rows[row].name, own) == 0 && name[own] == ',') {
                break;
            }
        }
        assert_true(row < t->num_rows);
        busy_us[row] += time_us > 0 ? value * (time_us - last_us) : 0;
        assert_true(next >= 0 && next <= 1 && time_us <= t->makespan_us * 1.001);
        last_us = time_us;
        value = next;
    }
    assert_true(of_phase['X'] > 50000 && of_phase['X'] < 105000);
    assert_true(of_phase['s'] > 1000 && of_phase['s'] == of_phase['f']);
    for (row = 0; row < t->num_rows; row++) {
        assert_true(fabs(busy_us[row] / t->makespan_us - t->rows[row].busy) < 0.002);
    }
    clv_free(busy_us);
}

static void many_spans_are_summarised(void **state) {
    (void)state;
    planned p;
    char *text;
    clv_text source;
    make_long(&source, 1500);
    assert_ok(planned_make(CLEAVE_ROOT, source.data, &p));
    clv_report report = report_of(&p);
    assert_int_equal(p.timeline->num_spans, 150000);
    assert_ok(clv_report_html(&report, &text));
    assert_true(strlen(text) < 4u << 20);
    cJSON *data = read_page(text);
    check_summary(data, p.timeline);
    cJSON_Delete(data);
    clv_free(text);
    assert_ok(clv_report_svg(&report, &text));
    check_xml(text);
    assert_true(strlen(text) < 1u << 20);
    clv_free(text);
    assert_ok(clv_report_trace(&report, &text));
    check_short_trace(text, &p);
    clv_free(text);
    planned_drop(&p);
    clv_text_deinit(&source);
}

static void check_no_time(const char *requests) {
    char source[256];
    snprintf(
        source, sizeof source,
        "machine p*40\npolicy single\nrequests %s\n"
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":0},{\"name\":\"b\",\"time_us\":0}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\",\"bytes\":20000}]}",
        requests);
    planned p;
    assert_ok(planned_make(CLEAVE_ROOT, source, &p));
    assert_true(p.timeline->makespan_us == 0);
    clv_report report = report_of(&p);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char *text;
        assert_ok(all[i](&report, &text));
        if (all[i] != clv_report_html) { /* whose script has any words; its data are read below */
            assert_null(strstr(text, "nan"));
            assert_null(strstr(text, "inf"));
        }
        if (all[i] == clv_report_svg) {
            check_xml(text);
        } else if (all[i] == clv_report_html) {
            cJSON_Delete(read_page(text));
        }
        clv_free(text);
    }
    planned_drop(&p);
}

static void long_names_keep_their_ends(void **state) {
    (void)state;
    static const struct {
        const char *name, *expected;
        int room;
    } cases[] = {
        {"core:0", "core:0", 22},
        {"0123456789", "0123456789", 10},
        {"0123456789a", "01234…789a", 10},
        {"accelerator_with_a_long_name:12", "accelerator…ng_name:12", 22},
        {"accelerator_with_a_long_name:1 > accelerator_with_a_long_name:0",
         "acce…me:1 > accel…me:0", 22},
        {"host > accelerator_with_a_long_name:0", "host > acceler…_name:0", 22},
        {"accelerator_with_a_long_name:0 <> host", "acceler…name:0 <> host", 22},
        {"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "\xc3\xa9\xc3\xa9…\xc3\xa9\xc3\xa9",
         5},
        {" > ", " > ", 5},
        {"a > b", "a > b", 5},
        {" > 0123456789", " > 0…789", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_text text;
        clv_text_init(&text);
        clv_picture_add_short(&text, cases[i].name, cases[i].room);
        if (strcmp(text.data, cases[i].expected) != 0) {
            fail_msg("'%s' is '%s', not '%s'", cases[i].name, text.data, cases[i].expected);
        }
        clv_text_deinit(&text);
    }
    planned p;
    static const char source[] =
        "machine accelerator_with_a_long_name*2\npolicy pipeline\n"
        "{\"tasks\":[{\"name\":\"a\",\"time_us\":1},{\"name\":\"b\",\"time_us\":1}],"
        "\"edges\":[{\"from\":\"a\",\"to\":\"b\"}]}";
    char *text;
    assert_ok(planned_make(CLEAVE_ROOT, source, &p));
    clv_report report = report_of(&p);
    assert_ok(clv_report_gantt(&report, &text));
    assert_int_equal(count_of(text, "\naccelerator_wi…a_long_name:0 "), 2);
    assert_int_equal(count_of(text, "\naccelerator_wi…a_long_name:1 "), 2);
    clv_free(text);
    assert_ok(clv_report_svg(&report, &text));
    assert_int_equal(count_of(text, "_long_name:1</text>"), 1);
    assert_int_equal(
        count_of(text, "var("), 0); /* readers of SVG that know no variables paint black */
    clv_free(text);
    planned_drop(&p);
}

/* Also where they are summarised: bins of no time. */
static void runs_of_no_time_have_pictures(void **state) {
    (void)state;
    check_no_time("30");
    check_no_time("52000");
}

static void pictures_are_the_same_again(void **state) {
    (void)state;
    planned p;
    assert_ok(planned_make(CLEAVE_ROOT, small, &p));
    clv_report report = report_of(&p);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char *first, *second;
        assert_ok(all[i](&report, &first));
        assert_ok(all[i](&report, &second));
        assert_string_equal(first, second);
        clv_free(first);
        clv_free(second);
    }
    planned_drop(&p);
}

static void names_of_files_choose_the_picture(void **state) {
    (void)state;
    planned p;
    char *text;
    assert_ok(planned_make(CLEAVE_ROOT, small, &p));
    clv_report report = report_of(&p);
    assert_ok(clv_report_picture(&report, "a/b.html", &text));
    assert_true(strncmp(text, "<!doctype html>", 15) == 0);
    clv_free(text);
    assert_ok(clv_report_picture(&report, ".svg", &text));
    assert_true(strncmp(text, "<svg ", 5) == 0);
    clv_free(text);
    assert_failed(
        USAGE, "must end in .html, .svg or .txt", clv_report_picture(&report, "a.png", &text));
    assert_failed(USAGE, "'html'", clv_report_picture(&report, "html", &text));
    planned_drop(&p);
}

static void out_of_memory(void **state) {
    (void)state;
    executed e = {.errors = {{0}}};
    execute(&e);
    const clv_report report = e.report;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        clv_status *status;
        char *text;
        int64_t n = 0;
        do {
            clv_memory_fail_at(n++);
            status = all[i](&report, &text);
            clv_memory_fail_at(-1);
            if (status != NULL) {
                assert_null(text);
                assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
                clv_status_destroy(status);
            }
        } while (status != NULL && n < 2000);
        assert_true(n > 10 && n < 2000);
        clv_free(text);
    }
    drop_executed(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_holds_every_span),
        cmocka_unit_test(a_trace_holds_every_span),
        cmocka_unit_test(names_are_only_names),
        cmocka_unit_test(a_measured_run_is_laid_under),
        cmocka_unit_test(arrows_lead_on),
        cmocka_unit_test(what_was_executed_has_steps_of_its_own),
        cmocka_unit_test(many_spans_are_summarised),
        cmocka_unit_test(long_names_keep_their_ends),
        cmocka_unit_test(runs_of_no_time_have_pictures),
        cmocka_unit_test(pictures_are_the_same_again),
        cmocka_unit_test(names_of_files_choose_the_picture),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
