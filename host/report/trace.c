/* A run as trace events. Source: "Trace Event Format" of the Chromium project: complete events (X),
 * flows (s, f), counters (C), metadata (M); times in microseconds. */
#include "host/report/picture.h"

#include "host/base/memory.h"

#include <math.h>
#include <string.h>

enum {
    UNITS = 1, /* processes; those of the measured run follow */
    LINKS = 2,
    MAX_SPANS = 100000, /* that are written one by one; some 400 bytes each */
    MAX_BINS = 100000,  /* of all rows together, where there are more; some 100 bytes each */
    MAX_ROW_BINS = 4096,
    NOT_WRITTEN = UINT8_MAX /* in place of a step's lane */
};

typedef struct tracer {
    const clv_picture *picture;
    clv_text *text;
    uint32_t *row_of_resource;
    uint8_t *lane_of_step; /* on its first resource, in the layer at hand */
    uint64_t num_flows, num_spans;
    bool is_summary;
    uint32_t num_bins;
    double *covered; /* [2][num_bins], of the row at hand */
    clv_picture_window windows[CLV_PICTURE_LAYERS][CLV_PICTURE_WINDOWS];
    const char *comma;
} tracer;

static void begin_event(tracer *t) {
    clv_text_add(t->text, "%s\n", t->comma);
    t->comma = ",";
}

static unsigned process_of(const clv_picture_row *row, uint32_t layer) {
    return 2 * layer + (row->is_unit ? UNITS : LINKS);
}

static unsigned thread_of(uint32_t row_index, uint8_t lane) {
    return row_index * CLV_PICTURE_LANES + lane + 1;
}

/* --- names of processes and threads --- */

static void add_processes(tracer *t, uint32_t l) {
    static const char *const names[] = {"units", "links"};
    const char *layer = t->picture->layers[l].name;
    for (unsigned i = 0; i < 2; i++) {
        unsigned pid = 2 * l + i + 1;
        begin_event(t);
        clv_text_add(
            t->text,
            "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%u,\"args\":{\"name\":\"%s%s%s\"}}",
            pid, names[i], layer[0] != '\0' ? ", " : "", layer);
        begin_event(t);
        clv_text_add(
            t->text,
            "{\"ph\":\"M\",\"name\":\"process_sort_index\",\"pid\":%u,\"args\":{"
            "\"sort_index\":%u}}",
            pid, pid);
    }
}

static void add_thread(tracer *t, uint32_t l, uint32_t row_index, uint8_t lane) {
    const clv_picture_row *row = &t->picture->rows[row_index];
    unsigned pid = process_of(row, l), tid = thread_of(row_index, lane);
    begin_event(t);
    clv_text_add(
        t->text,
        "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":", pid,
        tid);
    clv_text_add_json(t->text, row->label);
    clv_text_add(t->text, "}}");
    begin_event(t);
    clv_text_add(
        t->text,
        "{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":%u,\"tid\":%u,\"args\":{"
        "\"sort_index\":%u}}",
        pid, tid, tid);
}

/* --- steps --- */

static void add_args(tracer *t, const clv_picture_layer *layer, const clv_span *span) {
    const clv_schedule_step *step = clv_picture_step(layer, span);
    const char *reason = clv_picture_step_reason(layer, step);
    clv_text_add(
        t->text, "\"args\":{\"request\":%u,\"bytes\":%llu", step->request,
        (unsigned long long)step->bytes);
    if (span->slot != CLV_NO_INDEX) {
        clv_text_add(t->text, ",\"buffer\":%u", span->slot);
    }
    if (layer->is_critical[span->step]) {
        clv_text_add(t->text, ",\"critical\":true");
    }
    clv_text cause;
    clv_text_init(&cause);
    clv_picture_add_cause(layer, span->step, &cause);
    clv_text_add(t->text, ",\"cause\":");
    clv_text_add_json(t->text, cause.data != NULL ? cause.data : "");
    t->text->failed = t->text->failed || cause.failed;
    clv_text_deinit(&cause);
    if (reason != NULL) {
        clv_text_add(t->text, ",\"placed\":");
        clv_text_add_json(t->text, reason);
    }
    clv_text_add(t->text, "}");
}

