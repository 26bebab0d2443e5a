/* Runs of plans on the virtual clock, and what they report. */
#include "host/api/timeline.h"

#include "host/base/file.h"
#include "host/base/memory.h"
#include "partition/evaluate.h"
#include "scheduler/clock.h"
#include "scheduler/run_memory.h"
#include "scheduler/steady.h"

#include <math.h>
#include <string.h>

static const double default_dispatch_us = 1;

static const clv_run *run_of(const cleave_timeline *t) {
    return t->run != NULL ? t->run : t->schedule->predicted;
}

/* --- running --- */

static uint32_t default_requests(const cleave_plan *plan) {
    const clv_plan *p = plan->plan;
    return p->objective == CLV_LATENCY ? 1
                                       : clv_steady_requests(p->depth, plan->workload->num_tasks);
}

/* NO_MEMORY where the run holds more than there is; *out_fits tells that from other failures. */
static clv_status *measure_memory(cleave_timeline *t, bool *out_fits) {
    const clv_costs *costs = t->plan->costs;
    uint32_t num_units = costs->machine->num_units;
    clv_evaluator *ev = NULL;
    clv_status *status = NULL;
    *out_fits = true;
    clv_free(t->memory_bytes);
    t->memory_bytes = clv_alloc_zeroed(num_units, sizeof *t->memory_bytes);
    if (t->memory_bytes == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a timeline");
    }
    CLV_TRY(clv_run_memory(t->schedule, t->run, t->memory_bytes));
    CLV_TRY(clv_evaluator_create(costs, &ev));
    for (uint32_t i = 0; i < num_units; i++) {
        clv_evaluate_hold(ev, i, t->memory_bytes[i]);
    }
    *out_fits = clv_evaluate_fits(ev);
    status = clv_evaluate_limits(ev);
    clv_evaluator_destroy(ev);
    return status;
}

static void drop_run(cleave_timeline *t) {
    clv_critical_path_destroy(t->path);
    clv_timeline_destroy(t->timeline);
    clv_run_destroy(t->run);
    clv_schedule_destroy(t->schedule);
    t->path = NULL;
    t->timeline = NULL;
    t->run = NULL;
    t->schedule = NULL;
}

static clv_status *run_at_depth(
    cleave_timeline *t, const cleave_simulate_options *options, uint32_t depth, bool *out_fits) {
    const clv_costs *costs = t->plan->costs;
    clv_schedule_request request = {
        .num_requests = options->requests > 0 ? options->requests : default_requests(t->plan),
        .depth = depth,
        .num_chunks = t->is_dynamic ? options->chunks : 0,
        .most_bytes = clv_memory_installed()};
    *out_fits = true;
    drop_run(t);
    CLV_TRY(clv_schedule_create(costs, t->plan->plan, &request, &t->schedule));
    t->depth = 0;
    for (uint32_t g = 0; depth != CLV_DEPTH_UNLIMITED && g < t->schedule->num_groups; g++) {
        t->depth += t->schedule->depth_of_group[g];
    }
    if (t->is_dynamic) {
        clv_clock_request clock = {.mode = CLV_CLOCK_DYNAMIC, .dispatch_us = t->dispatch_us};
        CLV_TRY(clv_clock_run(t->schedule, &clock, &t->run));
    }
    CLV_TRY(clv_run_in_flight(t->schedule, t->run, &t->in_flight));
    return measure_memory(t, out_fits);
}

static double makespan_us(const cleave_timeline *t) {
    return run_of(t)->makespan_us;
}

/* Requests that run ahead may take bandwidth of a memory, or a turn at a transfer, from those that
 * are behind: where that costs more than it gains, the run has as many in flight as the plan. */
