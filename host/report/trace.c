/* A run as trace events. Source: "Trace Event Format" of the Chromium project: complete events (X),
 * flows (s, f), metadata (M); times in microseconds. */
#include "host/report/picture.h"

#include "host/base/memory.h"

#include <math.h>

enum {
    UNITS = 1, /* processes; those of the measured run follow */
    LINKS = 2,
    MAX_DETAILED = 100000 /* steps; of more, causes and reasons are left out */
};

typedef struct tracer {
    const clv_picture *picture;
    clv_text *text;
    uint32_t *row_of_resource;
    uint8_t *lane_of_step; /* on its first resource, in the layer at hand */
    uint64_t num_flows;
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
    if (layer->schedule->num_steps <= MAX_DETAILED) {
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
 * begins; only between units and links that differ. */
static void add_flows(tracer *t, uint32_t l) {
    const clv_schedule *s = t->picture->layers[l].schedule;
    const clv_run *run = t->picture->layers[l].run;
    for (uint64_t i = 0; i < s->num_steps; i++) {
        const clv_schedule_step *step = &s->steps[i];
        for (uint32_t k = 0; k < step->num_reads; k++) {
            uint32_t from = s->waits[step->first_wait + k];
            if (clv_run_resource(s, run, from, 0) == clv_run_resource(s, run, i, 0)) {
                continue;
            }
            double duration_us = run->end_us[from] - run->start_us[from];
            t->num_flows++;
            add_end(t, l, from, "\"s\"", run->end_us[from] - duration_us * 1e-3);
            add_end(t, l, (uint32_t)i, "\"f\",\"bp\":\"e\"", run->start_us[i]);
        }
    }
}

static void add_layer(tracer *t, uint32_t l) {
    const clv_picture *p = t->picture;
    add_processes(t, l);
    for (uint32_t i = 0; i < p->num_rows; i++) {
        const clv_timeline_row *row = p->rows[i].of_layer[l];
        for (uint8_t lane = 0; row != NULL && lane < p->rows[i].num_lanes; lane++) {
            add_thread(t, l, i, lane);
        }
        for (uint64_t k = 0; row != NULL && k < row->num_spans; k++) {
            add_span(t, l, i, row->first_span + k);
        }
    }
    add_flows(t, l);
}

static clv_status *fill(tracer *t) {
    const clv_picture *p = t->picture;
    clv_text_add(t->text, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"title\":");
    clv_text_add_json(t->text, p->title);
    clv_text_add(t->text, "},\"traceEvents\":[");
    t->row_of_resource = clv_alloc_zeroed((size_t)p->schedule->num_resources + 1, sizeof(uint32_t));
    uint64_t num_steps = 0;
    for (uint32_t l = 0; l < p->num_layers; l++) {
        const uint64_t own = p->layers[l].schedule->num_steps;
        num_steps = own > num_steps ? own : num_steps;
    }
    t->lane_of_step = clv_alloc_zeroed((size_t)num_steps + 1, 1);
    if (t->row_of_resource == NULL || t->lane_of_step == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a trace");
    }
    for (uint32_t i = 0; i < p->num_rows; i++) {
        t->row_of_resource[p->rows[i].resource] = i;
    }
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
    clv_picture_destroy(picture);
    if (status != NULL) {
        clv_text_deinit(&text);
        return status;
    }
    return clv_text_take(&text, out_text);
}