static void add_span(tracer *t, uint32_t l, uint32_t row_index, uint64_t index) {
    const clv_picture *p = t->picture;
    const clv_picture_layer *layer = &p->layers[l];
    const clv_span *span = &layer->timeline->spans[index];
    const clv_schedule_step *step = clv_picture_step(layer, span);
    bool is_send = clv_picture_is_send(step);
    begin_event(t);
    clv_text_add(t->text, "{\"ph\":\"X\",\"name\":");
    clv_text_add_json(t->text, clv_picture_step_name(p, step));
    clv_text_add(t->text, ",\"cat\":");
    const bool is_join = step->kind == CLV_SCHEDULE_JOIN;
    clv_text_add_json(
        t->text, is_send   ? "transfer"
                 : is_join ? "join"
                           : p->workload->tasks[step->task].type);
    clv_text_add(
        t->text, ",\"pid\":%u,\"tid\":%u,\"ts\":%.12g,\"dur\":%.9g,",
        process_of(&p->rows[row_index], l), thread_of(row_index, layer->lane[index]),
        span->start_us, span->end_us - span->start_us);
    add_args(t, layer, span);
    clv_text_add(t->text, "}");
    if (p->rows[row_index].resource ==
        clv_run_resource(layer->schedule, layer->run, span->step, 0)) {
        t->lane_of_step[span->step] = layer->lane[index];
    }
}

/* --- how busy rows were --- */

/* A counter of 0 .. 1, whose value holds until its next. */
static void add_counter(tracer *t, uint32_t l, uint32_t row_index) {
    const clv_picture *p = t->picture;
    const clv_picture_row *row = &p->rows[row_index];
    const double bin_us = p->end_us / t->num_bins;
    double last = -1;
    memset(t->covered, 0, 2 * (size_t)t->num_bins * sizeof *t->covered);
    clv_picture_cover(&p->layers[l], row->of_layer[l], bin_us, t->num_bins, t->covered);
    for (uint32_t i = 0; i <= t->num_bins; i++) {
        const double busy = i < t->num_bins ? rint(fmin(1, t->covered[i]) * 1000) / 1000 : 0;
        if (busy == last) {
            continue;
        }
        last = busy;
        clv_text name;
        clv_text_init(&name);
        clv_text_add(&name, "%s, busy", row->label);
        begin_event(t);
        clv_text_add(t->text, "{\"ph\":\"C\",\"name\":");
        clv_text_add_json(t->text, name.data != NULL ? name.data : "");
        clv_text_add(
            t->text, ",\"pid\":%u,\"ts\":%.12g,\"args\":{\"busy\":%.3g}}", process_of(row, l),
            i * bin_us, busy);
        t->text->failed = t->text->failed || name.failed;
        clv_text_deinit(&name);
    }
}

/* --- arrows --- */

static void add_end(tracer *t, uint32_t l, uint32_t step, const char *phase, double time_us) {
    const clv_picture *p = t->picture;
    const clv_picture_layer *layer = &p->layers[l];
    uint32_t row = t->row_of_resource[clv_run_resource(layer->schedule, layer->run, step, 0)];
    begin_event(t);
    clv_text_add(
        t->text,
        "{\"ph\":%s,\"id\":%llu,\"name\":\"data\",\"cat\":\"data\",\"pid\":%u,\"tid\":%u,"
        "\"ts\":%.12g}",
        phase, (unsigned long long)t->num_flows, process_of(&t->picture->rows[row], l),
        thread_of(row, t->lane_of_step[step]), time_us);
}

/* From just before the end of what is read, so that it lies in that slice, to where its reader
 * begins; only between units and links that differ. Parts of what is read may go on after that (of
 * a dynamic run): no arrow leads back in time. */
static void add_flows(tracer *t, uint32_t l) {
    const clv_schedule *s = t->picture->layers[l].schedule;
    const clv_run *run = t->picture->layers[l].run;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        for (uint32_t k = 0; k < step->num_reads; k++) {
            uint32_t from = s->waits[step->first_wait + k];
            if (clv_run_resource(s, run, from, 0) == clv_run_resource(s, run, i, 0) ||
                t->lane_of_step[from] == NOT_WRITTEN || t->lane_of_step[i] == NOT_WRITTEN) {
                continue;
            }
            const double start_us = run->start_us[from], end_us = run->end_us[from];
            const double leaves_us = fmin(end_us - (end_us - start_us) * 1e-3, run->start_us[i]);
            if (leaves_us < start_us) {
                continue;
            }
            t->num_flows++;
            add_end(t, l, from, "\"s\"", leaves_us);
            add_end(t, l, (uint32_t)i, "\"f\",\"bp\":\"e\"", run->start_us[i]);
        }
    }
}