static clv_status *try_planned_depth(cleave_timeline *t, const cleave_simulate_options *options) {
    enum { MOST_STEPS = 200000 };
    cleave_timeline planned = {
        .plan = t->plan, .is_dynamic = t->is_dynamic, .dispatch_us = t->dispatch_us};
    bool fits;
    if (t->in_flight <= t->plan->plan->depth || t->schedule->num_steps > MOST_STEPS) {
        return NULL;
    }
    clv_status *status = run_at_depth(&planned, options, CLV_DEPTH_OF_PLAN, &fits);
    if (status == NULL && makespan_us(&planned) < makespan_us(t) * (1 - 1e-9)) {
        cleave_timeline other = *t;
        *t = planned;
        planned = other;
    }
    drop_run(&planned);
    clv_free(planned.memory_bytes);
    if (!fits || clv_status_code(status) == CLV_UNSUPPORTED) { /* the one that was made does */
        clv_status_destroy(status);
        status = NULL;
    }
    return status;
}

static clv_status *simulate(cleave_timeline *t, const cleave_simulate_options *options) {
    const char *word = options->schedule != NULL ? options->schedule : "static";
    t->is_dynamic = strcmp(word, "dynamic") == 0;
    t->dispatch_us = options->dispatch_us >= 0 ? options->dispatch_us : default_dispatch_us;
    if (!t->is_dynamic && strcmp(word, "static") != 0) {
        return CLV_ERROR(USAGE, "--schedule '%s': must be static or dynamic", word);
    }
    if (!isfinite(t->dispatch_us) || options->chunks > UINT16_MAX) {
        return CLV_ERROR(USAGE, "dispatch must be finite, chunks at most %d", (int)UINT16_MAX);
    }
    uint32_t depth = options->depth > 0 ? options->depth : CLV_DEPTH_UNLIMITED;
    bool fits;
    clv_status *status = run_at_depth(t, options, depth, &fits);
    bool is_stuck = clv_status_code(status) == CLV_UNSUPPORTED;
    bool depth_is_free = fits && !is_stuck;
    if (!depth_is_free && options->depth == 0) {
        clv_status_destroy(status); /* as many as memory and buffers allow: those of the plan */
        status = run_at_depth(t, options, CLV_DEPTH_OF_PLAN, &fits);
    }
    CLV_TRY(status);
    if (options->depth == 0 && depth_is_free) {
        CLV_TRY(try_planned_depth(t, options));
    }
    CLV_TRY(clv_timeline_create(t->schedule, t->run, &t->timeline));
    return clv_critical_path_create(t->schedule, t->run, &t->path);
}

cleave_status *cleave_plan_simulate(
    const cleave_plan *plan, const cleave_simulate_options *options,
    cleave_timeline **out_timeline) {
    static const cleave_simulate_options defaults = {.dispatch_us = -1};
    *out_timeline = NULL;
    cleave_timeline *t = clv_alloc_zeroed(1, sizeof *t);
    if (t == NULL) {
        return public_status(CLV_ERROR(NO_MEMORY, "out of host memory for a timeline"));
    }
    t->plan = plan;
    clv_status *status = simulate(t, options != NULL ? options : &defaults);
    if (status != NULL) {
        cleave_timeline_destroy(t);
        return public_status(status);
    }
    *out_timeline = t;
    return NULL;
}

void cleave_timeline_destroy(cleave_timeline *timeline) {
    if (timeline != NULL) {
        drop_run(timeline);
        clv_measured_destroy(timeline->measured);
        clv_free(timeline->memory_bytes);
        clv_free(timeline);
    }
}

/* --- reporting --- */

static void write_head(clv_json_writer *w, const cleave_timeline *t) {
    const clv_plan *plan = t->plan->plan;
    const clv_timeline *line = t->timeline;
    clv_json_add_string(w, "workload", t->plan->workload->name);
    clv_json_add_string(w, "machine", t->plan->machine->name);
    clv_json_add_string(w, "policy", plan->policy);
    clv_json_add_string(w, "objective", plan->objective == CLV_LATENCY ? "latency" : "throughput");
    clv_json_add_string(w, "schedule", t->is_dynamic ? "dynamic" : "static");
    if (t->is_dynamic) {
        clv_json_add_number(w, "dispatch_us", t->dispatch_us);
    }
    clv_json_add_number(w, "requests", t->schedule->num_requests);
    if (t->depth > 0) {
        clv_json_add_number(w, "depth", t->depth);
    }
    clv_json_add_number(w, "in_flight", t->in_flight);
    clv_json_add_number(w, "steps", (double)t->schedule->num_steps);
    clv_json_add_number(w, "makespan_us", line->makespan_us);
    clv_json_add_number(w, "period_us", line->period_us);
    clv_json_add_number(w, "latency_us", line->latency_us);
    clv_json_add_number(w, "mean_latency_us", line->mean_latency_us);
    clv_json_add_number(w, "max_latency_us", line->max_latency_us);
    clv_json_add_rate(w, "throughput_per_s", line->throughput_per_s);
}

static void write_bounds(clv_json_writer *w, const clv_timeline *line) {
    const clv_bounds *bounds = &line->bounds;
    clv_json_add_number(w, "lower_bound_us", bounds->best_us);
    clv_json_add_number(w, "distance", line->distance);
    clv_json_open_object(w, "bounds");
    clv_json_add_number(w, "critical_path_us", bounds->critical_path_us);
    clv_json_add_number(w, "unit_us", bounds->unit_us);
    clv_json_add_number(w, "link_us", bounds->link_us);
    clv_json_add_number(w, "memory_us", bounds->memory_us);
    if (bounds->processors_us > 0) {
        clv_json_add_number(w, "processors_us", bounds->processors_us);
    }
    clv_json_add_string(w, "where", bounds->where);
    clv_json_close(w);
}

static void write_critical(clv_json_writer *w, const cleave_timeline *t) {
    clv_json_open_object(w, "critical_path");
    clv_json_add_number(w, "steps", (double)t->path->num_steps);
    clv_json_add_number(w, "busy_us", t->path->busy_us);
    clv_json_add_number(w, "idle_us", t->path->idle_us);
    clv_json_open_object(w, "causes");
    for (int i = 0; i < CLV_NUM_CAUSES; i++) {
        if (t->path->num_causes[i] > 0) {
            clv_json_add_number(
                w, clv_cause_name((clv_cause_kind)i), (double)t->path->num_causes[i]);
        }
    }
    clv_json_close(w);
    clv_json_close(w);
}

static void write_units(clv_json_writer *w, const clv_timeline *line) {
    clv_json_open_array(w, "units");
    for (uint32_t i = 0; i < line->num_rows; i++) {
        const clv_timeline_row *row = &line->rows[i];
        if (row->is_unit) {
            clv_json_open_object(w, NULL);
            clv_json_add_string(w, "name", row->name);
            clv_json_add_number(w, "busy", row->busy);
            clv_json_add_number(w, "idle", 1 - row->busy);
            clv_json_add_number(w, "busy_us", row->busy_us);
            clv_json_add_number(w, "steps", (double)row->num_spans);
            clv_json_add_number(w, "buffers", row->buffers);
            clv_json_add_number(w, "buffer_bytes", (double)row->bytes);
            clv_json_close(w);
        }
    }
    clv_json_close(w);
}

static double carried_bytes(const cleave_timeline *t, const clv_timeline_row *row) {
    double bytes = 0;
    for (uint64_t i = row->first_span; i < row->first_span + row->num_spans; i++) {
        bytes += (double)t->schedule->steps[t->timeline->spans[i].step].bytes;
    }
    return bytes;
}

/* A row for each link: as busy as its busier direction. Directions of a link are neighbours. */
static void write_links(clv_json_writer *w, const cleave_timeline *t) {
    const clv_machine *machine = t->plan->machine;
    const clv_timeline *line = t->timeline;
    clv_json_open_array(w, "links");
    for (uint32_t i = 0; i < line->num_rows; i++) {
        const clv_timeline_row *row = &line->rows[i], *other = row + 1;
        if (row->is_unit) {
            continue;
        }
        uint32_t link = (row->resource - machine->num_units) / 2;
        bool has_other = i + 1 < line->num_rows && !other->is_unit &&
                         (other->resource - machine->num_units) / 2 == link;
        clv_json_open_object(w, NULL);
        clv_json_add_string(w, "name", row->name);
        clv_json_add_number(w, "busy", has_other ? fmax(row->busy, other->busy) : row->busy);
        clv_json_open_array(w, "directions");
        for (const clv_timeline_row *r = row; r <= row + (has_other ? 1 : 0); r++) {
            const uint32_t *ends = machine->links[link].ends;
            clv_json_open_object(w, NULL);
            clv_json_add_string(w, "from", machine->memories[ends[r->direction]].name);
            clv_json_add_string(w, "to", machine->memories[ends[1 - r->direction]].name);
            clv_json_add_number(w, "busy", r->busy);
            clv_json_add_number(w, "transfers", (double)r->num_spans);
            clv_json_add_number(w, "bytes", carried_bytes(t, r));
            clv_json_close(w);
        }
        clv_json_close(w);
        clv_json_close(w);
        i += has_other;
    }
    clv_json_close(w);
}