static void add_layer(tracer *t, uint32_t l) {
    const clv_picture *p = t->picture;
    const clv_picture_layer *layer = &p->layers[l];
    memset(t->lane_of_step, NOT_WRITTEN, (size_t)layer->schedule->num_steps);
    add_processes(t, l);
    for (uint32_t i = 0; i < p->num_rows; i++) {
        const clv_timeline_row *row = p->rows[i].of_layer[l];
        for (uint8_t lane = 0; row != NULL && lane < p->rows[i].num_lanes; lane++) {
            add_thread(t, l, i, lane);
        }
        for (uint64_t k = 0; row != NULL && k < row->num_spans; k++) {
            const uint64_t span = row->first_span + k;
            if (!t->is_summary ||
                clv_picture_is_in_window(t->windows[l], &layer->timeline->spans[span])) {
                add_span(t, l, i, span);
            }
        }
        if (row != NULL && t->is_summary) {
            add_counter(t, l, i);
        }
    }
    add_flows(t, l);
}

/* What is left out, where something is: for people, and for scripts. */
static void add_summary(tracer *t) {
    const clv_picture *p = t->picture;
    clv_text_add(
        t->text,
        ",\"summary\":\"of %llu spans those of the beginning, the middle and the end are here "
        "(windows_us); counters say how busy units and links were, each value for %.6g us\","
        "\"spans\":%llu,\"bin_us\":%.12g,\"windows_us\":[",
        (unsigned long long)t->num_spans, p->end_us / t->num_bins, (unsigned long long)t->num_spans,
        p->end_us / t->num_bins);
    for (uint32_t l = 0; l < p->num_layers; l++) {
        for (int i = 0; i < CLV_PICTURE_WINDOWS; i++) {
            const clv_picture_window *w = &t->windows[l][i];
            clv_text_add(
                t->text, "%s[%.12g,%.12g]%s",
                i > 0   ? ","
                : l > 0 ? ",["
                        : "[",
                w->begin_us, w->end_us, i + 1 == CLV_PICTURE_WINDOWS ? "]" : "");
        }
    }
    clv_text_add(t->text, "]");
}

static clv_status *prepare(tracer *t) {
    const clv_picture *p = t->picture;
    uint64_t num_steps = 0;
    for (uint32_t l = 0; l < p->num_layers; l++) {
        const uint64_t own = p->layers[l].schedule->num_steps;
        num_steps = own > num_steps ? own : num_steps;
        t->num_spans += p->layers[l].timeline->num_spans;
        clv_picture_choose_windows(&p->layers[l], MAX_SPANS / p->num_layers, t->windows[l]);
    }
    const uint64_t num_rows = (uint64_t)p->num_rows * p->num_layers;
    t->is_summary = t->num_spans > MAX_SPANS;
    t->num_bins = (uint32_t)(MAX_BINS / (num_rows + 1) + 1);
    t->num_bins = t->num_bins < MAX_ROW_BINS ? t->num_bins : MAX_ROW_BINS;
    t->row_of_resource = clv_alloc_zeroed((size_t)p->schedule->num_resources + 1, sizeof(uint32_t));
    t->lane_of_step = clv_alloc_zeroed((size_t)num_steps + 1, 1);
    t->covered = clv_alloc_zeroed(2 * (size_t)t->num_bins, sizeof *t->covered);
    if (t->row_of_resource == NULL || t->lane_of_step == NULL || t->covered == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a trace");
    }
    for (uint32_t i = 0; i < p->num_rows; i++) {
        t->row_of_resource[p->rows[i].resource] = i;
    }
    return NULL;
}

static clv_status *fill(tracer *t) {
    const clv_picture *p = t->picture;
    CLV_TRY(prepare(t));
    clv_text_add(t->text, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"title\":");
    clv_text_add_json(t->text, p->title);
    if (t->is_summary) {
        add_summary(t);
    }
    clv_text_add(t->text, "},\"traceEvents\":[");
    for (uint32_t l = 0; l < p->num_layers; l++) {
        add_layer(t, l);
    }
    clv_text_add(t->text, "\n]}\n");
    return NULL;
}

clv_status *clv_report_trace(const clv_report *report, char **out_text) {
    clv_picture *picture;
    clv_text text;
    *out_text = NULL;
    CLV_TRY(clv_picture_create(report, &picture));
    clv_text_init(&text);
    tracer t = {.picture = picture, .text = &text, .comma = ""};
    clv_status *status = fill(&t);
    clv_free(t.row_of_resource);
    clv_free(t.lane_of_step);
    clv_free(t.covered);
    clv_picture_destroy(picture);
    if (status != NULL) {
        clv_text_deinit(&text);
        return status;
    }
    return clv_text_take(&text, out_text);
}