cleave_status *cleave_timeline_report(const cleave_timeline *timeline, char **out_json) {
    clv_json_writer writer;
    const clv_timeline *line = timeline->timeline;
    *out_json = NULL;
    clv_json_begin(&writer, 2);
    write_head(&writer, timeline);
    write_bounds(&writer, line);
    write_critical(&writer, timeline);
    clv_json_add_number(&writer, "units_used", line->units_used);
    clv_json_add_number(&writer, "buffers", line->buffers);
    clv_json_add_number(&writer, "buffer_bytes", (double)line->buffer_bytes);
    clv_write_memory(&writer, timeline->plan->machine, timeline->memory_bytes);
    write_units(&writer, line);
    write_links(&writer, timeline);
    if (timeline->measured != NULL) {
        clv_write_measured(&writer, timeline->measured);
    }
    clv_status *status = clv_json_take(&writer, out_json);
    clv_json_deinit(&writer);
    return public_status(status);
}

/* --- files --- */

static clv_report report_of(const cleave_timeline *t) {
    const clv_measured *m = t->measured;
    return (clv_report){
        .mode = t->is_dynamic ? "dynamic" : "static",
        .schedule = t->schedule,
        .run = t->run,
        .timeline = t->timeline,
        .measured_schedule = m != NULL ? m->schedule : NULL,
        .measured = m != NULL ? m->timeline : NULL,
        .accounts = m != NULL ? m->accounts : NULL,
        .errors = m != NULL ? m->errors : NULL,
        .num_errors = m != NULL ? m->num_errors : 0,
        .clocks = m != NULL ? m->clocks : NULL,
        .num_clamped = m != NULL ? m->num_clamped : 0};
}

cleave_status *cleave_timeline_save_picture(const cleave_timeline *timeline, const char *path) {
    clv_report report = report_of(timeline);
    char *text = NULL;
    clv_status *status = clv_report_picture(&report, path, &text);
    if (status == NULL) {
        status = clv_file_replace(path, text, strlen(text));
    }
    clv_free(text);
    return public_status(status);
}

cleave_status *cleave_timeline_save_trace(const cleave_timeline *timeline, const char *path) {
    clv_report report = report_of(timeline);
    char *text = NULL;
    clv_status *status = clv_report_trace(&report, &text);
    if (status == NULL) {
        status = clv_file_replace(path, text, strlen(text));
    }
    clv_free(text);
    return public_status(status);
}

cleave_status *cleave_timeline_steps(const cleave_timeline *timeline, char **out_text) {
    const clv_schedule *s = timeline->schedule;
    const clv_run *run = run_of(timeline);
    clv_text text;
    *out_text = NULL;
    clv_text_init(&text);
    for (uint64_t i = 0; i < s->num_steps; i++) {
        char name[256];
        uint32_t step = run->started[i];
        clv_schedule_name_step(s, step, name, sizeof name);
        clv_text_add(&text, "%12.3f %12.3f  %s", run->start_us[step], run->end_us[step], name);
        if (s->steps[step].kind != CLV_SCHEDULE_SEND) {
            clv_text_add(&text, " on %s", timeline->plan->machine->units[run->unit[step]].name);
        }
        if (run->slot[step] != CLV_NO_INDEX) {
            clv_text_add(&text, ", buffer %u", run->slot[step]);
        }
        clv_text_add(&text, "\n");
    }
    clv_text_add_bytes(&text, "", 0);
    clv_status *status = clv_text_take(&text, out_text);
    clv_text_deinit(&text);
    return public_status(status);
}
